"""Many models on many boards at once: what each of them came to, in parallel, cached, and never lost.

`types.py` has the values, `measure.py` does one case in this process, and `pool.py` many of them in processes of their
own (`worker.py` is such a process as seen from outside, `child.py` from inside). `cache.py` keeps outcomes by `key.py`.
"""

from tinydeploy.batch.cache import ResultCache
from tinydeploy.batch.measure import measure
from tinydeploy.batch.pool import Progress, run_cases
from tinydeploy.batch.types import Case, Depth, LayerFigures, Outcome, Status

__all__ = ["Case", "Depth", "LayerFigures", "Outcome", "Progress", "ResultCache", "Status", "measure", "run_cases"]
