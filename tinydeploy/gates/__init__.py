"""Budgets held against what a model takes: the verdicts of `tinydeploy check`, and the baseline that is committed.

`check.py` is the whole of it, start there: `targets.py` says what is to be checked, `judge.py` what comes of it, with
figures in `limits.py` and who is responsible in `culprits.py`; `baseline.py` is `tinydeploy.lock`. The verdicts
themselves are plain values of `tinydeploy.report.verdicts`.
"""

from tinydeploy.gates.check import check
from tinydeploy.gates.targets import Chosen

__all__ = ["Chosen", "check"]
