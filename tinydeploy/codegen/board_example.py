"""`board_example`: a library with a program around it that runs once and prints on the board's UART what came out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod

from tinydeploy import __version__
from tinydeploy.boards import Board
from tinydeploy.codegen.generate import pieces
from tinydeploy.codegen.literals import c_lines
from tinydeploy.codegen.names import comment_text
from tinydeploy.codegen.render import templates
from tinydeploy.codegen.tree import SourceTree
from tinydeploy.errors import UsageError
from tinydeploy.ir import DType, Model, Tensor
from tinydeploy.plan.types import Plan
from tinydeploy.resources import firmware_dir

_KINDS = {DType.FLOAT32: "f", DType.UINT8: "u", DType.BOOL: "u"}  # how td_print_values reads an element; else signed
DONE_LINE = "tinydeploy: done"


@dataclass(frozen=True)
class _Port:
    index: int
    title: str
    dtype: str
    kind: str
    shape: tuple[int, ...]
    element_bytes: int
    bytes: int
    fed: bool


def board_example(
    model: Model,
    plan: Plan,
    board: Board,
    library: SourceTree,
    inputs: Mapping[int, bytes],
    *,
    whence: str,
    cycle_counter: bool,
) -> SourceTree:
    """`library` with another example, which prints the model's name, its outputs and the cycles of one invoke.

    `inputs`: the bytes of each of the model's inputs, by tensor; they become constants. `whence`: where they come
    from, in words. `cycle_counter`: the board's core has DWT CYCCNT. The last line printed is `DONE_LINE`.
    Raises `UsageError` for a UART whose registers are not known.
    """
    uart = board.uart.model if board.uart is not None else "none"
    driver = f"td_uart_{uart}.c"
    hand_written = {p.name: p.read_text("utf-8") for p in sorted((firmware_dir() / "example").iterdir())}
    if driver not in hand_written:
        raise UsageError(f"{board.id}: there is no driver for a UART with the layout '{uart}'")
    context = {
        "version": __version__,
        "name": library.name,
        "NAME": library.name.upper(),
        "title": comment_text(model.name),
        "sha256": comment_text(model.sha256, 64) or "none",
        "board": comment_text(board.name),
        "whence": comment_text(whence),
        "arena_bytes": plan.arena_bytes,
        "arena_symbol": library.arena_symbol,
        "pieces": pieces(plan),
        "inputs": list(_ports(model, plan, model.inputs)),
        "outputs": list(_ports(model, plan, model.outputs)),
        "feeds": bool(plan.fed),
        "cycle_counter": cycle_counter,
    }
    example = {
        "main.c": templates().get_template("board_main.c.j2").render(context),
        "inputs.c": _inputs(inputs[tensor] for tensor in model.inputs),
        "td_board_config.h": _config(board, cycle_counter),
        **{n: hand_written[n] for n in ("td_board.h", "td_print.c", "td_cycles.c", driver)},
    }
    kept = {path: text for path, text in library.files.items() if path not in library.example}
    return replace(
        library,
        files=kept | {f"example/{name}": text for name, text in example.items()},
        example=tuple(f"example/{name}" for name in example if name.endswith(".c")),
    )


def _ports(model: Model, plan: Plan, tensors: Iterable[int]) -> Iterable[_Port]:
    for index, number in enumerate(tensors):
        tensor: Tensor = model.tensor(number)
        yield _Port(
            index=index,
            title=comment_text(tensor.name, 40),
            dtype=tensor.dtype.label,
            kind=_KINDS.get(tensor.dtype, "i"),
            shape=tensor.shape,
            element_bytes=tensor.bytes // max(1, prod(tensor.shape)),
            bytes=tensor.bytes,
            fed=number in plan.fed,
        )


def _inputs(values: Iterable[bytes]) -> str:
    arrays = (
        f"extern const uint8_t td_input_{index}[{len(data)}];\n"
        f"__attribute__((aligned(4))) const uint8_t td_input_{index}[{len(data)}] = {{\n{c_lines(data)}\n}};\n"
        for index, data in enumerate(values)
    )
    return "/* What the model is given. */\n#include <stdint.h>\n\n" + "\n".join(arrays)


def _config(board: Board, cycle_counter: bool) -> str:
    low_power = board.uart is not None and board.uart.name.upper().startswith("LPUART")
    return (
        f"/* {comment_text(board.name)}. */\n"
        f"#define TD_UART_BASE {board.uart.base if board.uart is not None else 0:#x}u\n"
        f"#define TD_CLOCK_HZ {board.clock_hz}u\n"
        f"#define TD_UART_LOW_POWER {int(low_power)}\n"
        f"#define TD_HAS_CYCLE_COUNTER {int(cycle_counter)}\n"
    )
