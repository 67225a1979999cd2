"""From a trained float model to an int8 .tflite file.

    sources → Network → (obstacles?) → quantize, with data → Converted, with its loss

`conversion.py` reads like this line. It runs in a process of its own (`process.py`, `worker.py`), the only one that
imports TensorFlow (the extra `export`): whatever a converter writes, leaks or crashes on ends there. `types.py` has the
values that cross the border. `aware.py` is for models trained with quantization in mind, `functions.py` calls what a
user names as `module:function`.
"""
