"""Offsets for the tensors of a model whose operators run in one order, and what TensorFlow Lite Micro makes of them.

TFLM places the kernels' scratch itself, around the offsets that are given: so a candidate is judged by the arena that
its rules come to. Offsets that leave room for scratch in one piece are as good as they look; where there is room for
each buffer of it alone, TFLM may miss it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType
from typing import get_args

from tinydeploy.boards.board import Core
from tinydeploy.ir import Model
from tinydeploy.plan import placement
from tinydeploy.plan import solver as cp_sat
from tinydeploy.plan.budget import Budget
from tinydeploy.plan.shape import Rectangle
from tinydeploy.plan.tflm.arena import NEVER, TflmArena, arena_with, kernels_memory, scratch_requests, tensor_requests
from tinydeploy.plan.tflm.greedy import Request, place
from tinydeploy.plan.tflm.kernels import KernelSet
from tinydeploy.plan.types import ALIGNMENT

KERNEL_SETS: tuple[KernelSet, ...] = get_args(KernelSet)


@dataclass(frozen=True)
class Terms:
    """What a placement is made for; `cp_sat`: with OR-Tools where the built-in search has proved nothing."""

    kernels: KernelSet
    core: Core | None
    budget: Budget
    cp_sat: bool

    @property
    def sets(self) -> tuple[KernelSet, ...]:
        """Both sets of kernels, the wanted one first."""
        return tuple(sorted(KERNEL_SETS, key=lambda each: each != self.kernels))


@dataclass(frozen=True)
class Candidate:
    """A model in some order, an offset for each tensor, and TFLM's arenas with them.

    `exhaustive`: an exact search has shown that no offsets make the non-persistent part smaller in this order.
    """

    model: Model
    offsets: tuple[int | None, ...]
    arenas: Mapping[KernelSet, TflmArena]
    exhaustive: bool = False

    def size(self, terms: Terms) -> tuple[int, ...]:
        """What makes one better than another, if lower."""
        arenas = [self.arenas[each] for each in terms.sets]
        return tuple(size for arena in arenas for size in (arena.arena_bytes, arena.nonpersistent_bytes))


def arenas_with(model: Model, offsets: Sequence[int | None], terms: Terms) -> Mapping[KernelSet, TflmArena]:
    """TFLM's arenas for a model as in its file, with these offsets."""
    return MappingProxyType({each: arena_with(model, offsets, kernels=each, core=terms.core) for each in KERNEL_SETS})


def bound(model: Model, kernels: KernelSet, terms: Terms) -> int:
    """The most bytes that are alive at one time, scratch included: no placement needs less."""
    tensors, idle = _tensors(model)
    scratch = chain.from_iterable(_scratch(model, kernels, terms))
    return max(placement.lower_bound([*_rectangles(tensors.values()), *_rectangles(scratch)]), idle)


def idle_bytes(model: Model) -> int:
    """The largest tensor that nothing reads or writes: TFLM keeps a place for it, which may be anybody else's."""
    return _tensors(model)[1]


def best_candidate(model: Model, terms: Terms) -> Candidate:
    """The best offsets that are found for the model's order; TFLM's own are among those that are tried."""
    goals = {each: bound(model, each, terms) for each in KERNEL_SETS}
    best: Candidate | None = None
    for offsets, least in _tries(model, terms):
        arenas = arenas_with(model, offsets, terms)
        nothing_smaller = least is not None and arenas[terms.kernels].nonpersistent_bytes == least
        tried = Candidate(model, offsets, arenas, nothing_smaller)
        if best is None or tried.size(terms) < best.size(terms):
            best = tried
        if all(best.arenas[each].nonpersistent_bytes <= goals[each] for each in KERNEL_SETS):
            break
    assert best is not None
    return best


def _tries(model: Model, terms: Terms) -> Iterator[tuple[tuple[int | None, ...], int | None]]:
    """Offsets by tensor; and the least that any offsets need, with the wanted kernels, where a search has proved it."""
    tensors, idle = _tensors(model)
    wanted, other = (_scratch(model, each, terms) for each in terms.sets)
    pieces = list(chain.from_iterable(wanted))
    larger = [max(pair, key=_total) for pair in zip(wanted, other, strict=True)]
    tried: list[list[Request]] = []
    for scratch in (pieces, _joined(wanted), _joined(larger)):
        if scratch in tried:
            continue
        tried.append(scratch)
        items = [*_rectangles(tensors.values()), *_rectangles(scratch)]
        placed = placement.place(items, visits=terms.budget.scaled(placement.VISITS), stop=lambda: terms.budget.expired)
        if terms.cp_sat:
            placed = cp_sat.improve(items, placed)
        proved = placed.proof.exhaustive and scratch is pieces
        yield _by_tensor(model, tensors, placed.offsets), max(placed.arena_bytes, idle) if proved else None
    requests = [*tensors.values(), *pieces]
    yield _by_tensor(model, tensors, place(requests)), None
    yield (None,) * len(model.tensors), None


def _tensors(model: Model) -> tuple[dict[int, Request], int]:
    """What is placed, by tensor; without tensors that nothing reads or writes, whose largest size comes beside it."""
    requests = tensor_requests(model, (None,) * len(model.tensors))
    used = {index: request for index, request in requests.items() if request.last != NEVER}
    idle = (request.bytes for index, request in requests.items() if index not in used)
    return used, max(idle, default=0)


def _by_tensor(model: Model, tensors: Mapping[int, Request], placed: Sequence[int]) -> tuple[int | None, ...]:
    """The offset of each tensor of the model: 0 for one that nothing reads or writes, so that it is in nobody's way."""
    offsets: list[int | None] = [None] * len(model.tensors)
    for index in tensor_requests(model, offsets):
        offsets[index] = 0
    for index, offset in zip(tensors, placed, strict=False):  # scratch comes behind the tensors
        offsets[index] = offset
    return tuple(offsets)


def _scratch(model: Model, kernels: KernelSet, terms: Terms) -> list[list[Request]]:
    """The scratch of each operator, in its order."""
    return scratch_requests(kernels_memory(model, kernels=kernels, core=terms.core))


def _joined(scratch: Sequence[Sequence[Request]]) -> list[Request]:
    """Scratch in one piece for each operator: TFLM, which takes the lowest room, never goes above it."""
    return [Request(_total(requests), requests[0].first, requests[0].last) for requests in scratch if requests]


def _total(requests: Sequence[Request]) -> int:
    return sum(request.bytes for request in requests)


def _rectangles(requests: Iterable[Request]) -> Iterator[Rectangle]:
    return (Rectangle("", request.first, request.last + 1, request.bytes, ALIGNMENT) for request in requests)
