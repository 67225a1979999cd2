"""What a TensorFlow Lite Micro firmware takes: the model as an array, its operators, its arena, and a way to call it.

`operators.py` knows the resolver's methods, `files.py` fills the templates, `manifest.py` tells all figures as JSON.
"""

from tinydeploy.export.tflm.files import Export, sources_of, tflm_files
from tinydeploy.export.tflm.operators import check_registered, resolver_methods

__all__ = ["Export", "check_registered", "resolver_methods", "sources_of", "tflm_files"]
