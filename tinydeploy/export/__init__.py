"""What leaves tinydeploy for a firmware project, as files by relative path.

`packages/` wraps the C library for build systems, `tflm/` writes what a TensorFlow Lite Micro firmware needs, `card.py`
tells where it all comes from.
"""
