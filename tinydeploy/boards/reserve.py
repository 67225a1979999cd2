"""A board without the memory that a user keeps for other things: `--reserve dtcm=16K`, `--regions dtcm,sram1`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tinydeploy.boards.board import Board, Region, RegionKind, joined
from tinydeploy.boards.schema import one_line
from tinydeploy.errors import UsageError
from tinydeploy.units import align_up, kib, parse_bytes

_ALIGNMENT = 32  # of what is reserved: a cache line, as regions begin and end on one


def read_reserves(board: Board, texts: Sequence[str]) -> dict[str, int]:
    """Bytes by region, from texts such as `dtcm=16K`. Raises `UsageError`."""
    found: dict[str, int] = {}
    for text in texts:
        name, equals, size = text.partition("=")
        try:
            wanted = parse_bytes(size if equals else "")
        except UsageError as error:
            raise UsageError(
                f"--reserve '{one_line(text, 60)}' is not REGION=BYTES",
                hint=f"for example dtcm=16K: {error.hint}",
            ) from error
        region = ram_named(board, name)
        if region.name in found:
            raise UsageError(f"--reserve names {region.name} twice", hint="give the sum of both")
        if wanted > region.bytes:
            raise UsageError(
                f"--reserve '{one_line(text, 60)}': {region.name} of {board.id} has only {region.bytes:,} bytes "
                f"({kib(region.bytes)})"
            )
        found[region.name] = wanted
    return found


def read_regions(board: Board, text: str | None) -> tuple[str, ...]:
    """The names, as the board has them, of the regions that an arena may use; None: all that can hold one.

    Raises `UsageError`.
    """
    if text is None:
        return tuple(r.name for r in board.regions if r.arena)
    found = dict.fromkeys(ram_named(board, name) for name in text.split(","))
    for region in found:
        if not region.arena:
            raise UsageError(f"{region.name} of {board.id} cannot hold tensors: {region.use}", hint=_has(board))
    return tuple(region.name for region in found)


def ram_named(board: Board, name: str) -> Region:
    """The RAM region of that name, whatever its case. Raises `UsageError`."""
    wanted = name.strip().lower()
    for region in board.regions:
        if region.name.lower() == wanted:
            if region.kind is RegionKind.RAM:
                return region
            raise UsageError(f"{region.name} of {board.id} is {region.kind.value}, not RAM", hint=_has(board))
    import difflib  # only needed for this message

    near = difflib.get_close_matches(wanted[:32], [r.name.lower() for r in _holders(board)], n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"{board.id} has no region '{one_line(name.strip(), 40)}'", hint=guess + _has(board))


def _holders(board: Board) -> list[Region]:
    return [r for r in board.regions if r.arena]


def _has(board: Board) -> str:
    return f"it has {', '.join(f'{r.name.lower()} ({kib(r.bytes)})' for r in _holders(board))}"


def without(board: Board, reserves: Mapping[str, int]) -> Board:
    """The board as it is when that many bytes of those regions are somebody else's.

    They are a region's last, or its first where another memory follows it without a gap and none precedes it, so that
    what is left stays in one piece. Stack and static data move to the largest piece that is left of `Board.ram`.
    Raises `UsageError` where nothing is left for them.
    """
    if not any(reserves.values()):
        return board
    ends, bases = {r.end for r in board.regions}, {r.base for r in board.regions}
    regions: list[Region] = []
    for region in board.regions:
        taken = align_up(reserves.get(region.name, 0), _ALIGNMENT)
        left = region.bytes - taken
        begins = region.end in bases and region.base not in ends
        if left > 0:
            regions.append(replace(region, base=region.base + taken if begins else region.base, bytes=left))
    return replace(board, regions=tuple(regions), ram=_main(board, regions))


def _main(board: Board, regions: Sequence[Region]) -> Region:
    runs: list[list[Region]] = []
    for region in sorted(regions, key=lambda r: r.base):
        if not board.ram.base <= region.base < board.ram.end:
            continue
        if runs and runs[-1][-1].end == region.base:
            runs[-1].append(region)
        else:
            runs.append([region])
    if not runs:
        raise UsageError(f"nothing of {board.ram.name} is left for stack and static data", hint="reserve less of it")
    return joined(max(runs, key=lambda run: sum(r.bytes for r in run)))
