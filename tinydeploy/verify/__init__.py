"""Reference interpreters, the inputs they are fed, and the bit-by-bit comparison of outputs with theirs.

`verify` is the whole of it: run the references on samples and compare. TensorFlow Lite Micro decides what is
right; LiteRT's reference kernels are a second opinion, and stand in where tflite-micro is not installed.
"""

from tinydeploy.verify.compare import compare, raise_on_difference, verify
from tinydeploy.verify.inputs import load_inputs, random_inputs
from tinydeploy.verify.litert import LitertReference
from tinydeploy.verify.references import find_references, reference_outputs
from tinydeploy.verify.tflm import TflmReference, TflmRun
from tinydeploy.verify.types import Array, Difference, Reference, ReferenceRun, Sample, Verification

__all__ = [
    "Array",
    "Difference",
    "LitertReference",
    "Reference",
    "ReferenceRun",
    "Sample",
    "TflmReference",
    "TflmRun",
    "Verification",
    "compare",
    "find_references",
    "load_inputs",
    "raise_on_difference",
    "random_inputs",
    "reference_outputs",
    "verify",
]
