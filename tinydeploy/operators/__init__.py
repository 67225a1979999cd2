"""Operators, one module a family: rules, cost, what the planner may do, and how a step is emitted.

`base.py` is the interface, `registry.py` the list, `fixed_point.py` the arithmetic that the families share.
The kernels themselves are C, in firmware/kernels/.
"""
