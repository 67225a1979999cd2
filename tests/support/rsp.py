"""A client for GDB's remote protocol, as small as it can be."""

from __future__ import annotations

import socket
from types import TracebackType


def framed(content: bytes) -> bytes:
    """A packet."""
    return b"$" + content + b"#%02x" % (sum(content) % 256)


class Client:
    """Connected to a server on this machine, with acknowledgements; `printed` is what came in O packets."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.printed = b""
        self._received = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, content: str | bytes) -> None:
        """A packet, without waiting for its reply."""
        self.socket.sendall(framed(content.encode("latin-1") if isinstance(content, str) else content))

    def raw(self, data: bytes) -> None:
        """Whatever bytes."""
        self.socket.sendall(data)

    def reply(self) -> str:
        """The next reply that is no output; `EOFError` when the server hangs up."""
        while True:
            start = self._received.find(b"$")
            end = self._received.find(b"#", start)
            if start >= 0 and end >= 0 and len(self._received) >= end + 3:
                content, check = self._received[start + 1 : end], self._received[end + 1 : end + 3]
                self._received = self._received[end + 3 :]
                assert check == b"%02x" % (sum(content) % 256)
                self.socket.sendall(b"+")
                if content[:1] == b"O" and content != b"OK":
                    self.printed += bytes.fromhex(content[1:].decode())
                    continue
                return content.decode("latin-1")
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            self._received += data

    def ask(self, content: str | bytes) -> str:
        """A packet's reply."""
        self.send(content)
        return self.reply()

    def monitor(self, command: str) -> str:
        """What `monitor` answers."""
        return bytes.fromhex(self.ask("qRcmd," + command.encode().hex())).decode()
