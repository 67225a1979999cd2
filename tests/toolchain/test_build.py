"""Images from both toolchains: that they run alike, what they measure, and how refusals read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.firmware import BOTH, build, needs_any, needs_gcc, needs_unicorn, needs_zig, run, variant
from tinydeploy.boards import RegionKind, all_boards, find_board
from tinydeploy.elf import read_elf
from tinydeploy.errors import BuildError, DoesNotLinkError, MissingToolError, UsageError
from tinydeploy.toolchain import ArenaPart, find_toolchain
from tinydeploy.toolchain.linker import overflow_error

CORES = [
    "nucleo_f030r8",
    "nucleo_g071rb",
    "nucleo_f103rb",
    "nucleo_f446re",
    "stm32f746",
    "nucleo_h743zi",
    "nucleo_u575zi_q",
]


@needs_unicorn
@pytest.mark.parametrize("board", CORES)
@pytest.mark.parametrize("toolchain", BOTH)
def test_arithmetic_is_the_same_everywhere(toolchain: str, board: str) -> None:
    # Floats in hardware or software, 64-bit products and quotients, and memory functions. Expected by hand:
    # 3.3f·2.5f = 8.25f (3.3f is 13841203·2^-22; the product rounds to 8.25f) → 8; without fused multiply-add
    # a·a - 1 for a = 1 + 2^-12 is 2^-11 exactly, as 2^-24 rounds away.
    source = """
    #include <stdint.h>
    #include <string.h>
    volatile float f = 3.3f, g = 2.5f, a = 1.000244140625f;
    volatile int64_t big = -123456789012345;
    volatile int32_t divisor = 1000003;
    static uint8_t from[37], to[41];
    int main(void) {
        volatile int n = 37;
        if ((int)(f * g) != 8) return 1;
        if (a * a - 1.0f != 0.00048828125f) return 2;
        if (big / divisor != -123456418) return 3;
        if ((big * 3) >> 7 != -2893518492477) return 4;
        for (int i = 0; i < n; i++) from[i] = (uint8_t)(i + 1);
        memset(to, 0xEE, sizeof to);
        memcpy(to + 2, from, (unsigned)n);
        for (int i = 0; i < 41; i++) if (to[i] != (i < 2 || i >= 39 ? 0xEE : i - 1)) return 5;
        memcpy(to + 1, from + 1, 36);
        for (int i = 1; i < 37; i++) if (to[i] != i + 1) return 6;
        return 77;
    }
    """
    result = run(source, board, toolchain)
    assert (result.fault, result.exit_code) == (None, 77)


@pytest.mark.parametrize("toolchain", BOTH)
def test_floats_are_in_hardware_exactly_where_there_is_hardware(toolchain: str) -> None:
    source = "volatile float f = 3.3f; int main(void) { f = f * f; return 0; }"
    for board, hardware in (("nucleo_f446re", True), ("stm32f746", True), ("nucleo_u575zi_q", True)):
        assert (read_elf(build(source, board, toolchain).elf).symbol("__aeabi_fmul") is None) is hardware
    for board in ("nucleo_f103rb", "nucleo_g071rb"):
        assert read_elf(build(source, board, toolchain).elf).symbol("__aeabi_fmul") is not None
    double = source.replace("float", "double").replace("3.3f", "3.3")
    assert read_elf(build(double, "stm32f746", toolchain).elf).symbol("__aeabi_dmul") is not None  # single precision
    assert read_elf(build(double, "nucleo_h743zi", toolchain).elf).symbol("__aeabi_dmul") is None


@pytest.mark.parametrize("toolchain", BOTH)
def test_sizes_are_those_of_the_image(toolchain: str) -> None:
    source = """
    #include <stdint.h>
    const int8_t model_k0[1000] = {1, 2, 3};
    const int32_t model_k1[10] = {4};
    uint32_t started[25] = {5};
    uint8_t zeroed[333];
    __attribute__((section(".arena"), aligned(16))) uint8_t arena[5000];
    int main(void) {
        volatile unsigned i = 3;
        return model_k0[i] + model_k1[i] + (int)started[i] + zeroed[i] + ((volatile uint8_t *)arena)[i];
    }
    """
    image = build(source, "nucleo_f446re", toolchain, stack_bytes=1000)
    board = find_board("nucleo_f446re")
    assert image.flash_bytes_of("model_k") == 1000 + 40
    assert image.flash_bytes_of(lambda s: s.kind == "rodata" and s.name == "model_k1") == 40
    assert image.flash_bytes_of("zeroed") == 0
    assert 1040 <= image.rodata_bytes <= 1080
    assert image.data_bytes == 100
    assert image.bss_bytes == 336  # 333, up to a word
    assert image.static_bytes == 436
    assert image.arena_bytes == 5000
    assert image.stack_bytes == 1000
    assert (image.stack_top, image.stack_limit) == (board.ram.end, board.ram.end - 1000)
    assert image.flash_bytes == image.code_bytes + image.rodata_bytes + image.data_bytes
    assert 64 < image.code_bytes < 2048
    file = read_elf(image.elf)
    loaded = sum(len(s.data) for s in file.segments)
    assert image.flash_bytes <= loaded <= image.flash_bytes + 32  # the arena and the stack load nothing
    assert file.address_of("td_vectors") == board.flash.base
    arena = file.address_of("arena")
    assert arena % 16 == 0
    assert board.ram.base <= arena
    assert arena + 5000 <= image.stack_limit
    assert "main" in image.map.read_text("utf-8")


@pytest.mark.parametrize("toolchain", BOTH)
def test_the_arena_goes_where_it_is_told(toolchain: str) -> None:
    source = (
        '__attribute__((section(".arena_dtcm"), used)) char low[4096];'
        '__attribute__((section(".arena_axisram"), used)) char high[32768];'
        "int main(void) { return ((volatile char *)low)[1]; }"
    )
    parts = (ArenaPart(".arena_dtcm", 0x20000400, 4096), ArenaPart(".arena_axisram", 0x24000040, 32768))
    image = build(source, "nucleo_h743zi", toolchain, arena=parts)
    file = read_elf(image.elf)
    assert (file.address_of("low"), file.address_of("high")) == (0x20000400, 0x24000040)
    assert image.arena_bytes == 4096 + 32768
    assert image.static_bytes == 0
    assert image.stack_top == 0x24000000 + 512 * 1024


@pytest.mark.parametrize("toolchain", BOTH)
def test_an_arena_over_static_data_or_stack_does_not_link(toolchain: str) -> None:
    arena = '__attribute__((section(".arena"), used)) char arena[4096]; char data[64];'
    source = arena + "int main(void) { return ((volatile char *)data)[1]; }"
    for address in (0x24000020, 0x24000000 + 512 * 1024 - 4096):
        with pytest.raises(BuildError, match="overlap"):
            build(source, "nucleo_h743zi", toolchain, arena=(ArenaPart(".arena", address, 4096),))


@pytest.mark.parametrize("toolchain", BOTH)
def test_an_image_too_large_for_ram_says_by_how_much(toolchain: str) -> None:
    board = find_board("nucleo_f103rb")
    arena, stack = board.ram.bytes - 1024 + 48, 1024
    source = f'__attribute__((section(".arena"), aligned(16))) char arena[{arena}];'
    source += "int main(void) { return ((volatile char *)arena)[1]; }"
    with pytest.raises(DoesNotLinkError, match=rf"does not fit nucleo_f103rb: {board.ram.name} .* by 48 B") as caught:
        build(source, board.id, toolchain, stack_bytes=stack)
    assert caught.value.exit_code == 1
    fitting = source.replace(str(arena), str(arena - 48))
    assert build(fitting, board.id, toolchain, stack_bytes=stack).arena_bytes == arena - 48  # to the last byte


@pytest.mark.parametrize("toolchain", BOTH)
def test_an_image_too_large_for_flash_says_by_how_much(toolchain: str) -> None:
    board = find_board("nucleo_f103rb")
    source = (
        f"const char weights[{board.flash.bytes}] = {{1}}; int main(void) {{ volatile int i = 1; return weights[i]; }}"
    )
    with pytest.raises(DoesNotLinkError, match=rf"{board.flash.name} .* is too small by \d+ B") as caught:
        build(source, board.id, toolchain)
    over = int(caught.value.message.split(" by ")[1].split(" B")[0])
    small = build(
        "const char weights[1] = {1}; int main(void) { volatile int i = 0; return weights[i]; }", board.id, toolchain
    )
    assert abs(over - small.flash_bytes) <= 64  # all but the weights is over


def test_what_linkers_say_is_understood() -> None:
    board = find_board("nucleo_f103rb")
    word = f"{board.ram.name.upper()}_{board.ram.base:08X}"
    ld = f"ld: region `{word}' overflowed by 1234 bytes\ncollect2: error: ld returned 1 exit status"
    lld = f"ld.lld: error: section '.bss' will not fit in region '{word}': overflowed by 34 bytes\n"
    lld += f"ld.lld: error: section '.stack' will not fit in region '{word}': overflowed by 1234 bytes\n"
    for words in (ld, lld):
        found = overflow_error(board, words)
        assert found is not None
        assert "by 1234 B" in found.message
    assert overflow_error(board, "undefined reference to `sin'") is None


@pytest.mark.parametrize("toolchain", BOTH)
def test_compilers_are_quoted(toolchain: str) -> None:
    with pytest.raises(BuildError, match=r"refuses main\.c:\n(.|\n)*unused variable 'forgotten'"):
        build("int main(void) { int forgotten; return 0; }", "stm32f746", toolchain)
    with pytest.raises(BuildError, match=r"does not link(.|\n)*elsewhere"):
        build("int elsewhere(void); int main(void) { return elsewhere(); }", "stm32f746", toolchain)


@needs_zig
def test_zig_without_a_place_for_its_cache_says_what_to_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", str(tmp_path / "file"))
    (tmp_path / "main.c").write_text("int main(void) { return 0; }")
    tools = find_toolchain("zig", tmp_path / "cache")
    with pytest.raises(
        UsageError, match=r"has no folder to keep its libraries in: unable to .*cache directory"
    ) as caught:
        tools.build([tmp_path / "main.c"], [], find_board("stm32f746"), tmp_path / "out")
    assert "ZIG_GLOBAL_CACHE_DIR" in str(caught.value.hint)


@needs_any
def test_handlers_are_distinct_and_weak() -> None:
    names = ("NMI", "HardFault", "MemManage", "BusFault", "UsageFault", "SVC", "PendSV", "SysTick", "Default")
    file = read_elf(build("int main(void) { return 0; }", "stm32f746").elf)
    assert len({file.address_of(f"{name}_Handler") for name in names}) == len(names)
    own = build("void SysTick_Handler(void); void SysTick_Handler(void) {} int main(void) { return 0; }", "stm32f746")
    file = read_elf(own.elf)
    vectors = file.segments[0].data[:64]
    assert int.from_bytes(vectors[60:64], "little") == file.address_of("SysTick_Handler") + 1
    assert int.from_bytes(vectors[:4], "little") == find_board("stm32f746").ram.end
    assert int.from_bytes(vectors[4:8], "little") == file.address_of("Reset_Handler") + 1


@needs_gcc
@pytest.mark.parametrize("board", [b for b in all_boards() if b.flash.kind is RegionKind.FLASH], ids=lambda b: b.id)
def test_every_board_links(board: object, tmp_path: Path) -> None:
    from tinydeploy.boards import Board

    assert isinstance(board, Board)
    (tmp_path / "main.c").write_text("int main(void) { return 0; }")
    image = find_toolchain("gcc", tmp_path).build([tmp_path / "main.c"], [], board, tmp_path)
    assert read_elf(image.elf).address_of("td_vectors") == board.flash.base


@needs_zig
@pytest.mark.parametrize("toolchain", BOTH)
def test_helium_builds_although_it_does_not_run(toolchain: str, tmp_path: Path) -> None:
    board = next((b for b in all_boards() if b.core.mve), None) or variant(
        find_board("stm32f746"), name="cortex-m55", mve=True
    )
    (tmp_path / "main.c").write_text("volatile float f; int main(void) { f *= 2.5f; return 0; }")
    image = find_toolchain(toolchain, tmp_path).build([tmp_path / "main.c"], [], board, tmp_path)
    assert image.code_bytes > 0


def test_missing_tools_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    import tinydeploy.toolchain.find as find
    import tinydeploy.toolchain.gcc as gcc
    import tinydeploy.toolchain.zig as zig

    for module in (find.shutil, gcc.shutil):
        monkeypatch.setattr(module, "which", lambda name: None)
    monkeypatch.setattr(zig, "find_spec", lambda name: None)
    monkeypatch.setattr(find, "find_spec", lambda name: None)
    for name, hint in (("gcc", "apt install gcc-arm-none-eabi"), ("zig", "tinydeploy[run]"), (None, "tinydeploy[run]")):
        with pytest.raises(MissingToolError) as caught:
            find_toolchain(name)
        assert caught.value.exit_code == 4
        assert hint in str(caught.value.hint)
    with pytest.raises(UsageError, match="no toolchain 'iar'"):
        find_toolchain("iar")


def test_nothing_heavy_is_imported_to_find_a_toolchain() -> None:
    code = "import sys, tinydeploy.toolchain, tinydeploy.emulate; print(*(m for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"unicorn", "numpy", "elftools", "rich"} & set(done.stdout.split())


@needs_gcc
def test_long_lists_of_steps_are_compiled_without_points_to_analysis(tmp_path: Path) -> None:
    """It takes the square of their length: 80 s for 1,500 steps, instead of 3 s for the same code."""
    short, long = tmp_path / "short.c", tmp_path / "long.c"
    short.write_text("int x;\n", encoding="utf-8")
    long.write_text("int x;\n" * 20_000, encoding="utf-8")
    tools = find_toolchain("gcc", tmp_path)
    assert tools.source_flags(short) == []  # type: ignore[attr-defined]
    assert tools.source_flags(long) == ["-fno-tree-pta"]  # type: ignore[attr-defined]
    assert tools.source_flags(tmp_path / "none.c") == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["gcc", "zig"])
def test_nothing_is_loaded_where_only_ram_is_cleared(name: str, tmp_path: Path) -> None:
    """A loader clears what a segment has in memory and not in the file, at its physical address: never in flash."""
    board = find_board("stm32f746")
    source = tmp_path / "a.c"
    source.write_text(
        "static int zeroed[40]; int set = 5;\n"
        '__attribute__((section(".arena"))) char arena[64];\n'
        "int main(void) { return zeroed[set] + arena[set]; }\n",
        encoding="utf-8",
    )
    image = find_toolchain(name).build([source], [], board, tmp_path / "build")
    segments = read_elf(image.elf).segments
    cleared = [s for s in segments if s.memory_bytes > len(s.data)]
    assert cleared
    for segment in cleared:
        assert segment.physical >= board.ram.base, segment
