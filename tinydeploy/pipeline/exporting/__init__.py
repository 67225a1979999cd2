"""Export: whatever model there is → int8 → a library in a package, or what TensorFlow Lite Micro takes.

`export.py` goes all the way: `int8.py` makes the model, `on_board.py` has the board answer the evaluation data,
`library.py` makes a package, `for_tflm.py` what TensorFlow Lite Micro takes, `card.py` tells of it all, and `folder.py`
writes it where something may be already.
"""

from tinydeploy.pipeline.exporting.export import Exported, ExportOptions, export

__all__ = ["ExportOptions", "Exported", "export"]
