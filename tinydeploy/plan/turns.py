"""How the operators of a segment take turns: what each row step needs and makes, and two ways to choose who is next."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence

from tinydeploy.plan.rows import Actor, RowGraph

Tick = tuple[int, int]
"""(actor's position, row step): the unit of a program's time."""


class Moves:
    """What an actor does in each of its row steps, as the inner loops want it.

    `reads`: (store, the rows that must be there, the lowest row that is needed afterwards); `writes`: (store, how many
    rows, how many rows there are then); each by row step.
    """

    def __init__(self, actor: Actor, graph: RowGraph) -> None:
        self.steps = actor.steps
        self.scratch = 0 if actor.carries else actor.scratch_bytes
        self.carried = actor.scratch_bytes if actor.carries else 0
        self.over = actor.over
        self.reads = [
            (s, tuple(end for _, end in spans), (*(first for first, _ in spans[1:]), graph.stores[s].rows))
            for s, spans in actor.reads
        ]
        self.starts = [(s, spans[0][0]) for s, spans in actor.reads]
        self.firsts = [tuple(first for first, _ in spans) for _, spans in actor.reads]
        self.writes = [
            (s, tuple(end - first for first, end in spans), tuple(end for _, end in spans)) for s, spans in actor.writes
        ]


Turns = Callable[[list[Moves]], Iterator[Tick]]


Need = tuple[tuple[int, int], int, tuple[int, ...]]
"""What an actor waits for: which write of whom, (actor, position), in which store, and up to which row, by step."""


def _needs(moves: Sequence[Moves]) -> list[list[Need]]:
    """By actor: what it needs of those before it. Where several write a store, each need counts the rows of one.

    Who comes later writes other parts of the same rows, and may wait for this one.
    """
    makers: dict[int, list[tuple[int, int]]] = {}
    for a, each in enumerate(moves):
        for position, (s, _, _) in enumerate(each.writes):
            makers.setdefault(s, []).append((a, position))
    found: list[list[Need]] = []
    for reader, each in enumerate(moves):
        needs: list[Need] = []
        for (s, ends, _), firsts in zip(each.reads, each.firsts, strict=True):
            for a, position in makers.get(s, ()):
                if a >= reader:
                    continue
                _, counts, stops = moves[a].writes[position]
                begin, stop = stops[0] - counts[0], stops[-1]
                if not begin and stop >= ends[-1]:
                    needs.append(((a, position), s, ends))
                    continue
                rows = zip(firsts, ends, strict=True)
                wanted = tuple(min(end, stop) if first < stop and end > begin else 0 for first, end in rows)
                if any(wanted):
                    needs.append(((a, position), s, wanted))
        found.append(needs)
    return found


def is_chain(moves: Sequence[Moves]) -> bool:
    """Whether there is only one sensible way to take turns."""
    readers: dict[int, int] = {}
    for needs in _needs(moves):
        if len(needs) > 1:
            return False
        for _, s, _ in needs:
            readers[s] = readers.get(s, 0) + 1
    return all(n <= 1 for n in readers.values())


def lazily(moves: list[Moves]) -> Iterator[Tick]:
    """Each row when somebody needs it: what nobody in the segment reads is drawn on in equal shares, and draws on the
    rest."""
    needs = _needs(moves)
    rows = {(a, position): 0 for a, each in enumerate(moves) for position in range(len(each.writes))}
    drawn_on = {a for each in needs for (a, _), _, _ in each}
    final = [a for a in range(len(moves)) if a not in drawn_on]
    done = [0] * len(moves)
    queue = [(0.0, a) for a in final]
    # rows at the end that nobody draws on come last
    wanted = [(a, moves[a].steps) for a in sorted(drawn_on)]
    while queue or wanted:
        if queue:
            _, a = heapq.heappop(queue)
            stack = [(a, done[a] + 1)]
            if done[a] + 1 < moves[a].steps:
                heapq.heappush(queue, ((done[a] + 1) / moves[a].steps, a))
        else:
            stack = [wanted.pop(0)]
        while stack:
            a, upto = stack[-1]
            row = done[a]
            if row >= upto:
                stack.pop()
                continue
            for made, _, ends in needs[a]:
                if rows[made] < ends[row]:
                    by, _ = made
                    stack.append((by, done[by] + 1))
                    if len(stack) > len(moves) + 1:
                        raise RuntimeError("operators wait for each other's rows")
                    break
            else:
                yield a, row
                done[a] = row + 1
                for position, (_, _, stops) in enumerate(moves[a].writes):
                    rows[a, position] = stops[row]


def eagerly(moves: list[Moves]) -> Iterator[Tick]:
    """Each row as soon as what it needs is there, the last operator first."""
    needs = _needs(moves)
    rows = {(a, position): 0 for a, each in enumerate(moves) for position in range(len(each.writes))}
    last = {by: b for b, each in enumerate(needs) for (by, _), _, _ in each}  # who waits for it, the last of them
    done = [0] * len(moves)
    a = len(moves) - 1
    while a >= 0:
        row = done[a]
        if row < moves[a].steps and all(rows[made] >= ends[row] for made, _, ends in needs[a]):
            yield a, row
            done[a] = row + 1
            for position, (_, _, stops) in enumerate(moves[a].writes):
                rows[a, position] = stops[row]
            a = max(a, last.get(a, a))
        else:
            a -= 1
