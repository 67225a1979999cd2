"""ONNX files: `files.py` reads and checks one, `rewriting.py` changes what would convert badly, `network.py` has
onnx2tf convert it."""
