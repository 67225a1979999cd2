"""The README of an exported folder: what each file is, how to run it, how to add to it."""

from __future__ import annotations

from collections.abc import Sequence

from tinydeploy import __version__
from tinydeploy.boards import Board
from tinydeploy.emulate.renode.platform import Platform
from tinydeploy.emulate.renode.script import MACHINE_FILE, PLATFORM_FILE, RUN_FILE, TEST_FILE, plain, shown

_README = """\
# {name} on {board}

A neural network on an emulated board, for [Renode](https://renode.io) 1.15 or newer. Written by tinydeploy {version}.

    renode run.resc                              # a window with the UART
    renode --disable-gui --console run.resc      # the UART's lines in the log
    renode-test test.robot                       # passes when the image prints what it should

Renode cannot open a file below a folder with spaces by its command line; `renode -e 'include @/my\\ folder/run.resc'`
does. The test runs from anywhere.

| file | what it is |
|---|---|
| `{elf}` | the image: the model, its input, and a program that runs it once and prints the result |
| `{platform}` | the board as Renode has it, with the chip's true memories |
| `{machine}` | makes the machine, loads the platform and the image; `run.resc` and `test.robot` begin with it |
| `{run}` | shows the UART ({uart}) and starts |
| `{test}` | waits for the lines below |
| `firmware/` | the sources of the image: the C library, and in `example/` what prints |

It prints

{lines}

## Adding peripherals of your own

Write a second file, `own.repl`, that takes the first one in:

    using "./{platform}"

    i2c1: I2C.STM32F7_I2C @ sysbus 0x40005400

    sensor: Sensors.BMP180 @ i2c1 0x77

and have `{machine}` load it: put `$repl=$ORIGIN/own.repl` before `include $ORIGIN/{machine}` in `run.resc`. `$bin`
names another image in the same way. An entry with the name of one that is there, without a type, changes it: `{cpu}:`
and, indented, `PerformanceInMips: 100`. DWT counts instructions only while its `frequency` is a million times that.

## What it does not show

{notes}
- Renode only warns of an access outside the memories, and of a stack that runs out of them: `{test}` fails for it.
- The image sets neither clocks nor pins. An emulator needs neither; on a part they are the board support's to do,
  before `td_uart_init`.

## Instructions

In Renode's monitor `runMacro $instructions` says how many instructions have run, in hexadecimal. The same image gives
the same count every time. `cpu LogFunctionNames true` logs what runs.
"""


def project_readme(board: Board, platform: Platform, name: str, elf: str, lines: Sequence[str]) -> str:
    """The text; `lines` are what the image prints, as far as it is known."""
    return _README.format(
        name=name,
        board=plain(board.name),
        version=__version__,
        elf=elf,
        platform=PLATFORM_FILE,
        machine=MACHINE_FILE,
        run=RUN_FILE,
        test=TEST_FILE,
        uart=shown(platform),
        cpu=platform.cpu,
        lines="\n".join(f"    {line}" for line in lines),
        notes="\n".join(f"- {note}" for note in platform.notes),
    )
