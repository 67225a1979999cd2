"""Stands in for `measure` in worker processes: what a case comes to is told by its model's file name.

`started_with(worker)` makes workers start with it; `program` is a command line of its own that does so.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tinydeploy.batch import Case, Outcome
from tinydeploy.batch.child import START
from tinydeploy.batch.material import Material

ILL_START = START.replace(
    "main()", "import tinydeploy.batch.child as c, tests.support.ill_measure as m; c.measure = m.measure; main()"
)
SLEEP = [sys.executable, "-c", "import time; time.sleep(1000)"]


def measure(case: Case, material: Material) -> Outcome:
    """`segv`, `exit`, `raise`, `hang` and `slow` do what they say, all others are ok. `hang` starts processes, one of
    them in a session of its own, and writes the numbers of all into a file beside the model; `litter` leaves files."""
    kind = Path(case.model).stem.partition("-")[0]
    if kind == "segv":
        ctypes.string_at(0)
    if kind == "exit":
        print("last words", file=sys.stderr, flush=True)
        os._exit(3)
    if kind == "memory":
        os.kill(os.getpid(), 9)
    if kind == "litter":
        tempfile.mkdtemp()
        subprocess.run(["mktemp"], check=True)
        print("noise")
    if kind == "hang":
        tempfile.mkdtemp(prefix="left-behind-")
        below = [subprocess.Popen(SLEEP), subprocess.Popen(SLEEP, start_new_session=True)]
        pids = [os.getpid(), *(process.pid for process in below)]
        path = Path(case.model).with_suffix(".pids")
        path.with_suffix(".new").write_text(" ".join(map(str, pids)))
        path.with_suffix(".new").rename(path)
        time.sleep(1000)
    if kind == "slow":
        time.sleep(0.2)
    assert material.data is not None
    return Outcome(case, "ok", material.data.decode())
