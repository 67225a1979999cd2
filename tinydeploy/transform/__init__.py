"""Changes to a model before it is planned, none of which changes a bit of its results.

`prepare` is the way in. Each transform is a function from `Model` to `Model`, in a module of its own; `original.py`
leads from a model whose ends are int8 back to the tensors of the file, which the reference interpreters run.
"""

from tinydeploy.transform.dead import drop_dead
from tinydeploy.transform.ends import int8_io
from tinydeploy.transform.original import original_inputs, original_outputs
from tinydeploy.transform.pads import fold_pads
from tinydeploy.transform.prepare import Io, Prepared, prepare

__all__ = ["Io", "Prepared", "drop_dead", "fold_pads", "int8_io", "original_inputs", "original_outputs", "prepare"]
