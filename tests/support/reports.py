"""A small network, a board and a run by hand, for the tests of reports: figures that can be checked by eye."""

from __future__ import annotations

from dataclasses import replace

from tinydeploy.boards import Board, Core, Region, RegionKind, Uart
from tinydeploy.cost.table import cost_table
from tinydeploy.ir import Activation, Model, Padding
from tinydeploy.ir.builder import NetworkBuilder
from tinydeploy.plan import fit, make_plan
from tinydeploy.plan.tflm import TflmArena
from tinydeploy.report.comparison import Comparison, WhatIf
from tinydeploy.report.document import Provenance
from tinydeploy.report.plans import Planned
from tinydeploy.report.runs import DifferenceFacts, OutputFacts, RunFacts, VerifiedFacts
from tinydeploy.transform import prepare

# What a hostile model file may hold: terminal sequences, markup of rich, Markdown and HTML, a reversed line.
HOSTILE = "conv|1`[red]<b>\x1b[31m*x*_\u202eevil\n\\"

PROVENANCE = Provenance("9.9.9", {"solver": "auto", "in_place": True}, {"tool": "1.0"})


def board(ram_bytes: int = 32768, flash_bytes: int = 65536) -> Board:
    """A made-up board."""
    flash = Region("FLASH", RegionKind.FLASH, 0x08000000, flash_bytes, "code and weights", "datasheet, table 1")
    ram = Region("SRAM", RegionKind.RAM, 0x20000000, ram_bytes, "tensors", "datasheet, table 2")
    return Board(
        id="demo_board",
        name="Demo Board",
        mcu="DEMO100",
        core=Core("cortex-m4", "fpv4-sp-d16", True, False, "manual"),
        clock_hz=100_000_000,
        clock_source="datasheet, table 3",
        wait_states=3,
        wait_states_source="manual, table 4",
        cache="none",
        regions=(flash, ram),
        flash=flash,
        ram=ram,
        uart=Uart("UART1", "stm32_sr_dr", 0x40011000, "schematic"),
        aliases=("demo",),
        notes=("A note.",),
    )


def network(name: str = HOSTILE) -> Model:
    """8×8×1 → conv 3×3, 4 → depthwise 3×3 → linear 10. Outputs 256, 256 and 10 bytes; weights 36, 36 and 2,560.

    MACs: 64·4·9 = 2,304; 64·4·9 = 2,304; 256·10 = 2,560.
    """
    net = NetworkBuilder("demo")
    x = net.input((1, 8, 8, 1), name="image")
    x = net.conv2d(x, 4, 3, padding=Padding.SAME, activation=Activation.RELU, name=name)
    x = net.depthwise_conv2d(x, 3, padding=Padding.SAME, name="second")
    model = net.build(net.linear(x, 10, name="scores"))
    return replace(model, path="demo.tflite", sha256="ab" * 32)


def planned(ram_bytes: int = 32768, flash_bytes: int = 65536) -> Planned:
    """The network on the board."""
    model, on = network(), board(ram_bytes, flash_bytes)
    costs, plan = cost_table(model), make_plan(model, solver="builtin")
    checked = fit(model, plan, on, weights_bytes=2800, code_bytes=9000, static_bytes=100, stack_bytes=1024)
    return Planned(prepare(model), on, costs, plan, checked)


OTHERS = Comparison(
    whole_bytes=768,
    tflm=TflmArena(1024, 512, 0, 1600),
    cmsis_nn=TflmArena(1088, 512, 64, 1664, ("CONV_2D of tomorrow",)),
    what_ifs=(WhatIf("--feed-rows", "with the input handed over row by row", 500),),
)


def run_facts() -> RunFacts:
    """A run."""
    return RunFacts(
        samples=2,
        inputs="random, seed 0",
        instructions=40_000,
        cycles=50_000,
        cycles_kind="modelled: cortex-m4 instruction timing, zero wait states",
        seconds_emulating=0.5,
        arena_watermark_bytes=512,
        stack_watermark_bytes=300,
        static_bytes=96,
        weights_bytes=2800,
        code_bytes=8888,
        layers={0: 10_000, 1: 20_000, 2: 9_000},
        functions={"td_conv": 30_000, "main": 10_000},
        layer_cycles={0: 12_500, 1: 25_000, 2: 11_250},
    )


OUTPUTS = (OutputFacts("scores", "cd" * 32, "int8", (1, 10)),)

EXACT = VerifiedFacts("tflite-micro 1.2", True, 2, 1, 0, 20, 0.0, None, "ai-edge-litert 2.0", True)
DIFFERENT = VerifiedFacts(
    "tflite-micro 1.2",
    False,
    2,
    3,
    7,
    1044,
    3.0,
    DifferenceFacts(1, 0, "CONV_2D", HOSTILE, (0, 1, 2, 3), -5, -4),
    "ai-edge-litert 2.0",
    False,
)
