"""`tinydeploy emulate`: run any ELF on an emulated board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinydeploy.cli.common import board_option, emit, emulator_version, format_option, progress, provenance

if TYPE_CHECKING:
    from tinydeploy.emulate import Fault


@click.command("emulate", short_help="Run any ELF on an emulated board.")
@click.argument("elf", metavar="ELF", type=click.Path(path_type=Path))
@board_option
@click.option(
    "--timeout",
    type=click.FloatRange(0.1),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="Host time limit.",
)
@format_option
def command(elf: Path, board: str, timeout: float, format_: str) -> None:
    """Run an ELF of your own: its UART on standard output, then instruction counts by function.

    With --format json the UART's text is in the object. Ends with code 5 after a fault, an overflow or a
    time-out, and when the program itself ends with another code than 0.

    \b
    Example:
      tinydeploy emulate firmware.elf --board stm32f746
    """
    import hashlib
    import sys

    from tinydeploy.boards import find_board
    from tinydeploy.emulate import Job, UnicornEmulator
    from tinydeploy.errors import RunError, UsageError
    from tinydeploy.report.emulations import EmulationFacts, emulation_document

    found = find_board(board)
    try:
        content = elf.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {elf}: {error.strerror or error}") from error
    emulator = UnicornEmulator()
    with progress() as stage:
        stage("emulating")
        result = emulator.run(found, Job(elf=elf, timeout_seconds=timeout))
    ended = f"normally, with exit code {result.exit_code}" if result.fault is None else result.fault.message
    if format_ != "json":
        sys.stdout.buffer.write(result.uart)
        if result.uart and not result.uart.endswith(b"\n"):
            sys.stdout.buffer.write(b"\n")
        sys.stdout.buffer.flush()
    facts = EmulationFacts(
        elf=str(elf),
        sha256=hashlib.sha256(content).hexdigest(),
        instructions=result.instructions,
        cycles=result.cycles,
        cycles_kind=result.cycles_kind,
        functions=result.instructions_by_function,
        seconds=result.seconds,
        uart=result.uart,
        exit_code=result.exit_code,
        ended=ended,
        fault=_fault(result.fault),
    )
    emit(
        emulation_document(
            found, facts, provenance({"timeout": timeout}, {"emulator": emulator_version(emulator.name)})
        ),
        format_,
    )
    if result.fault is not None:
        raise RunError(f"{elf}: {result.fault.message}")
    if result.exit_code:
        raise RunError(f"{elf}: the program ended with exit code {result.exit_code}")


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
