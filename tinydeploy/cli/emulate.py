"""`tinydeploy emulate`: run any ELF on an emulated board."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinydeploy.cli.common import board_option, emit, format_option, progress, provenance
from tinydeploy.cli.emulators import emulator_options, make_emulator
from tinydeploy.cli.watching import (
    announce,
    check_trace,
    gdb_option,
    open_server,
    save_trace,
    trace_facts,
    trace_option,
)

if TYPE_CHECKING:
    from tinydeploy.emulate import Fault, RunResult
    from tinydeploy.pipeline.emulators import EmulatorChoice


TIMEOUT = 120.0


@click.command("emulate", short_help="Run any ELF on an emulated board.")
@click.argument("elf", metavar="ELF", type=click.Path(path_type=Path))
@board_option
@click.option(
    "--timeout",
    type=click.FloatRange(0.1),
    default=TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="Host time limit.",
)
@emulator_options
@trace_option
@gdb_option
@format_option
def command(
    elf: Path,
    board: str,
    timeout: float,
    choice: EmulatorChoice,
    trace: Path | None,
    gdb: int | None,
    format_: str,
) -> None:
    """Run an ELF of your own: its UART on standard output, then instruction counts by function.

    With --format json the UART's text is in the object. The program ends by semihosting (SYS_EXIT). The embedded
    emulator has no interrupts: what waits for one, such as HAL_Delay for SysTick, runs into --timeout; Renode has
    them. Ends with code 5 after a fault, an overflow or a time-out, and when the program itself ends with another code
    than 0.

    \b
    Example:
      tinydeploy emulate firmware.elf --board stm32f746
    """
    emulate_firmware(elf, board, choice, timeout=timeout, trace=trace, gdb=gdb, format_=format_)


def emulate_firmware(
    elf: Path,
    board: str,
    choice: EmulatorChoice,
    *,
    timeout: float = TIMEOUT,
    trace: Path | None,
    gdb: int | None,
    format_: str,
) -> None:
    """Run it, print what it prints and the report; raises `RunError` for a bad end."""
    import hashlib

    check_trace(trace)
    from tinydeploy.boards import find_board
    from tinydeploy.emulate import Job
    from tinydeploy.errors import RunError, UsageError
    from tinydeploy.report.emulations import EmulationFacts, Peripheral, emulation_document

    found = find_board(board)
    try:
        content = elf.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {elf}: {error.strerror or error}") from error
    with progress() as stage, open_server(gdb) as server:

        def show(text: bytes) -> None:
            stage(None)
            _show(text)

        # What the firmware prints is shown as it comes, for it may never end.
        chosen = make_emulator(
            choice, found, on_output=None if format_ == "json" else show, debugger=server, trace=trace is not None
        )
        if server is None:
            stage("emulating")
        else:
            announce(server, elf)
        result = chosen.emulator.run(found, Job(elf=elf, timeout_seconds=timeout, trace=trace is not None))
    ended = f"normally, with exit code {result.exit_code}" if result.fault is None else result.fault.message
    if format_ != "json" and result.uart and not result.uart.endswith(b"\n"):
        _show(b"\n")
    digest = hashlib.sha256(content).hexdigest()
    told = provenance({"timeout": timeout}, {"emulator": chosen.version})
    facts = EmulationFacts(
        elf=str(elf),
        sha256=digest,
        instructions=result.instructions,
        cycles=result.cycles,
        cycles_kind=result.cycles_kind,
        functions=result.instructions_by_function,
        seconds=result.seconds,
        uart=result.uart,
        exit_code=result.exit_code,
        ended=ended,
        fault=_fault(result.fault),
        peripherals=tuple(Peripheral(p.address, p.reads, p.writes, p.polled) for p in result.peripherals),
        interrupts=result.interrupts,
    )
    emit(emulation_document(found, facts, told), format_)
    if trace is not None:
        from tinydeploy.pipeline import timeline_of

        save_trace(trace, timeline_of(result, found, f"{elf.name} on {found.id}", trace_facts(told, elf=digest)))
    if result.fault is not None:
        raise RunError(f"{elf}: {result.fault.message}", hint=_hint(result, chosen.emulator.name))
    if result.exit_code:
        raise RunError(f"{elf}: the program ended with exit code {result.exit_code}")


def _show(text: bytes) -> None:
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


def _hint(result: RunResult, emulator: str) -> str | None:
    """What to do about a program that waits for what cannot come."""
    fault = result.fault
    if fault is None or fault.kind not in ("time-out", "no-exit", "unsupported"):
        return None
    if fault.kind == "unsupported":
        return "Renode has exceptions: --emulator renode"
    if result.interrupts:
        names = ", ".join(result.interrupts[:8])
        return (
            f"it enabled interrupts ({names}), and this emulator delivers none: Renode does (--emulator renode); "
            "or wait by polling (SysTick's COUNTFLAG, the DWT's CYCCNT)"
        )
    if emulator != "unicorn" and fault.kind == "no-exit":
        return None  # it was told: a handler, or a reset
    return "a program ends by semihosting: SYS_EXIT, as exit() of newlib's rdimon.specs does"


def _fault(fault: Fault | None) -> dict[str, Any] | None:
    if fault is None:
        return None
    return {
        "kind": fault.kind,
        "message": fault.message,
        "pc": fault.pc,
        "address": fault.address,
        "function": fault.function,
        "registers": dict(fault.registers),
    }
