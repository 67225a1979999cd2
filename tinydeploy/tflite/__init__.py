"""Reading TensorFlow Lite models: a checked view of the file, the facts of its schema, and what a sound graph is.

`read_model` is the way in. Everything that a file can get wrong ends here, as a `ModelError` of one line. The way out
is `rewrite.py`, which puts a placement for TensorFlow Lite Micro into a file.
"""

from tinydeploy.tflite.reader import MAX_FILE_BYTES, parse_model, read_file, read_model

__all__ = ["MAX_FILE_BYTES", "parse_model", "read_file", "read_model"]
