"""Memory beside the arena and the stack: which is guarded, and that a write there fails the run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.firmware import build, needs_any, needs_unicorn, run
from tinydeploy import pipeline
from tinydeploy.boards import find_board
from tinydeploy.boards.spans import joined, less
from tinydeploy.elf import read_elf
from tinydeploy.emulate import Guard, Painted, UnicornEmulator
from tinydeploy.errors import RunError
from tinydeploy.pipeline.guards import guards
from tinydeploy.toolchain import find_toolchain
from tinydeploy.verify import random_inputs

pytestmark = [needs_unicorn, needs_any]

FREE = 0x20018000  # STM32F746: in the middle of SRAM1


def test_spans() -> None:
    assert joined([(8, 12), (0, 4), (4, 6), (9, 10)]) == [(0, 6), (8, 12)]
    assert less([(0, 10), (20, 30)], [(4, 6), (0, 1), (9, 25)]) == [(1, 4), (6, 9), (25, 30)]
    assert less([(0, 4), (4, 8)], []) == [(0, 4), (4, 8)]
    assert less([(2, 4)], [(0, 8)]) == []


def test_what_is_guarded() -> None:
    """A chip with 20 KiB from 0x20000000; 8 bytes of data at its start, and an empty arena that begins at 16."""
    elf = read_elf(build("int data[2] = {1, 2}; int main(void) { return data[1]; }", "nucleo_f103rb").elf)
    board = find_board("nucleo_f103rb")
    arena, stack = Painted("arena", 0x20000100, 0x400), Painted("stack", 0x20004800, 0x800, grows_down=True)
    assert guards(board, elf, [arena, stack]) == [
        Guard("the arena", 0x20000010, 0xF0),  # all that there is between the sections and the arena
        Guard("the arena", 0x20000500, 1024),
        Guard("the stack", 0x20004400, 1024),
    ]
    close = replace(arena, base=0x20004000, bytes=0x700)  # 256 bytes below the stack: nobody's part is counted twice
    assert guards(board, elf, [close, stack])[1:] == [Guard("the arena", 0x20004700, 0x100)]
    assert guards(board, elf, [replace(close, bytes=0x800), stack]) == [Guard("the arena", 0x20003C00, 1024)]


@pytest.mark.parametrize("offset", [0, 63])
def test_a_write_into_a_guard(offset: int) -> None:
    source = f"int main(void) {{ *(volatile unsigned char *){FREE + offset:#x}u ^= 0xFF; return 0; }}"
    fault = run(source, guards=[Guard("the arena", FREE, 64)]).fault
    assert fault is not None
    assert (fault.kind, fault.address) == ("guard", FREE + offset)
    assert "memory beside the arena that nothing owns was overwritten: 1 bytes" in fault.message


@pytest.mark.parametrize("address", [FREE - 1, FREE + 64])
def test_a_write_beside_a_guard(address: int) -> None:
    source = f"int main(void) {{ *(volatile unsigned char *){address:#x}u ^= 0xFF; return 0; }}"
    assert run(source, guards=[Guard("the arena", FREE, 64)]).fault is None


def test_a_model_that_writes_behind_its_arena(tmp_path: Path) -> None:
    """The memory is there, so nothing but the guard sees it."""
    planned = pipeline.plan_model(pipeline.load("digits"), find_board("stm32f746"), pipeline.PlanOptions())
    built = pipeline.build_image(planned, tmp_path)
    main = tmp_path / "example" / "main.c"
    text = main.read_text(encoding="utf-8")
    assert text.count("digits_done();") == 1
    behind = "volatile uint8_t *volatile end = digits_arena + DIGITS_ARENA_BYTES; end[3] ^= 1; digits_done();"
    main.write_text(text.replace("digits_done();", behind), encoding="utf-8")
    sources = [tmp_path / source for source in (*built.tree.sources, *built.tree.example)]
    image = find_toolchain().build(
        sources,
        [tmp_path, tmp_path / "runtime"],
        planned.memory,
        tmp_path / "again",
        defines={"TD_STEP_PORT": f"{pipeline.building.MARKER_ADDRESS:#x}u"},
    )
    with pytest.raises(RunError, match="memory beside the arena that nothing owns was overwritten: 1 bytes"):
        pipeline.run_model(replace(built, image=image), UnicornEmulator(), random_inputs(planned.model, 0, 1))
