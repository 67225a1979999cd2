"""Which bytes are alive once a set of operators has run: the graph on which an order of operators is searched.

Sets of operators are bit masks, bit v for the v-th operator of the model's own order. What is alive after a set has
run depends on the set alone and not on the order within it; that is what makes a search over sets exact.

Tensors that are the same bytes (reshapes) are one *value*. As a function of the set, the bytes alive are submodular
(a value counts while its producer has run and one of its readers has not), so the set with the fewest bytes alive
between two others is a minimum cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tinydeploy.ir import Model, Operator
from tinydeploy.operators.base import Memory
from tinydeploy.plan.problem import MemoryOf, alias_source
from tinydeploy.plan.types import ALIGNMENT
from tinydeploy.units import align_up

NO_PRODUCER = -1  # of a value that is there from the start
ENDLESS = 1 << 62  # the capacity of an edge that no minimum cut takes


@dataclass(frozen=True)
class Value:
    """Tensors that are the same bytes: `bytes` (aligned) from the `producer`'s step to the last of the `readers`.

    `held`: alive to the end, since the model returns it or since somebody outside of the graph reads it.
    """

    producer: int
    readers: int
    bytes: int
    held: bool


@dataclass(frozen=True)
class Graph:
    """Operators with their order constraints, and the values between them.

    `before[v]` and `after[v]` are masks of operators that must run before and after v. `scratch[v]` is needed during
    v's step alone, `during[v]` is the scratch with v's results. `over[v]` are the values (numbers) that v's output may
    lie over. `start_bytes` are alive before the first operator, values without a reader here included.

    A node may stand for several operators that run one after the other: then `scratch` and `during` are the first
    one's, and the others add `rest[v]` less what dies with the first one.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    values: tuple[Value, ...]
    scratch: tuple[int, ...]
    during: tuple[int, ...]
    over: tuple[tuple[int, ...], ...]
    rest: tuple[int, ...]
    start_bytes: int
    everything: int = field(init=False)
    born: tuple[int, ...] = field(init=False)  # bytes of v's results that outlive its step
    ends: tuple[tuple[tuple[int, int], ...], ...] = field(init=False)  # (readers, bytes) of what may die with v
    covers: tuple[tuple[int, ...], ...] = field(init=False)  # readers of what v may write over

    def __post_init__(self) -> None:
        born = [0] * self.count
        ends: list[list[tuple[int, int]]] = [[] for _ in range(self.count)]
        for value in self.values:
            if value.producer != NO_PRODUCER and (value.readers or value.held):
                born[value.producer] += value.bytes
            if not value.held:
                for v in bits(value.readers):
                    ends[v].append((value.readers, value.bytes))
        covers = [tuple(self.values[i].readers for i in numbers if not self.values[i].held) for numbers in self.over]
        object.__setattr__(self, "everything", (1 << self.count) - 1)
        object.__setattr__(self, "born", tuple(born))
        object.__setattr__(self, "ends", tuple(map(tuple, ends)))
        object.__setattr__(self, "covers", tuple(covers))

    @property
    def count(self) -> int:
        """The number of operators."""
        return len(self.before)

    def change(self, v: int, done: int) -> tuple[int, int]:
        """What running v changes, if `done` (v included) has run then: `(bytes that die, bytes its step adds)`.

        Results count from the step on, operands to its end; a result in place of a dying operand adds nothing.
        """
        freed = 0
        for readers, size in self.ends[v]:
            if not readers & ~done:
                freed += size
        for readers in self.covers[v]:
            if not readers & ~done:
                return freed, max(self.scratch[v], self.rest[v] - freed)
        return freed, max(self.during[v], self.rest[v] - freed)

    def steps(self, order: Sequence[int]) -> tuple[list[int], list[int]]:
        """Bytes alive during each step of `order`, and after it."""
        live, done = self.start_bytes, 0
        during, after = [], []
        for v in order:
            done |= 1 << v
            freed, extra = self.change(v, done)
            during.append(live + extra)
            live += self.born[v] - freed
            after.append(live)
        return during, after

    def closures(self) -> tuple[list[int], list[int]]:
        """All operators before, and all after, each one. Bits must be in an order that can run."""
        above = list(self.before)
        for v in range(self.count):
            for u in bits(self.before[v]):
                above[v] |= above[u]
        below = list(self.after)
        for v in reversed(range(self.count)):
            for w in bits(self.after[v]):
                below[v] |= below[w]
        return above, below

    def least_step_bytes(self) -> int:
        """A lower bound of every order's peak: what each step needs, and every value that must then be alive.

        A value must be alive at v if its producer runs before v, and one of its readers after v, in every order.
        """
        above, below = self.closures()
        need = [0] * self.count
        for value in self.values:
            origin = value.producer
            later = self.everything if origin == NO_PRODUCER else below[origin]
            if not value.held:
                earlier = value.readers
                for reader in bits(value.readers):
                    earlier |= above[reader]
                later &= earlier
            for v in bits(later):
                need[v] += value.bytes
        unnamed = self.start_bytes - sum(value.bytes for value in self.values if value.producer == NO_PRODUCER)
        least = self.start_bytes
        for v in range(self.count):
            in_place = any(not readers & below[v] for readers in self.covers[v])
            least = max(least, unnamed + need[v] + (self.scratch[v] if in_place else self.during[v]))
        return least

    def part(self, first: int, end: int, start_bytes: int) -> Graph:
        """The graph of operators `[first, end)`, when exactly those before `first` have run."""
        inside = ((1 << (end - first)) - 1) << first
        done = (1 << first) - 1
        numbers: dict[int, int] = {}
        values: list[Value] = []
        for number, value in enumerate(self.values):
            readers = value.readers & inside
            here = first <= value.producer < end
            if not here and (not readers or value.producer >= end):
                continue
            numbers[number] = len(values)
            producer = value.producer - first if here else NO_PRODUCER
            held = value.held or bool(value.readers & ~(inside | done))
            values.append(Value(producer, readers >> first, value.bytes, held))
        return Graph(
            before=tuple((m & inside) >> first for m in self.before[first:end]),
            after=tuple((m & inside) >> first for m in self.after[first:end]),
            values=tuple(values),
            scratch=self.scratch[first:end],
            during=self.during[first:end],
            over=tuple(tuple(numbers[i] for i in over) for over in self.over[first:end]),
            rest=self.rest[first:end],
            start_bytes=start_bytes,
        )

    def valley(self, low: int, high: int, *, largest: bool) -> tuple[int, int]:
        """The set with the fewest bytes alive among those that hold `low` and lie in `high`; and the edges looked at.

        The largest such set, or the smallest: the sets with the fewest bytes are closed under union and intersection.
        """
        free = high & ~low
        flow = _Flow(self.count + len(self.values))
        for v in bits(free):
            for u in bits(self.before[v] & free):
                flow.edge(v, u, ENDLESS)
        for number, value in enumerate(self.values):
            born_here = value.producer != NO_PRODUCER and free >> value.producer & 1
            if value.producer != NO_PRODUCER and not born_here and not low >> value.producer & 1:
                continue
            origin = value.producer if born_here else flow.source
            readers = value.readers & free
            if value.held or value.readers & ~high:
                if born_here:
                    flow.edge(origin, flow.sink, value.bytes)
            elif readers:
                flow.edge(origin, self.count + number, value.bytes)
                for v in bits(readers):
                    flow.edge(self.count + number, v, ENDLESS)
        flow.fill()
        side = flow.largest_source_side() if largest else flow.smallest_source_side()
        return low | sum(1 << v for v in bits(free) if v in side), flow.looked_at


