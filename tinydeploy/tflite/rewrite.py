"""Puts a placement for TensorFlow Lite Micro into a .tflite file, and its operators into another order.

The file's bytes stay as they are, behind new ones: a new root table, the vectors that change, and what is added. In a
FlatBuffer offsets lead forward only, so that what is in front can name all that was there. The front is a multiple of
16 bytes long, and every alignment holds. What is left behind without use are the old root and the old vectors, four
bytes for each buffer. A packer of our own for the whole schema, or a dependency, would bring the risk that a
field that it does not know gets lost; this cannot lose any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from struct import pack, pack_into

from tinydeploy.errors import ModelError, UnsupportedModelError
from tinydeploy.tflite import schema
from tinydeploy.tflite.flatbuffer import MalformedError, Table, TableVector, View
from tinydeploy.tflite.graph import DAMAGED_HINT, place
from tinydeploy.tflite.schema import BufferSlot, MetadataSlot, ModelSlot, OperatorSlot, SubGraphSlot
from tinydeploy.units import align_up

OFFLINE_PLAN = "OfflineMemoryAllocation"
"""The metadata's name."""

_ALIGNMENT = 16  # of a buffer's data
_VERSION = 1  # of the metadata's format; TFLM does not look at it
_MODEL_FIELDS = 10  # of the schema's tables, that are known here: each is an offset, but the version and a debug index
_GRAPH_FIELDS = 6


def with_offline_plan(
    data: bytes, offsets: Sequence[int | None], order: Sequence[int] | None = None, *, name: str = "model"
) -> bytes:
    """The file with these offsets as its `OfflineMemoryAllocation`, in place of any that it has.

    `offsets`: for each tensor, in bytes, or None where TFLM is to choose. `order`: the operators by their place in the
    file, as they are to stand. All else is kept. A file that says so already comes back as it is.

    Raises `ModelError` for a file that is damaged, and `UnsupportedModelError` for several graphs (TFLM wants places
    for the tensors of all), for data behind the FlatBuffer, and for fields that are not known here.
    """
    try:
        return _Rewriter(data, name).rewritten(offsets, order)
    except MalformedError as error:
        raise ModelError(f"{place(name)}: {error}", hint=DAMAGED_HINT) from None


class _Rewriter:
    """The parts of a file that matter here."""

    def __init__(self, data: bytes, name: str) -> None:
        if data[4:8] != schema.IDENTIFIER:
            raise MalformedError("not a TFLite model")
        self.data = data
        self.name = name
        self.root = View(data).root()
        self.buffers = self.root.tables(ModelSlot.BUFFERS)
        self.metadata = self.root.tables(ModelSlot.METADATA)
        graphs = self.root.tables(ModelSlot.SUBGRAPHS)
        if len(graphs) != 1:
            raise self._unsupported(
                f"has {len(graphs)} graphs, and TFLM would want places for the tensors of all",
                "convert one signature only, so that the file has one graph",
            )
        self.graph = graphs[0]
        self.operators = self.graph.tables(SubGraphSlot.OPERATORS)
        self._check()

    def _unsupported(self, why: str, hint: str | None = None) -> UnsupportedModelError:
        return UnsupportedModelError(f"{place(self.name)}: {why}", hint=hint)

    def _check(self) -> None:
        """Raise for what would get lost."""
        for table, fields in ((self.root, _MODEL_FIELDS), (self.graph, _GRAPH_FIELDS)):
            if any(slot >= fields for slot in table.slots()):
                raise self._unsupported("has fields of a newer schema, which would get lost")
        outside = any(table.integer(BufferSlot.OFFSET, 8, signed=False) > 1 for table in _each(self.buffers))
        slot = OperatorSlot.LARGE_CUSTOM_OPTIONS_OFFSET
        if outside or any(table.integer(slot, 8, signed=False) > 1 for table in _each(self.operators)):
            raise self._unsupported("holds data behind the FlatBuffer", "convert it again, without external buffers")

    def rewritten(self, offsets: Sequence[int | None], order: Sequence[int] | None) -> bytes:
        """The new file."""
        own = range(len(self.operators))
        wanted = list(own if order is None else order)
        if sorted(wanted) != list(own):
            raise ValueError(f"an order of {len(wanted)} operators for {len(own)}")
        if len(offsets) != len(self.graph.tables(SubGraphSlot.TENSORS)):
            raise ValueError(f"{len(offsets)} offsets for {len(self.graph.tables(SubGraphSlot.TENSORS))} tensors")
        numbers = [_VERSION, 1, len(offsets), *(-1 if offset is None else offset for offset in offsets)]
        plan = pack(f"<{len(numbers)}i", *numbers)
        known = [table for table in _each(self.metadata) if table.string(MetadataSlot.NAME) == OFFLINE_PLAN]
        if wanted == list(own) and [self._content(table) for table in known] == [plan]:
            return self.data
        return self._front(plan, None if wanted == list(own) else wanted).before(self.data)

    def _content(self, metadata: Table) -> bytes:
        """The bytes of a metadata entry."""
        index = metadata.integer(MetadataSlot.BUFFER, 4, signed=False)
        if index >= len(self.buffers):
            raise MalformedError(f"names buffer {index} of {len(self.buffers)}")
        start, count = self.buffers[index].vector(BufferSlot.DATA, 1) or (0, 0)
        return self.data[start : start + count]

    def _front(self, plan: bytes, order: Sequence[int] | None) -> _Front:
        """The new bytes: the root, and all that it leads to and that is not as it was."""
        front = _Front()
        root = front.table({*self.root.slots(), ModelSlot.BUFFERS, ModelSlot.METADATA})
        front.lead(0, root.position)
        front.number(root.fields.pop(ModelSlot.VERSION), schema.VERSION)

        buffers = front.vector(len(self.buffers) + 1)
        front.lead(root.fields.pop(ModelSlot.BUFFERS), buffers.position)
        for at, table in zip(buffers.elements, _each(self.buffers), strict=False):
            front.lead_behind(at, table.position)
        added = front.table({BufferSlot.DATA})
        front.lead(buffers.elements[-1], added.position)
        front.lead(added.fields[BufferSlot.DATA], front.blob(plan, _ALIGNMENT))

        kept = [table for table in _each(self.metadata) if table.string(MetadataSlot.NAME) != OFFLINE_PLAN]
        metadata = front.vector(len(kept) + 1)
        front.lead(root.fields.pop(ModelSlot.METADATA), metadata.position)
        for at, table in zip(metadata.elements, kept, strict=False):
            front.lead_behind(at, table.position)
        added = front.table({MetadataSlot.NAME, MetadataSlot.BUFFER})
        front.lead(metadata.elements[-1], added.position)
        front.number(added.fields[MetadataSlot.BUFFER], len(self.buffers))
        front.lead(added.fields[MetadataSlot.NAME], front.blob(OFFLINE_PLAN.encode(), 4, end=b"\0"))

        if order is not None:
            graphs = front.vector(1)
            front.lead(root.fields.pop(ModelSlot.SUBGRAPHS), graphs.position)
            self._graph(front, graphs.elements[0], order)
        for slot, at in root.fields.items():
            front.lead_behind(at, self.root.target(slot))
        return front

    def _graph(self, front: _Front, at: int, order: Sequence[int]) -> None:
        """The graph with its operators in another order."""
        graph = front.table(self.graph.slots())
        front.lead(at, graph.position)
        operators = front.vector(len(order))
        front.lead(graph.fields.pop(SubGraphSlot.OPERATORS), operators.position)
        for entry, number in zip(operators.elements, order, strict=True):
            front.lead_behind(entry, self.operators[number].position)
        index = graph.fields.pop(SubGraphSlot.DEBUG_METADATA_INDEX, None)
        if index is not None:
            front.number(index, self.graph.integer(SubGraphSlot.DEBUG_METADATA_INDEX, 4))
        for slot, field in graph.fields.items():
            front.lead_behind(field, self.graph.target(slot))


