"""A server for GDB's remote protocol: packets in, a `Target` asked, packets out.

The protocol is that of GDB's manual, appendix "Remote Serial Protocol"; what is here is what GDB uses of it on a
Cortex-M: registers, memory, break- and watchpoints, stepping, and `monitor`. It listens on this machine only. Whoever
connects may send anything: packets are bounded and checked, and what makes no sense is answered with an error.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from tinydeploy.errors import UsageError

PACKET_BYTES = 0x4000
_INTERRUPT = b"\x03"
_SIGTRAP = 5
_LINGER_SECONDS = 1.0

_BREAK_KINDS = (b"0", b"1")
_WATCH_KINDS = {b"2": "write", b"3": "read", b"4": "access"}
_WATCH_WORDS = {"write": "watch", "read": "rwatch", "access": "awatch"}


@dataclass(frozen=True)
class Halt:
    """Why the target stands. `signal`: as Unix numbers them. `watch`: the kind and address of a watchpoint."""

    signal: int = _SIGTRAP
    watch: tuple[str, int] | None = None

    @property
    def reply(self) -> str:
        """The stop reply."""
        watched = "" if self.watch is None else f"{_WATCH_WORDS[self.watch[0]]}:{self.watch[1]:x};"
        return f"T{self.signal:02x}thread:1;{watched}"


class Target(Protocol):
    """What is debugged. Registers are numbered as `description` does, and travel as little-endian bytes."""

    description: str
    memory_map: str
    registers: Sequence[int]

    def read_register(self, number: int) -> bytes:
        """Raises `LookupError` when there is none."""
        ...

    def write_register(self, number: int, value: bytes) -> None:
        """Raises `LookupError` when there is none, or it cannot be set."""
        ...

    def read_memory(self, address: int, size: int) -> bytes:
        """As much as there is from `address` on; raises `LookupError` when there is nothing."""
        ...

    def write_memory(self, address: int, data: bytes) -> None:
        """Raises `LookupError` where nothing can be written."""
        ...

    def set_point(self, kind: str, address: int, size: int, on: bool) -> None:
        """A breakpoint (`kind` is `break`) or a watchpoint (`write`, `read`, `access`); `LookupError`: no room."""
        ...

    def monitor(self, command: str) -> str:
        """What a person asks with `monitor`."""
        ...


class Going(Enum):
    """What the debugger wants when it lets go of a halted target."""

    STEP = "step"
    CONTINUE = "continue"
    DETACH = "detach"
    KILL = "kill"


class GdbServer:
    """Listens on 127.0.0.1 for one debugger. `port` 0 takes any that is free; `port` says which."""

    def __init__(self, port: int) -> None:
        """Raises `UsageError` when the port is taken."""
        try:
            self._listener = socket.create_server(("127.0.0.1", port), backlog=1)
        except OSError as error:
            raise UsageError(
                f"cannot listen on port {port}: {error.strerror or error}", hint="--gdb 0 takes any free port"
            ) from error
        self.port = int(self._listener.getsockname()[1])
        self._connection: socket.socket | None = None
        self._received = bytearray()
        self._acknowledge = True

    @property
    def connected(self) -> bool:
        """Whether a debugger is there."""
        return self._connection is not None

    def accept(self) -> None:
        """Wait for the debugger; nobody else is let in after it."""
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = connection
        self._listener.close()

    def close(self) -> None:
        """Hang up, when the debugger has read all: what it still acknowledges would undo what is under way to it."""
        self._listener.close()
        connection, self._connection = self._connection, None
        if connection is None:
            return
        end = time.monotonic() + _LINGER_SECONDS
        with connection, suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(_LINGER_SECONDS)
            while connection.recv(4096) and time.monotonic() < end:
                continue

    # --- while the target runs ------------------------------------------------------------------------------------

    def interrupted(self) -> bool:
        """Whether the debugger asks for a halt; also when it is gone, which `serve` then finds out."""
        if self._connection is not None and select.select([self._connection], [], [], 0)[0]:
            self._receive()
        if self._connection is None:
            return True
        found = _INTERRUPT in self._received
        self._received.clear()  # nothing else is allowed while the target runs
        return found

    def console(self, text: bytes) -> None:
        """Show text in the debugger; only while the target runs."""
        for start in range(0, len(text), PACKET_BYTES // 4):
            self._send("O" + text[start : start + PACKET_BYTES // 4].hex())

    def halted(self, halt: Halt) -> None:
        """Answer the command that let the target go."""
        self._send(halt.reply)

    def exited(self, code: int) -> None:
        """The target is at its end."""
        self._send(f"W{code & 0xFF:02x}")

    def died(self, signal: int) -> None:
        """The target is at a bad end."""
        self._send(f"X{signal:02x}")

    # --- while it stands ------------------------------------------------------------------------------------------

    def serve(self, target: Target, halt: Halt) -> Going:
        """Answer the debugger until it lets the target go: one of `Going`. Who hangs up detaches."""
        while self._connection is not None:
            packet = self._packet()
            if packet is None:
                continue
            going = _going(packet)
            if going is not None:
                if going is Going.DETACH or packet.startswith(b"vKill"):
                    self._send("OK")
                return going
            if packet == b"QStartNoAckMode":
                self._send("OK")
                self._acknowledge = False
                continue
            try:
                reply = _answer(target, packet, halt)
            except (LookupError, ValueError, OverflowError):
                reply = "E01"
            self._send(reply)
        return Going.DETACH

    # --- bytes ----------------------------------------------------------------------------------------------------

    def _receive(self) -> None:
        connection = self._connection
        if connection is None:
            return
        try:
            data = connection.recv(4096)
        except OSError:
            data = b""
        if not data:
            self.close()
        self._received += data

    def _packet(self) -> bytes | None:
        """The next packet's content; None when it was damaged or the debugger is gone."""
        received = self._received
        while True:
            start = received.find(b"$")
            end = received.find(b"#", start) if start >= 0 else -1
            if end >= 0 and len(received) >= end + 3:
                break
            if start < 0:
                received.clear()  # acknowledgements, and interrupts of what stands already
            elif len(received) - start > 2 * PACKET_BYTES:
                self.close()  # no debugger sends that
            if self._connection is None:
                return None
            self._receive()
        content, check = bytes(received[start + 1 : end]), bytes(received[end + 1 : end + 3])
        del received[: end + 3]
        sound = check.lower() == b"%02x" % (sum(content) & 0xFF)
        if self._acknowledge:
            self._raw(b"+" if sound else b"-")
        return content if sound else None

    def _send(self, text: str) -> None:
        content = text.encode("ascii", "replace")
        self._raw(b"$" + content + b"#%02x" % (sum(content) & 0xFF))

    def _raw(self, data: bytes) -> None:
        if self._connection is None:
            return
        try:
            self._connection.sendall(data)
        except OSError:
            self.close()


