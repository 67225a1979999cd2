"""Calibration and evaluation data: found in files, folders, images or functions, checked, and fed to a model's inputs.

`find.py` finds them, column by column (`columns.py`, of `array_files.py`, `images.py`); `drawn.py` looks at what was
drawn; `calibration.py` and `evaluation.py` are the two uses; `feeding.py` quantizes as the firmware does; `pixels.py`
tells what an 8-bit pixel becomes. Nothing here imports TensorFlow.
"""
