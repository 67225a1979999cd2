"""How long the searches of a plan may go on: by effort, which is the same everywhere, and by the clock if asked to."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic


@dataclass(frozen=True)
class Budget:
    """`effort` multiplies what each search may look at. `deadline`: a time of `time.monotonic` at which every search
    ends with the best that it has; then the plan depends on the machine. None: no such time."""

    effort: float = 1.0
    deadline: float | None = None

    def scaled(self, effort: int) -> int:
        """What a search may look at that may usually look at `effort`; nothing once the time is up."""
        return 0 if self.expired else int(effort * self.effort)

    @property
    def expired(self) -> bool:
        """Whether the time is up."""
        return self.deadline is not None and monotonic() >= self.deadline


USUAL = Budget()