_GOING = {
    b"c": Going.CONTINUE,
    b"C": Going.CONTINUE,
    b"vCont;c": Going.CONTINUE,
    b"vCont;C": Going.CONTINUE,
    b"s": Going.STEP,
    b"S": Going.STEP,
    b"vCont;s": Going.STEP,
    b"vCont;S": Going.STEP,
    b"D": Going.DETACH,
    b"k": Going.KILL,
    b"vKill": Going.KILL,
}


def _going(packet: bytes) -> Going | None:
    """What lets the target go. Signals to deliver and addresses to go on from are not for a microcontroller."""
    return next((going for start, going in _GOING.items() if packet.startswith(start)), None)


_FIXED = {
    b"qC": "QC1",
    b"qfThreadInfo": "m1",
    b"qsThreadInfo": "l",
    b"qAttached": "1",
    b"qSymbol::": "OK",
    b"vCont?": "vCont;c;C;s;S",
}
_FEATURES = f"PacketSize={PACKET_BYTES:x};QStartNoAckMode+;qXfer:features:read+;qXfer:memory-map:read+;vContSupported+"


def _answer(target: Target, packet: bytes, halt: Halt) -> str:
    """A packet's reply; "" for what is not known, as the protocol wants it."""
    fixed = _FIXED.get(packet)
    if fixed is not None:
        return fixed
    for start, answer in _ANSWERS.items():
        if packet.startswith(start):
            return answer(target, packet[len(start) :])
    if packet == b"?":
        return halt.reply
    return ""


