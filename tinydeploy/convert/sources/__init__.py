"""What a user may name as a model, found by its content, and loaded as a `Network` in the process that has TensorFlow.

`find.py` tells what a file or folder is (`foreign.py` what else it may be, `kinds.py` what a .tflite file holds); each
other module loads one kind: Keras files and functions, SavedModels, float .tflite files, those of
tensorflow-model-optimization; `onnx/` has ONNX.
"""