class _Flow:
    """Maximum flow by shortest augmenting paths (Edmonds and Karp, 1972)."""

    def __init__(self, nodes: int) -> None:
        self.source, self.sink = nodes, nodes + 1
        self.room: list[dict[int, int]] = [{} for _ in range(nodes + 2)]
        self.looked_at = 0

    def edge(self, a: int, b: int, capacity: int) -> None:
        self.room[a][b] = self.room[a].get(b, 0) + capacity
        self.room[b].setdefault(a, 0)

    def fill(self) -> None:
        while True:
            came_from = self._reach()
            if self.sink not in came_from:
                return
            path = [self.sink]
            while path[-1] != self.source:
                path.append(came_from[path[-1]])
            pairs = list(zip(path[1:], path, strict=False))
            amount = min(self.room[a][b] for a, b in pairs)
            for a, b in pairs:
                self.room[a][b] -= amount
                self.room[b][a] += amount

    def smallest_source_side(self) -> set[int]:
        return set(self._reach())

    def largest_source_side(self) -> set[int]:
        sinking = {self.sink}
        queue = deque(sinking)
        while queue:
            b = queue.popleft()
            for a in self.room[b]:
                if a not in sinking and self.room[a][b] > 0:
                    sinking.add(a)
                    queue.append(a)
        return set(range(len(self.room))) - sinking

    def _reach(self) -> dict[int, int]:
        """What can still be reached from the source, each node with the one before it; the source alone has itself."""
        came_from = {self.source: self.source}
        queue = deque([self.source])
        while queue and self.sink not in came_from:
            a = queue.popleft()
            self.looked_at += len(self.room[a])
            for b, room in self.room[a].items():
                if room > 0 and b not in came_from:
                    came_from[b] = a
                    queue.append(b)
        return came_from


