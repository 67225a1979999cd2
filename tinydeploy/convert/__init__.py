"""From a trained float model to an int8 .tflite file: finding the source, calibrating, quantizing, telling the loss.

TensorFlow (the extra `export`) is imported by `worker.py` alone, which runs in a process of its own: whatever a
converter writes, leaks or crashes on ends there. `types.py` has the values that cross the border.
"""