@dataclass(frozen=True)
class _NewTable:
    """Where a table lies in the front, and its fields by slot."""

    position: int
    fields: dict[int, int]


@dataclass(frozen=True)
class _NewVector:
    """Where a vector lies in the front, and its elements."""

    position: int
    elements: range


class _Front:
    """Bytes that are to stand in front of a file. Fields and elements have four bytes, and are filled in later."""

    def __init__(self) -> None:
        self._bytes = bytearray(4) + schema.IDENTIFIER
        self._behind: list[tuple[int, int]] = []

    def table(self, slots: Iterable[int]) -> _NewTable:
        """A table with these fields, behind its index, which is what a table begins with the distance to."""
        slots = sorted(slots)
        index = [0] * (slots[-1] + 1)
        for number, slot in enumerate(slots):
            index[slot] = 4 + 4 * number
        start = self._align(4)
        self._bytes += pack(f"<{2 + len(index)}H", 4 + 2 * len(index), 4 + 4 * len(slots), *index)
        position = self._align(4)
        self._bytes += pack("<i", position - start) + bytes(4 * len(slots))
        return _NewTable(position, {slot: position + index[slot] for slot in slots})

    def vector(self, count: int) -> _NewVector:
        """A vector of offsets."""
        position = self._align(4)
        self._bytes += pack("<I", count) + bytes(4 * count)
        return _NewVector(position, range(position + 4, position + 4 + 4 * count, 4))

    def blob(self, content: bytes, alignment: int, *, end: bytes = b"") -> int:
        """A vector of bytes that begin at a multiple of `alignment`, with `end` behind it. Returns where it lies."""
        position = self._align(alignment, ahead=4)
        self._bytes += pack("<I", len(content)) + content + end
        return position

    def number(self, at: int, value: int) -> None:
        """Fill in a number."""
        pack_into("<I", self._bytes, at, value % 2**32)

    def lead(self, at: int, position: int) -> None:
        """Fill in an offset to what is in the front."""
        self.number(at, position - at)

    def lead_behind(self, at: int, position: int) -> None:
        """Fill in an offset to a position in the file."""
        self._behind.append((at, position))

    def before(self, data: bytes) -> bytes:
        """The front and the file."""
        shift = self._align(_ALIGNMENT)
        for at, position in self._behind:
            self.number(at, shift + position - at)
        return bytes(self._bytes) + data

    def _align(self, alignment: int, ahead: int = 0) -> int:
        """Zeros, so that what comes `ahead` bytes later lies at a multiple of `alignment`. Returns where it begins."""
        size = len(self._bytes)
        self._bytes += bytes(align_up(size + ahead, alignment) - ahead - size)
        return len(self._bytes)


def _each(tables: TableVector) -> Iterator[Table]:
    return (tables[index] for index in range(len(tables)))
