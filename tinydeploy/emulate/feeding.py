"""`RowFeed`: the application's side of a model that is fed by rows, played by the emulator."""

from __future__ import annotations

from collections.abc import Callable

from tinydeploy.emulate.faults import Stop
from tinydeploy.emulate.types import Feed


class RowFeed:
    """Hands over the rows of a `Feed` in order, and ends the run where the firmware asks for anything else."""

    def __init__(self, feed: Feed, write_ram: Callable[[int, bytes], None]) -> None:
        self._feed, self._write_ram = feed, write_ram
        self._next = dict.fromkeys(feed.rows, 0)

    def hand_over(self, number: int, row: int, address: int) -> Stop | None:
        """Put row `row` of input `number` at `address`; what is wrong with being asked for it, or None."""
        rows = self._feed.rows.get(number)
        asked = f"{self._feed.function} is asked for row {row} of input {number}"
        if rows is None:
            return Stop("feed", f"{asked}, which is not fed")
        expected = self._next[number]
        if expected == len(rows):
            return Stop("feed", f"{asked}, but all {len(rows)} are handed over")
        if row != expected:
            return Stop("feed", f"{asked}, but row {expected} comes next")
        try:
            self._write_ram(address, rows[row])
        except IndexError:
            return Stop("feed", f"{asked} at {address:#010x}, where no RAM has {len(rows[row])} bytes", address)
        self._next[number] = row + 1
        return None

    def left_over(self) -> Stop | None:
        """What is wrong when the run ends here: rows that nobody asked for."""
        for number, rows in self._feed.rows.items():
            if self._next[number] < len(rows):
                return Stop("feed", f"the run ended after {self._next[number]} of {len(rows)} rows of input {number}")
        return None