def _hex(text: bytes) -> int:
    """A number without sign or underscores; `ValueError` for anything else."""
    if not text or len(text) > 16 or any(c not in b"0123456789abcdefABCDEF" for c in text):
        raise ValueError(text)
    return int(text, 16)


def _place(text: bytes) -> tuple[int, int]:
    """`address,length`."""
    address, _, length = text.partition(b",")
    return _hex(address), _hex(length)


def _supported(target: Target, rest: bytes) -> str:
    return _FEATURES


def _all_registers(target: Target, rest: bytes) -> str:
    return "".join(target.read_register(number).hex() for number in target.registers)


def _set_all_registers(target: Target, rest: bytes) -> str:
    values = bytes.fromhex(rest.decode("ascii"))
    for number in target.registers:
        size = len(target.read_register(number))
        value, values = values[:size], values[size:]
        if len(value) == size:
            target.write_register(number, value)
    return "OK"


def _register(target: Target, rest: bytes) -> str:
    return target.read_register(_hex(rest)).hex()


def _set_register(target: Target, rest: bytes) -> str:
    number, _, value = rest.partition(b"=")
    target.write_register(_hex(number), bytes.fromhex(value.decode("ascii")))
    return "OK"


def _memory(target: Target, rest: bytes) -> str:
    address, length = _place(rest)
    return target.read_memory(address, min(length, PACKET_BYTES // 2)).hex()


def _set_memory(target: Target, rest: bytes) -> str:
    place, _, content = rest.partition(b":")
    return _put(target, place, bytes.fromhex(content.decode("ascii")))


def _set_memory_raw(target: Target, rest: bytes) -> str:
    place, _, content = rest.partition(b":")
    data, escaped = bytearray(), False
    for byte in content:
        if byte == 0x7D and not escaped:
            escaped = True
            continue
        data.append(byte ^ 0x20 if escaped else byte)
        escaped = False
    return _put(target, place, bytes(data))


def _put(target: Target, place: bytes, data: bytes) -> str:
    address, length = _place(place)
    if length != len(data):
        raise ValueError(length)
    if data:
        target.write_memory(address, data)
    return "OK"


def _point(on: bool) -> Callable[[Target, bytes], str]:
    def answer(target: Target, rest: bytes) -> str:
        kind, place, *_ = [*rest.split(b";")[0].split(b",", 1), b""]
        name = "break" if kind in _BREAK_KINDS else _WATCH_KINDS.get(kind)
        if name is None:
            return ""
        target.set_point(name, *_place(place), on)
        return "OK"

    return answer


def _transfer(text: Callable[[Target], str]) -> Callable[[Target, bytes], str]:
    """A document, piece by piece."""

    def answer(target: Target, rest: bytes) -> str:
        offset, length = _place(rest)
        whole = text(target)
        piece = whole[offset : offset + min(length, PACKET_BYTES - 8)]
        return ("m" if offset + len(piece) < len(whole) else "l") + piece

    return answer


def _monitor(target: Target, rest: bytes) -> str:
    command = bytes.fromhex(rest.decode("ascii")).decode("utf-8", "replace")
    return (target.monitor(command.strip()) + "\n").encode("utf-8").hex()


_ANSWERS: Mapping[bytes, Callable[[Target, bytes], str]] = {
    b"qSupported": _supported,
    b"qXfer:features:read:target.xml:": _transfer(lambda target: target.description),
    b"qXfer:memory-map:read::": _transfer(lambda target: target.memory_map),
    b"qRcmd,": _monitor,
    b"g": _all_registers,
    b"G": _set_all_registers,
    b"p": _register,
    b"P": _set_register,
    b"m": _memory,
    b"M": _set_memory,
    b"X": _set_memory_raw,
    b"Z": _point(True),
    b"z": _point(False),
    b"H": lambda target, rest: "OK",
    b"T": lambda target, rest: "OK",
}
