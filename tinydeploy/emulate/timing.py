"""Cycles of instruction classes for each core, with their sources: the figures of the timing model in `timing.h`.

Memory has no wait states: flash stalls, caches and bus contention are not modelled. docs/timing.md describes the
model and compares it with measured cycles. Figures with `verified=False` are not from a document that was at hand.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from tinydeploy.boards import Board


@dataclass(frozen=True)
class Figure:
    """A number of cycles, or where it says so of instructions or registers."""

    value: int
    source: str
    verified: bool = True


@dataclass(frozen=True)
class Timing:
    """A core. Costs are whole cycles of an instruction that nothing delays; N is the number of registers moved.

    issue_width: instructions a cycle, 1 or 2. registers_per_cycle: of a load or store of several registers, which
    costs `multiple` + ⌈N / registers_per_cycle⌉. load_pipelined: a load right after a load whose result it does not
    need. address_stall: more, when the instruction before computes the address. branch_*: `taken` of B, B<cond> and
    CB(N)Z, `link` of BL, `register` of BX, BLX and moves to the pc. refill: more, for a load or POP of the pc.
    unaligned_target: more, for a branch to a 32-bit instruction that is not word-aligned. mispredict: more, for a
    conditional branch that a two-bit counter of its own predicts wrongly. fp_result_stall: more, when the next
    instruction needs the result. *_latency: cycles until another instruction can use the result; of dual issue only,
    where the costs above are issue cycles (and those of divisions, latencies).
    """

    issue_width: Figure
    registers_per_cycle: Figure
    load: Figure
    load_pipelined: Figure
    store: Figure
    load_double: Figure
    store_double: Figure
    multiple: Figure
    address_stall: Figure
    multiply: Figure
    multiply_add: Figure
    long_multiply: Figure
    long_multiply_add: Figure
    divide: Figure
    branch_taken: Figure
    branch_not_taken: Figure
    branch_link: Figure
    branch_register: Figure
    refill: Figure
    table_branch: Figure
    unaligned_target: Figure
    mispredict: Figure
    fp_load: Figure
    fp_load_double: Figure
    fp_multiple: Figure
    fp_operation: Figure
    fp_multiply_add: Figure
    fp_divide: Figure
    fp_result_stall: Figure
    load_latency: Figure
    narrow_load_latency: Figure
    multiply_latency: Figure
    fp_latency: Figure
    fp_multiply_add_latency: Figure

    def costs(self) -> tuple[int, ...]:
        """The figures in the order of `COST_NAMES`."""
        return tuple(getattr(self, name).value for name in COST_NAMES)


COST_NAMES = tuple(field.name for field in fields(Timing))
"""As `timing.h` has them."""

_NONE = Figure(0, "the core has no such instruction, or no such delay")

_M0 = "Arm DDI0432, 3.3"
_M0PLUS = "Arm DDI0484C, 3.3"
_M3 = "Arm DDI0337I, 3.3.1 and 3.3.2"
_M4 = "Arm 100166_0001, 3.3.1"
_M4_FP = "Arm DDI0439, 7.2.3"
_M33 = "LLVM schedules the Cortex-M33 with its Cortex-M4 model"
_M7 = "llvm/lib/Target/ARM/ARMScheduleM7.td; Arm publishes no table"
_BRANCHES = "measured on a Cortex-M4, compendium.i-0.nl; the manual has 1 + P, P from 1 to 3"


def _unverified(value: int, source: str) -> Figure:
    return Figure(value, source, verified=False)


def _armv6m(manual: str, load: Figure, taken: int, link: int, register: Figure) -> Timing:
    """Cortex-M0 and M0+: no overlap of instructions at all."""
    n = _NONE
    return Timing(
        issue_width=Figure(1, manual),
        registers_per_cycle=Figure(1, manual),
        load=load,
        load_pipelined=Figure(2, f"{manual}: loads do not overlap", load.verified),
        store=_unverified(2, manual),
        load_double=n,
        store_double=n,
        multiple=_unverified(1, f"{manual}: 1 + N"),
        address_stall=n,
        multiply=Figure(1, f"{manual}: 1, or 32 with the small multiplier, which the boards here do not have"),
        multiply_add=n,
        long_multiply=n,
        long_multiply_add=n,
        divide=n,
        branch_taken=_unverified(taken, manual),
        branch_not_taken=_unverified(1, manual),
        branch_link=_unverified(link, manual),
        branch_register=register,
        refill=_unverified(taken, f"{manual}: POP with the pc takes as much more as a branch"),
        table_branch=n,
        unaligned_target=n,
        mispredict=n,
        fp_load=n,
        fp_load_double=n,
        fp_multiple=n,
        fp_operation=n,
        fp_multiply_add=n,
        fp_divide=n,
        fp_result_stall=n,
        load_latency=n,
        narrow_load_latency=n,
        multiply_latency=n,
        fp_latency=n,
        fp_multiply_add_latency=n,
    )


def _armv7m(
    manual: str,
    verified: bool,
    *,
    moves_verified: bool,
    branches_verified: bool,
    multiply_add: int,
    long_multiply: Figure,
    long_multiply_add: Figure,
    divide: Figure,
    floating: bool,
) -> Timing:
    """Cortex-M3, M4 and M33: one instruction at a time, loads overlap."""

    def fp(value: int) -> Figure:
        return _unverified(value, _M4_FP) if floating else _NONE

    return Timing(
        issue_width=Figure(1, manual, verified),
        registers_per_cycle=Figure(1, manual, verified),
        load=Figure(2, manual, verified),
        load_pipelined=Figure(1, f"{manual}: two loads take 3 cycles, three take 4", verified),
        store=Figure(1, f"{manual}: into the write buffer", verified),
        load_double=Figure(3, f"{manual}: 1 + N, overlaps with nothing", moves_verified),
        store_double=Figure(3, f"{manual}: 1 + N, overlaps with nothing", moves_verified),
        multiple=Figure(1, f"{manual}: 1 + N", moves_verified),
        address_stall=Figure(1, f"{manual}: an address from the result of the instruction before", verified),
        multiply=Figure(1, manual, verified),
        multiply_add=Figure(multiply_add, manual, verified),
        long_multiply=long_multiply,
        long_multiply_add=long_multiply_add,
        divide=divide,
        branch_taken=Figure(2, _BRANCHES, branches_verified),
        branch_not_taken=Figure(1, manual, verified),
        branch_link=_unverified(2, f"{manual}: 1 + P; P as of a branch"),
        branch_register=_unverified(3, f"{manual}: 1 + P; P in the middle of 1 to 3"),
        refill=Figure(3, f"{manual}: a load of the pc takes 5, two for the load and three to refill", verified),
        table_branch=Figure(6, f"{manual}: 6 or more", verified),
        unaligned_target=Figure(1, "measured on a Cortex-M4, compendium.i-0.nl", branches_verified),
        mispredict=_NONE,
        fp_load=fp(2),
        fp_load_double=fp(3),
        fp_multiple=fp(1),
        fp_operation=fp(1),
        fp_multiply_add=fp(3),
        fp_divide=fp(14),
        fp_result_stall=fp(1),
        load_latency=_NONE,
        narrow_load_latency=_NONE,
        multiply_latency=_NONE,
        fp_latency=_NONE,
        fp_multiply_add_latency=_NONE,
    )


_CORTEX_M7 = Timing(
    issue_width=Figure(2, _M7),
    registers_per_cycle=_unverified(2, "64-bit memory interfaces"),
    load=Figure(1, f"{_M7}: it has two load units; one is assumed, as two loads must not meet in a bank"),
    load_pipelined=Figure(1, _M7),
    store=Figure(1, _M7),
    load_double=Figure(1, f"{_M7}: alone in its cycle"),
    store_double=Figure(1, f"{_M7}: alone in its cycle"),
    multiple=_unverified(0, "N / 2 by 64-bit memory interfaces"),
    address_stall=Figure(1, f"{_M7}: addresses are needed a stage earlier than operands"),
    multiply=Figure(1, _M7),
    multiply_add=Figure(1, _M7),
    long_multiply=Figure(1, _M7),
    long_multiply_add=Figure(1, _M7),
    divide=Figure(7, f"{_M7}; from 2 to about 20 by the operands"),
    branch_taken=_unverified(1, "predicted: issues like any other instruction, and nothing pairs with its target"),
    branch_not_taken=_unverified(1, "predicted"),
    branch_link=_unverified(1, "predicted"),
    branch_register=_unverified(1, "predicted"),
    refill=_unverified(0, "predicted"),
    table_branch=Figure(2, f"{_M7}: two issue cycles"),
    unaligned_target=_NONE,
    mispredict=Figure(5, f"{_M7}: 4 to 6"),
    fp_load=Figure(1, _M7),
    fp_load_double=Figure(2, f"{_M7}: alone in its cycle"),
    fp_multiple=_unverified(0, "N / 2 by 64-bit memory interfaces"),
    fp_operation=Figure(1, _M7),
    fp_multiply_add=Figure(1, _M7),
    fp_divide=Figure(16, _M7),
    fp_result_stall=_NONE,
    load_latency=Figure(2, _M7),
    narrow_load_latency=Figure(3, f"{_M7}: bytes and halfwords one more"),
    multiply_latency=Figure(2, f"{_M7}; an accumulator is needed one cycle later than the factors"),
    fp_latency=Figure(3, _M7),
    fp_multiply_add_latency=Figure(6, f"{_M7}; an accumulator is needed three cycles later than the factors"),
)

TIMINGS = {
    "cortex-m0": _armv6m(_M0, _unverified(2, _M0), taken=3, link=4, register=Figure(3, f"{_M0}: a move to the pc")),
    "cortex-m0plus": _armv6m(_M0PLUS, Figure(2, _M0PLUS), taken=2, link=3, register=_unverified(2, _M0PLUS)),
    "cortex-m3": _armv7m(
        _M3,
        True,
        moves_verified=True,
        branches_verified=False,
        multiply_add=2,
        long_multiply=Figure(5, f"{_M3}: 3 to 5; a requantization's factors are large, which takes longest"),
        long_multiply_add=Figure(7, f"{_M3}: 4 to 7; as above"),
        divide=Figure(7, f"{_M3}: 2 to 12 by the operands; the middle"),
        floating=False,
    ),
    "cortex-m4": _armv7m(
        _M4,
        True,
        moves_verified=False,
        branches_verified=True,
        multiply_add=1,
        long_multiply=_unverified(1, _M4),
        long_multiply_add=_unverified(1, _M4),
        divide=Figure(7, f"{_M4}: 2 to 12 by the operands; the middle"),
        floating=True,
    ),
    "cortex-m33": _armv7m(
        _M33,
        False,
        moves_verified=False,
        branches_verified=False,
        multiply_add=1,
        long_multiply=_unverified(1, _M33),
        long_multiply_add=_unverified(1, _M33),
        divide=_unverified(6, "2 to 11 by the operands; the middle"),
        floating=True,
    ),
    "cortex-m7": _CORTEX_M7,
}
"""By the name of the core."""


def _core(board: Board) -> str:
    return board.core.name.lower().replace("cortex-m0+", "cortex-m0plus")


def timing_of(board: Board) -> Timing | None:
    """The figures for a board's core; None where there are none."""
    return TIMINGS.get(_core(board))


def cycles_kind(board: Board) -> str:
    """What modelled cycles of a board are, in words for a report."""
    return f"modelled: {_core(board)} instruction timing, zero wait states"
