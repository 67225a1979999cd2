"""The scripts of a folder that stands alone: Renode's monitor (`.resc`) and Robot Framework (`.robot`).

Everything in them that is not fixed is a name that was checked here, a number, or a line that the image prints; paths
are relative to the script, so that the folder works from anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tinydeploy.boards import Board
from tinydeploy.emulate.renode.platform import Platform
from tinydeploy.errors import UsageError

PLATFORM_FILE, MACHINE_FILE, RUN_FILE, TEST_FILE = "platform.repl", "machine.resc", "run.resc", "test.robot"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")

# Words of Renode's log that no sound run has.
FAILING = ("non existing peripheral", "CPU abort", "CPU was halted", "does not lay in memory")

_MACHINE = """\
:name: {name} on {board}
:description: The machine and what runs on it; run.resc and test.robot start from here.

using sysbus
$name?="{name}"
$repl?=$ORIGIN/{platform}
$bin?=$ORIGIN/{elf}

mach create $name
machine LoadPlatformDescription $repl

macro reset
\"\"\"
    sysbus LoadELF $bin
    cpu VectorTableOffset 0x{vectors:X}
\"\"\"
runMacro $reset

# Instructions so far, in hexadecimal: runMacro $instructions
macro instructions
\"\"\"
    cpu ExecutedInstructions
\"\"\"
"""

_RUN = """\
:name: {name} on {board}
:description: Runs the image and shows its UART: in a window, or in the log with --disable-gui.

include $ORIGIN/{machine}
showAnalyzer {uart}
start
"""

_TEST = """\
*** Settings ***
Documentation     {name} on {board}: the image runs to its end and prints what it should.

*** Variables ***
${{UART}}           sysbus.{uart}

*** Keywords ***
Prepare Machine
    # The monitor wants a space in a path escaped.
    ${{folder}}=    Set Variable    ${{{{ r'''${{CURDIR}}'''.replace(' ', chr(92) + ' ') }}}}
    Execute Command    include @${{folder}}/{machine}
    Create Log Tester    0.5    defaultPauseEmulation=true
{failing}
    Create Terminal Tester    ${{UART}}    timeout={seconds}    defaultPauseEmulation=true

*** Test Cases ***
Model Runs And Prints
    [Timeout]    {host_seconds} seconds
    Prepare Machine
{waits}
    ${{instructions}}=    Execute Command    cpu ExecutedInstructions
    Log To Console    instructions: ${{instructions.strip()}}
{unwanted}
"""


def path_token(path: str) -> str:
    """A path as the monitor reads it: behind `@`, with spaces escaped. Raises `UsageError` for what it cannot read."""
    if not path or ";" in path or any(c.isspace() and c != " " for c in path):
        raise UsageError(f"Renode's monitor cannot take the path {path!r}", hint="without semicolons and tabs it can")
    return "@" + path.replace(" ", "\\ ")


def machine_script(board: Board, name: str, elf: str) -> str:
    """Creates the machine, loads the platform and the ELF beside the script. `name` is a C identifier, `elf` a file's
    name without a folder. Raises `UsageError` for others."""
    return _MACHINE.format(
        name=_checked(name, _NAME),
        board=plain(board.name),
        platform=PLATFORM_FILE,
        elf=_checked(elf, _FILE),
        vectors=board.flash.base,
    )


def run_script(board: Board, platform: Platform, name: str) -> str:
    """Runs what `machine_script` made and shows the UART."""
    return _RUN.format(
        name=_checked(name, _NAME), board=plain(board.name), machine=MACHINE_FILE, uart=_checked(shown(platform), _NAME)
    )


def robot_test(board: Board, platform: Platform, name: str, lines: Sequence[str], *, seconds: float) -> str:
    """A test that waits for `lines` on the UART, in order. `seconds`: of virtual time, for each of them."""
    return _TEST.format(
        name=_checked(name, _NAME),
        board=plain(board.name),
        machine=MACHINE_FILE,
        uart=_checked(shown(platform), _NAME),
        seconds=f"{seconds:g}",
        host_seconds=600,
        failing="\n".join(f"    Register Failing Log String    {words}" for words in FAILING),
        waits="\n".join(f"    Wait For Line On Uart    {robot_text(line)}" for line in lines),
        unwanted="\n".join(f"    Should Not Be In Log    {words}" for words in FAILING),
    )


def shown(platform: Platform) -> str:
    """The UART that a run is shown on: the board's, or what semihosting prints on."""
    return platform.uart or platform.semihosting


def robot_text(text: str) -> str:
    """`text` as one literal argument of Robot Framework: no variables, no separators, no comments."""
    escaped = re.sub(r"([\\$@&%{}#=|])", r"\\\1", text)
    return re.sub(r" (?= )|^ | $", r"${SPACE}", escaped.replace("\t", " ")) or "${EMPTY}"


def _checked(text: str, pattern: re.Pattern[str]) -> str:
    if not pattern.fullmatch(text) or len(text) > 100:
        raise UsageError(f"'{text[:60]}' cannot be a name in a Renode script", hint="letters, digits and underscores")
    return text


def plain(text: str) -> str:
    """A name for people, in a line that nothing reads: letters, digits and a few signs."""
    return re.sub(r"[^A-Za-z0-9 ().,_/-]", "_", text)[:80]
