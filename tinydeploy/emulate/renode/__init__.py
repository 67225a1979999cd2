"""Renode as an emulator: what is written for it, how it is run, and what its words mean.

`install.py` finds it, `process.py` starts it and always ends it, `machine.py` is the emulator; `agent.ipy` watches a
run from inside, `agent.py` is its other end, `log.py` turns log lines into faults. `platform.py` writes a board as a
platform from what `parts.py` knows of chips, `repl.py` reads platforms, `peripherals.py` checks them, `script.py` and
`readme.py` are of exported projects.
"""