def bits(mask: int) -> Iterator[int]:
    """The positions of the bits that are set, lowest first."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def graph_of(model: Model, *, in_place: bool, memory_of: MemoryOf) -> tuple[Graph, int]:
    """The graph of a model whose own order can run; and the bytes that are alive during the first step alone.

    The latter are model inputs without a reader. Operators that touch one variable tensor keep their order.
    """
    value_of: dict[int, int] = {}  # tensor → number of its value
    producers: list[int] = []
    readers: list[int] = []
    sizes: list[int] = []
    held: list[bool] = []

    def settle(tensor: int, producer: int) -> None:
        value_of[tensor] = len(sizes)
        producers.append(producer)
        readers.append(0)
        sizes.append(align_up(model.tensors[tensor].bytes, ALIGNMENT))
        held.append(model.tensors[tensor].variable)

    for index in (*model.inputs, *(i for op in model.operators for i in op.inputs), *model.outputs):
        stored = index >= 0 and (index in model.inputs or model.tensors[index].variable)
        if stored and index not in value_of:
            settle(index, NO_PRODUCER)
    before = [0] * len(model.operators)
    made_by: dict[int, int] = {}
    touched_by: dict[int, int] = {}
    scratch: list[int] = []
    during: list[int] = []
    over: list[tuple[int, ...]] = []
    for v, op in enumerate(model.operators):
        memory = memory_of(model, op)
        for index in set(op.inputs):
            if index in made_by:
                before[v] |= 1 << made_by[index]
            if index in value_of:
                readers[value_of[index]] |= 1 << v
                if model.tensors[index].variable:
                    before[v] |= 1 << touched_by[index] if index in touched_by else 0
                    touched_by[index] = v
        over.append(_may_lie_over(model, op, memory, value_of) if in_place else ())
        scratch.append(align_up(max(memory.scratch_bytes, 0), ALIGNMENT))
        same = alias_source(model, op, memory)
        for index in op.outputs:
            made_by[index] = v
            if same is None:
                settle(index, v)
            else:
                value_of[index] = value_of[same]
        during.append(scratch[v] + sum(sizes[value_of[i]] for i in op.outputs if same is None))
    for index in model.outputs:
        held[value_of[index]] = True

    after = [0] * len(before)
    for v, mask in enumerate(before):
        for u in bits(mask):
            after[u] |= 1 << v
    values = tuple(map(Value, producers, readers, sizes, held))
    given = [value for value in values if value.producer == NO_PRODUCER]
    unread = sum(value.bytes for value in given if not value.readers and not value.held)
    start = sum(value.bytes for value in given) - unread
    wanted = tuple(
        value if value.readers or value.held or value.producer != NO_PRODUCER else Value(NO_PRODUCER, 0, 0, False)
        for value in values
    )
    rest = (0,) * len(before)
    graph = Graph(tuple(before), tuple(after), wanted, tuple(scratch), tuple(during), tuple(over), rest, start)
    return graph, unread


def _may_lie_over(model: Model, op: Operator, memory: Memory, value_of: dict[int, int]) -> tuple[int, ...]:
    """The values that the output may be written over if they die there, as in `build_problem`."""
    if len(op.outputs) != 1:
        return ()
    found = []
    for position in memory.in_place:
        source = model.input_of(op, position)
        if source is None or source.constant or source.variable or source.bytes < model.output_of(op).bytes:
            continue
        value = value_of[source.index]
        elsewhere = (i for p, i in enumerate(op.inputs) if p not in memory.in_place)
        if value not in (value_of.get(i) for i in elsewhere):
            found.append(value)
    return tuple(dict.fromkeys(found))
