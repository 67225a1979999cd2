"""What quantization loses, operator by operator: `losses.py` runs the float and the int8 model side by side.

`matching.py` says which operator is which, `apart.py` takes a model apart to find each one's own part, `noise.py` has
the ratio, `ranges.py` what is suspicious in the ranges, `interpreters.py` runs the models.
"""
