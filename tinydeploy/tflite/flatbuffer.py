"""A read-only view of a FlatBuffer in which every access is checked against the file's size.

The accessors that are generated from the schema trust the file: a negative offset wraps around, and a vector is
as long as it claims to be. They also take a fifth of a second to import. tinydeploy reads files that it did not
write, and needs a dozen tables of the schema, so it has this view instead: tables, scalars, strings and vectors,
nothing else. The format is described at https://flatbuffers.dev/internals/.

Every failure is a `MalformedError`. Two budgets bound the work on a file whose tables point at one another:
the bytes that are looked at, and the numbers that become Python objects. A file in which nothing is shared stays
far below both.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

_U16 = Struct("<H")
_U32 = Struct("<I")
_I32 = Struct("<i")
_F32 = Struct("<f")

# a name or a description longer than this is not one
MAX_STRING_BYTES = 65_536
# numbers in vectors (shapes, indices, scales) of one file, all together
MAX_NUMBERS = 4_000_000


class MalformedError(Exception):
    """The bytes are not a FlatBuffer of the expected form; the message says where."""


class View:
    """The bytes of one FlatBuffer, with what is left of its budgets."""

    __slots__ = ("_bytes_left", "_numbers_left", "data", "size")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self._bytes_left = 2 * self.size + 65_536
        self._numbers_left = min(self.size + 4096, MAX_NUMBERS)

    def root(self) -> Table:
        """The root table. Raises `MalformedError`."""
        return Table(self, self.follow(0))

    def follow(self, pos: int) -> int:
        """Where the unsigned offset at `pos` leads to: at least four bytes before the end."""
        self.need(pos, 4, "an offset")
        offset: int = _U32.unpack_from(self.data, pos)[0]
        target = pos + offset
        if offset == 0 or target > self.size - 4:
            raise MalformedError(f"the offset at byte {pos} leads to byte {target}, outside of the file")
        return target

    def need(self, pos: int, count: int, what: str) -> None:
        """Raise unless the bytes [pos, pos + count) lie in the file."""
        if pos < 0 or count < 0 or pos + count > self.size:
            raise MalformedError(f"{what} at byte {pos} ({count} bytes) reaches beyond the file's {self.size} bytes")

    def charge(self, count: int, numbers: int = 0) -> None:
        """Account for `count` bytes that are looked at, of which `numbers` become Python objects."""
        self._bytes_left -= count
        self._numbers_left -= numbers
        if self._bytes_left < 0 or self._numbers_left < 0:
            raise MalformedError("its tables overlap: following them would read the file many times over")

    def slice(self, start: int, count: int) -> bytes:
        """The bytes [start, start + count), copied."""
        self.need(start, count, "data")
        self.charge(count)
        return self.data[start : start + count]


class Table:
    """One table. Fields are named by their slot: their number in the schema's order of declaration."""

    __slots__ = ("_pos", "_size", "_view", "_vtable", "_vtable_size")

    def __init__(self, view: View, pos: int) -> None:
        view.need(pos, 4, "a table")
        view.charge(8)
        vtable = pos - _I32.unpack_from(view.data, pos)[0]
        view.need(vtable, 4, "a table's index")
        vtable_size: int = _U16.unpack_from(view.data, vtable)[0]
        size: int = _U16.unpack_from(view.data, vtable + 2)[0]
        if vtable_size < 4 or vtable_size % 2 or size < 4:
            raise MalformedError(f"the table at byte {pos} has no valid index")
        view.need(vtable, vtable_size, "a table's index")
        view.need(pos, size, "a table")
        self._view = view
        self._pos = pos
        self._size = size
        self._vtable = vtable
        self._vtable_size = vtable_size

    @property
    def position(self) -> int:
        """Its first byte in the file."""
        return self._pos

    def slots(self) -> tuple[int, ...]:
        """The fields that it holds."""
        return tuple(slot for slot in range((self._vtable_size - 4) // 2) if self._field(slot, 1))

    def target(self, slot: int) -> int:
        """The position that a field leads to, which must hold an offset."""
        pos = self._field(slot, 4)
        if not pos:
            raise MalformedError(f"the table at byte {self._pos} has no field {slot}")
        return self._view.follow(pos)

    def _field(self, slot: int, width: int) -> int:
        """The field's position in the file, or 0 when the table does not hold it."""
        entry = 4 + 2 * slot
        if entry + 2 > self._vtable_size:
            return 0
        offset: int = _U16.unpack_from(self._view.data, self._vtable + entry)[0]
        if offset == 0:
            return 0
        if offset < 4 or offset + width > self._size:
            raise MalformedError(f"field {slot} of the table at byte {self._pos} lies outside of it")
        return self._pos + offset

    def integer(self, slot: int, width: int, *, signed: bool = True, default: int = 0) -> int:
        """An integer field of `width` bytes."""
        pos = self._field(slot, width)
        if not pos:
            return default
        return int.from_bytes(self._view.data[pos : pos + width], "little", signed=signed)

    def float32(self, slot: int, default: float = 0.0) -> float:
        """A single-precision field."""
        pos = self._field(slot, 4)
        if not pos:
            return default
        value: float = _F32.unpack_from(self._view.data, pos)[0]
        return value

    def boolean(self, slot: int) -> bool:
        """A boolean field, false by default."""
        return self.integer(slot, 1) != 0

    def table(self, slot: int) -> Table | None:
        """A sub-table, or the table of a union's value."""
        pos = self._field(slot, 4)
        return Table(self._view, self._view.follow(pos)) if pos else None

    def vector(self, slot: int, width: int) -> tuple[int, int] | None:
        """A vector's first byte and its length in elements of `width` bytes."""
        pos = self._field(slot, 4)
        if not pos:
            return None
        start = self._view.follow(pos)
        count: int = _U32.unpack_from(self._view.data, start)[0]
        self._view.need(start + 4, count * width, f"a vector of {count} elements")
        return start + 4, count

    def tables(self, slot: int) -> TableVector:
        """A vector of tables, empty when it is absent."""
        start, count = self.vector(slot, 4) or (0, 0)
        return TableVector(self._view, start, count)

    def integers(self, slot: int, code: str = "i", *, limit: int = MAX_NUMBERS) -> tuple[int, ...] | None:
        """A vector of at most `limit` integers; `code` is `struct`'s letter of an element. None when it is absent."""
        return self._numbers(slot, code, limit)

    def floats(self, slot: int) -> tuple[float, ...] | None:
        """A vector of single-precision numbers. None when it is absent."""
        return self._numbers(slot, "f", MAX_NUMBERS)

    def _numbers(self, slot: int, code: str, limit: int) -> tuple[Any, ...] | None:
        width = 8 if code == "q" else 4
        found = self.vector(slot, width)
        if found is None:
            return None
        start, count = found
        if count > limit:
            raise MalformedError(f"the list at byte {start} has {count} entries, at most {limit} make sense")
        self._view.charge(count * width, count)
        return Struct(f"<{count}{code}").unpack_from(self._view.data, start)

    def string(self, slot: int) -> str | None:
        """A string; bytes that are not UTF-8 become U+FFFD."""
        found = self.vector(slot, 1)
        if found is None:
            return None
        start, count = found
        if count > MAX_STRING_BYTES:
            raise MalformedError(f"the text at byte {start} is {count} bytes long")
        return self._view.slice(start, count).decode("utf-8", "replace")


class TableVector:
    """A vector of tables, each opened when it is asked for."""

    __slots__ = ("_count", "_start", "_view")

    def __init__(self, view: View, start: int, count: int) -> None:
        self._view = view
        self._start = start
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Table:
        if not 0 <= index < self._count:
            raise IndexError(index)
        return Table(self._view, self._view.follow(self._start + 4 * index))
