"""What several tests share: a writer of .tflite files."""
