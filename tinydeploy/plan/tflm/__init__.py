"""TensorFlow Lite Micro: its arena on a 32-bit Cortex-M, predicted without running it, and a better placement for it.

`greedy.py` places buffers by TFLM's rules, `kernels.py` knows what each of its kernels takes, `cmsis_nn.py` the scratch
of CMSIS-NN's, and `arena.py` puts the two ends of the arena together. `offline.py` makes the placement that TFLM finds
in its file and keeps to, from the `candidates.py` for each order of operators. docs/tflm-arena.md has the method and
its errors.
"""

from tinydeploy.plan.tflm.arena import TflmArena, predict_tflm_arena
from tinydeploy.plan.tflm.kernels import KernelSet
from tinydeploy.plan.tflm.offline import OfflinePlan, plan_offline

__all__ = ["KernelSet", "OfflinePlan", "TflmArena", "plan_offline", "predict_tflm_arena"]
