"""Many models on many boards at once: what each of them came to, in parallel, cached, and never lost.

`types.py` has the values.
"""

from tinydeploy.batch.types import Case, Depth, LayerFigures, Outcome, Status

__all__ = ["Case", "Depth", "LayerFigures", "Outcome", "Status"]
