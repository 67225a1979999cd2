"""What TensorFlow Lite Micro would need: its arena on a 32-bit Cortex-M, predicted without running it.

`greedy.py` places buffers by TFLM's rules, `kernels.py` knows what each of its kernels takes, `cmsis_nn.py` the scratch
of CMSIS-NN's, and `arena.py` puts the two ends of the arena together. docs/tflm-arena.md has the method and its errors.
"""

from tinydeploy.plan.tflm.arena import TflmArena, predict_tflm_arena
from tinydeploy.plan.tflm.kernels import KernelSet

__all__ = ["KernelSet", "TflmArena", "predict_tflm_arena"]
