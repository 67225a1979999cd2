"""Models on TensorFlow Lite Micro: files with our placement in them, checked here, and run on the emulated board.

`placing.py` makes and checks the file; `library.py` looks at the TFLM that a user built, `running.py` links and runs
it, `figures.py` puts what came out beside ours.
"""
