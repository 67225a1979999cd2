"""Keywords for Robot Framework: `Library    tinydeploy.robot.Deploy`.

`library.py` has the keywords, `arguments.py` the types that their arguments are converted to, `results.py` what they
return, `figures.py` what checks speak of, `failures.py` and `logs.py` what people see. Nothing here imports Robot
Framework until a keyword logs something.
"""

from tinydeploy.robot.library import Deploy

__all__ = ["Deploy"]
