"""What will not run on a microcontroller, told before anything is quantized, by the layer's name and with a remedy.

`layers.py` looks at a Keras model, `graph.py` at the float .tflite file (through `outline.py`, and `as_int8.py` as if
it were int8 already); `remedies.py` knows what to do, `refusals.py` puts it in words.
"""
