"""Stands in for `python -m tinydeploy check` and for `tinydeploy check`: notes its arguments and writes reports.

All else that is asked of a Python is given to a real one. What it does is in its environment: `STAND_IN_ARGUMENTS`
(the file to note them in, as JSON), `STAND_IN_CODE` (what to end with) and `STAND_IN_LOG` (what to print).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

TEXTS = {"junit": "<testsuites/>\n", "json": "{}\n", "sarif": '{"runs": [{"results": [{}, {}]}]}\n'}


def main(arguments: list[str]) -> int:
    """Note, print, and write, as long as the code is one with which `check` writes reports."""
    Path(os.environ["STAND_IN_ARGUMENTS"]).write_text(json.dumps(arguments), encoding="utf-8")
    log = os.environ.get("STAND_IN_LOG", "a table") + "\n"
    sys.stderr.write(log)
    code = int(os.environ.get("STAND_IN_CODE", "0"))
    if code in (0, 1):
        for argument in arguments:
            if argument.startswith("--report="):
                kind, file = argument.removeprefix("--report=").split("=", 1)
                Path(file).write_text(TEXTS.get(kind, log), encoding="utf-8")
        if "--format=github" in arguments:
            print("::error title=t::annotated")
            Path(os.environ["GITHUB_STEP_SUMMARY"]).write_text("# Summary\n", encoding="utf-8")
    return code


if __name__ == "__main__":
    if sys.argv[1:4] == ["-m", "tinydeploy", "check"]:
        sys.exit(main(sys.argv[4:]))
    if sys.argv[1:2] == ["check"]:
        sys.exit(main(sys.argv[2:]))
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
