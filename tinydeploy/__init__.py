"""tinydeploy: plan, build and run int8 TensorFlow Lite models on microcontrollers."""

__version__ = "0.1.0"
