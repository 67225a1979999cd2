"""The built-in placement search beside OR-Tools' CP-SAT: `python -m tests.bench.placement [SECONDS]`.

TINYDEPLOY_BENCH is a folder with minimalloc/*.csv, problems whose names end in their capacity (`A.1048576.csv`). Each
solver gets one thread and at most SECONDS (120) for each problem. What is printed is processor time, so that other
work on the machine does not count, without the time to load OR-Tools.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tinydeploy.plan import solver as cp_sat
from tinydeploy.plan.instances import read_csv
from tinydeploy.plan.placement import Placed, place

NO_LIMIT = 10**12


def timed(run: Callable[[], Placed], capacity: int) -> str:
    """How long it took, or that it did not get there."""
    begun = time.process_time()
    placed = run()
    took = time.process_time() - begun
    return f"{took:.2f} s" if placed.arena_bytes <= capacity else f"not within {took:.0f} s"


def compare(path: Path, seconds: float) -> str:
    """One line of the table."""
    problem = read_csv(path.read_text(encoding="utf-8"), path.name)
    capacity = int(path.name.split(".")[1])

    def builtin() -> Placed:
        end = time.process_time() + seconds
        return place(problem, capacity=capacity, visits=NO_LIMIT, stop=lambda: time.process_time() > end)

    def ortools() -> Placed:
        start = place(problem, capacity=capacity, visits=0)
        return cp_sat.improve(problem, start, capacity=capacity, effort=NO_LIMIT, seconds=seconds)

    cells = (path.name, str(len(problem)), timed(builtin, capacity), timed(ortools, capacity))
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 120.0
    import ortools.sat.python.cp_model  # noqa: F401  # loaded before the clock runs

    print("| problem | rectangles | built-in | CP-SAT |\n|---|---|---|---|", flush=True)
    for path in sorted(Path(os.environ["TINYDEPLOY_BENCH"], "minimalloc").glob("*.csv")):
        print(compare(path, seconds), flush=True)


if __name__ == "__main__":
    main()
