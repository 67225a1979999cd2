"""The server of GDB's remote protocol, before a target that is a list of values: what GDB's manual says of packets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.rsp import Client, framed
from tinydeploy.emulate.gdb import PACKET_BYTES, GdbServer, Going, Halt
from tinydeploy.errors import UsageError


class FakeTarget:
    """Two registers of four bytes and one of eight; 64 bytes at 0x1000."""

    description = "<target>" + "x" * 40_000 + "</target>"
    memory_map = "<memory-map/>"
    registers: Sequence[int] = range(3)

    def __init__(self) -> None:
        self.values = [b"\x01\x00\x00\x00", b"\xef\xbe\xad\xde", bytes(8)]
        self.memory = bytearray(range(64))
        self.points: list[tuple[str, int, int, bool]] = []

    def read_register(self, number: int) -> bytes:
        return self.values[number]

    def write_register(self, number: int, value: bytes) -> None:
        if len(value) != len(self.values[number]):
            raise ValueError(number)
        self.values[number] = value

    def read_memory(self, address: int, size: int) -> bytes:
        if not 0x1000 <= address < 0x1040:
            raise LookupError(address)
        return bytes(self.memory[address - 0x1000 :][:size])

    def write_memory(self, address: int, data: bytes) -> None:
        if not 0x1000 <= address <= 0x1040 - len(data):
            raise LookupError(address)
        self.memory[address - 0x1000 : address - 0x1000 + len(data)] = data

    def set_point(self, kind: str, address: int, size: int, on: bool) -> None:
        self.points.append((kind, address, size, on))

    def monitor(self, command: str) -> str:
        return f"<{command}>"


@contextmanager
def serving(halt: Halt | None = None) -> Iterator[tuple[Client, FakeTarget, list[Going]]]:
    """A client of a server that stands; the list gets how the server was let go."""
    server, target, ended = GdbServer(0), FakeTarget(), list[Going]()

    def serve() -> None:
        server.accept()
        ended.append(server.serve(target, halt or Halt()))
        server.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with Client(server.port) as client:
            yield client, target, ended
    finally:
        thread.join(30)
        server.close()
    assert not thread.is_alive()


def test_registers() -> None:
    with serving() as (client, target, _):
        assert client.ask("g") == "01000000efbeadde0000000000000000"
        assert client.ask("p1") == "efbeadde"
        assert client.ask("P2=0807060504030201") == "OK"
        assert target.values[2] == bytes([8, 7, 6, 5, 4, 3, 2, 1])
        assert client.ask("G" + "0200000003000000ffffffffffffffff") == "OK"
        assert target.values == [b"\x02\0\0\0", b"\x03\0\0\0", b"\xff" * 8]
        assert [client.ask(wrong) for wrong in ("p9", "P1=00", "P1", "Gzz", "p", "p-1")] == ["E01"] * 6


def test_memory() -> None:
    with serving() as (client, target, _):
        assert client.ask("m1002,3") == "020304"
        assert client.ask("m103e,10") == "3e3f"  # as much as there is
        assert client.ask("M1000,2:aabb") == "OK"
        assert client.ask(b"X1002,4:}\x03}\x04}\x5d\x00") == "OK"  # } escapes #, $ and itself
        assert bytes(target.memory[:7]) == b"\xaa\xbb#$}\x00\x06"
        assert client.ask("X1000,0:") == "OK"  # how GDB asks whether X is known
        wrong = ("m2000,4", "M103f,2:0000", "M1000,2:aa", "m1000", "m1000,4_0", "m1000,11111111111111111", "Mx,1:00")
        assert [client.ask(packet) for packet in wrong] == ["E01"] * len(wrong)


def test_points() -> None:
    with serving() as (client, target, _):
        for packet in ("Z0,1000,2", "Z1,1000,2;X1,0", "Z2,20,4", "Z3,20,4", "Z4,20,4", "z4,20,4"):
            assert client.ask(packet) == "OK"
        assert client.ask("Z5,20,4") == ""
        kinds = [(kind, on) for kind, _, _, on in target.points]
        assert kinds == [("break", True)] * 2 + [("write", True), ("read", True), ("access", True), ("access", False)]
        assert client.ask("Z0,,") == "E01"


def test_what_gdb_asks_first() -> None:
    with serving() as (client, _, _):
        features = client.ask("qSupported:multiprocess+;hwbreak+").split(";")
        assert {"QStartNoAckMode+", "qXfer:features:read+", "qXfer:memory-map:read+"} <= set(features)
        assert f"PacketSize={PACKET_BYTES:x}" in features
        assert client.ask("vMustReplyEmpty") == ""
        assert client.ask("?") == "T05thread:1;"
        assert client.ask("qfThreadInfo") == "m1"
        assert client.ask("vCont?") == "vCont;c;C;s;S"
        assert client.monitor("step") == "<step>\n"


def test_long_documents_come_in_pieces() -> None:
    with serving() as (client, _, _):
        whole = ""
        while True:
            piece = client.ask(f"qXfer:features:read:target.xml:{len(whole):x},ffff")
            assert len(piece) <= PACKET_BYTES
            whole += piece[1:]
            if piece[0] == "l":
                break
        assert whole == FakeTarget.description
        assert client.ask("qXfer:memory-map:read::0,100") == "l<memory-map/>"
        assert client.ask("qXfer:features:read:other.xml:0,100") == ""


@pytest.mark.parametrize(
    ("packet", "going", "reply"),
    [
        ("c", Going.CONTINUE, None),
        ("C05", Going.CONTINUE, None),
        ("vCont;c:p1.-1", Going.CONTINUE, None),
        ("s", Going.STEP, None),
        ("vCont;s:1;c", Going.STEP, None),
        ("D", Going.DETACH, "OK"),
        ("k", Going.KILL, None),
        ("vKill;1", Going.KILL, "OK"),
    ],
)
def test_letting_go(packet: str, going: Going, reply: str | None) -> None:
    with serving() as (client, _, ended):
        client.send(packet)
        if reply is not None:
            assert client.reply() == reply
        with pytest.raises(EOFError):
            client.reply()
    assert ended == [going]


def test_damaged_packets_are_asked_for_again() -> None:
    with serving() as (client, _, _):
        client.raw(b"$g#00")
        assert client.socket.recv(1) == b"-"
        assert client.ask("p0") == "01000000"
        assert client.ask("QStartNoAckMode") == "OK"
        client.raw(b"$p0#00" + framed(b"p1"))
        assert client.reply() == "efbeadde"


def test_a_packet_without_an_end_is_hung_up_on() -> None:
    with serving() as (client, _, ended):
        client.raw(b"$" + b"m" * (3 * PACKET_BYTES))
        with pytest.raises(EOFError):
            client.reply()
    assert ended == [Going.DETACH]


@settings(max_examples=60)
@given(st.lists(st.one_of(st.binary(max_size=60), st.text("$#+-0123456789abcdefmMXZzGgPpqHTsv,:;=\x03", max_size=40))))
def test_nothing_that_is_sent_breaks_it(packets: list[bytes | str]) -> None:
    """Neither framed nor bare; whoever hangs up detaches."""
    with serving() as (client, _, ended):
        try:
            for packet in packets:
                data = packet if isinstance(packet, bytes) else packet.encode()
                client.raw(data)
                client.send(data)
            client.socket.shutdown(socket.SHUT_WR)
            while client.socket.recv(4096):
                pass
        except OSError:  # it was let go, and hung up
            pass
    assert len(ended) == 1


def test_only_this_machine_can_connect() -> None:
    server = GdbServer(0)
    try:
        assert server._listener.getsockname()[0] == "127.0.0.1"
        with pytest.raises(UsageError, match="cannot listen"):
            GdbServer(server.port)
    finally:
        server.close()
