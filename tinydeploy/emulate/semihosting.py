"""Semihosting: what `bkpt 0xAB` asks of the host, as far as it is safe to answer.

Operations and numbers are those of Arm's "Semihosting for AArch32 and AArch64". Firmware may print, read the time and
exit. It never opens, reads, removes or runs anything on the host: such calls fail with -1 as on a host without files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

SYS_OPEN, SYS_CLOSE, SYS_WRITEC, SYS_WRITE0, SYS_WRITE, SYS_READ, SYS_READC = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07
SYS_ISERROR, SYS_ISTTY, SYS_FLEN, SYS_CLOCK, SYS_TIME, SYS_ERRNO = 0x08, 0x09, 0x0C, 0x10, 0x11, 0x13
SYS_HEAPINFO, SYS_EXIT, SYS_EXIT_EXTENDED, SYS_ELAPSED, SYS_TICKFREQ = 0x16, 0x18, 0x20, 0x30, 0x31
APPLICATION_EXIT = 0x20026  # ADP_Stopped_ApplicationExit: the only reason that means success

_FAILED = 0xFFFFFFFF
_CONSOLE = 1  # the one handle: ":tt"
_LONGEST = 1 << 20  # bytes of one printed string; more is a string without an end


@dataclass(frozen=True)
class Answer:
    """What goes into r0; `exit_code` is set when the firmware ends."""

    value: int
    exit_code: int | None = None


class Semihosting:
    """Answers calls. `read` and `write` reach the board's memory and raise `IndexError` outside it; `output` takes what
    is printed; `executed` says how many instructions ran, which is the only clock there is, at `clock_hz`."""

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        write: Callable[[int, bytes], None],
        output: Callable[[bytes], None],
        executed: Callable[[], int],
        clock_hz: int,
    ) -> None:
        self._read = read
        self._write = write
        self._output = output
        self._executed = executed
        self._clock_hz = max(1, clock_hz)

    def _words(self, address: int, number: int) -> tuple[int, ...]:
        data = self._read(address, 4 * number)
        return tuple(int.from_bytes(data[i : i + 4], "little") for i in range(0, 4 * number, 4))

    def _string(self, address: int) -> bytes:
        text = bytearray()
        while len(text) < _LONGEST:
            byte = self._read(address + len(text), 1)
            if byte == b"\0":
                break
            text += byte
        return bytes(text)

    def call(self, operation: int, argument: int) -> Answer:
        """One call: r0 and r1. Raises `IndexError` when it points outside the board's memories."""
        if operation == SYS_EXIT:
            return Answer(0, 0 if argument == APPLICATION_EXIT else 1)
        if operation == SYS_EXIT_EXTENDED:
            reason, code = self._words(argument, 2)
            return Answer(0, code if reason == APPLICATION_EXIT else 1)
        if operation == SYS_WRITEC:
            self._output(self._read(argument, 1))
            return Answer(0)
        if operation == SYS_WRITE0:
            self._output(self._string(argument))
            return Answer(0)
        if operation == SYS_WRITE:
            handle, where, length = self._words(argument, 3)
            if handle != _CONSOLE:
                return Answer(length)
            self._output(self._read(where, length))
            return Answer(0)
        if operation == SYS_OPEN:
            where, _, length = self._words(argument, 3)
            return Answer(_CONSOLE if length == 3 and self._read(where, 3) == b":tt" else _FAILED)
        if operation == SYS_READ:
            return Answer(self._words(argument, 3)[2])  # nothing read: end of file
        if operation == SYS_ELAPSED:
            self._write(argument, self._executed().to_bytes(8, "little"))
            return Answer(0)
        if operation == SYS_HEAPINFO:
            self._write(self._words(argument, 1)[0], bytes(16))
            return Answer(0)
        simple = {
            SYS_CLOSE: 0,
            SYS_READC: 0,
            SYS_ISERROR: 0,
            SYS_ISTTY: 1,
            SYS_FLEN: 0,
            SYS_CLOCK: self._executed() * 100 // self._clock_hz,
            SYS_TIME: 0,
            SYS_ERRNO: 0,
            SYS_TICKFREQ: self._clock_hz,
        }
        return Answer(simple.get(operation, _FAILED) & 0xFFFFFFFF)
