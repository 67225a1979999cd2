"""Every way in which a run on Renode can end, through the real runner, with a stand-in for Renode."""

from __future__ import annotations

import ast
import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.support import fake_renode
from tests.support.firmware import build, function, needs_any
from tinydeploy.boards import find_board
from tinydeploy.elf import read_elf
from tinydeploy.emulate import Guard, Job, Painted
from tinydeploy.emulate.renode import machine
from tinydeploy.emulate.renode.install import Renode, find_renode
from tinydeploy.emulate.renode.machine import RenodeEmulator
from tinydeploy.emulate.types import Fault, RunResult
from tinydeploy.errors import MissingToolError, RunError, UsageError

pytestmark = [
    needs_any,
    pytest.mark.skipif(sys.platform == "win32", reason="the stand-in cannot be installed on Windows: it needs a shell"),
]

BOARD = "stm32f746"
SOURCE = function("done", "nop", "1: b 1b", "bx r2") + "void done(void); int main(void) { done(); return 0; }"
RAM = 0x20010000  # STM32F746: SRAM1


def renode(tmp_path: Path, scenario: str = "normal") -> Renode:
    return find_renode(str(fake_renode.install(tmp_path, scenario)))


def job(**more: object) -> Job:
    return Job(build(SOURCE, BOARD).elf, stop_symbol="done", **more)  # type: ignore[arg-type]


def run(tmp_path: Path, scenario: str = "normal", **more: object) -> RunResult:
    return RenodeEmulator(renode(tmp_path, scenario)).run(find_board(BOARD), job(**more))


def fault_of(result: RunResult) -> Fault:
    assert result.fault is not None
    assert "\n" not in result.fault.message
    return result.fault


# --- what is found


def test_a_renode_is_found_by_file_by_folder_and_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = fake_renode.install(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for given in (str(launcher), str(tmp_path), None):
        assert find_renode(given) == Renode(launcher, "1.16.1.18832", "mono")


def test_a_later_renode_on_dotnet_is_taken(tmp_path: Path) -> None:
    found = renode(tmp_path, "next")
    assert (found.version, found.kind) == ("2.0.0.1", ".NET")


@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        ("old", "is Renode 1.14.0.26341, which is too old"),
        ("other", "is not Renode: asked for its version it says 'renode-utils 3.2, a tool that removes nodes'"),
        ("mute", "is not Renode: asked for its version it says nothing"),
    ],
)
def test_a_wrong_renode_is_refused(tmp_path: Path, scenario: str, said: str) -> None:
    with pytest.raises(MissingToolError, match=said) as refused:
        renode(tmp_path, scenario)
    assert refused.value.exit_code == 4
    assert refused.value.hint is not None
    assert "1.15 or later" in refused.value.hint


def test_one_that_never_says_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinydeploy.emulate.renode.install._VERSION_SECONDS", 0.5)
    began = time.monotonic()
    with pytest.raises(MissingToolError, match=r"does not say its version within 0\.5 s"):
        renode(tmp_path, "hangs")
    assert time.monotonic() - began < 30  # it sleeps for an hour


def test_no_renode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "data").mkdir()
    for given, said in (
        (None, "no `renode` on PATH"),
        (str(tmp_path / "data"), "no Renode in"),
        (str(tmp_path / "gone"), "no Renode at"),
    ):
        with pytest.raises(MissingToolError, match=said) as missing:
            find_renode(given)
        assert "TINYDEPLOY_RENODE" in (missing.value.hint or "")


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    text = tmp_path / "renode"
    text.write_text("Renode v1.16.1")
    with pytest.raises(MissingToolError, match="is not Renode: it cannot be run"):
        find_renode(str(text))


# --- a run that ends well


def test_a_normal_end(tmp_path: Path) -> None:
    """Counts are the agent's; memory is what came back."""
    seen: list[bytes] = []
    emulator = RenodeEmulator(renode(tmp_path), on_output=seen.append)
    os.environ["FAKE_RENODE_CHANGES"] = f"{RAM:#x}=0x41 {RAM + 1:#x}=0x42 {RAM + 0x107:#x}=0x43"
    try:
        painted = Painted("arena", RAM + 0x100, 16)
        result = emulator.run(find_board(BOARD), job(reads=[(RAM, 2)], painted=[painted]))
    finally:
        del os.environ["FAKE_RENODE_CHANGES"]
    assert (result.fault, result.exit_code, result.instructions) == (None, 0, 1000)
    assert result.instructions_by_step == {0xFFFFFFFE: 10, 7: 900}
    assert result.reads == (b"AB",)
    assert result.watermarks == {"arena": 8}
    assert result.uart == b"hello\n" == b"".join(seen)
    assert result.cycles is None


def test_an_exit_code_of_the_firmware(tmp_path: Path) -> None:
    result = run(tmp_path, "exits")
    assert (result.fault, result.exit_code) == (None, 3)


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job()  # builds the image where this test does not look
    scratch, home = tmp_path / "tmp", tmp_path / "home"
    scratch.mkdir()
    home.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    monkeypatch.setenv("HOME", str(home))
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    run(tmp_path)
    assert [*scratch.iterdir(), *home.iterdir()] == []
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


# --- a run that ends badly


@pytest.mark.parametrize(
    ("scenario", "kind", "pc", "address", "said"),
    [
        ("warns", "unmapped-write", 0x080003A6, 0x40012344, "write to 0x40012344, outside every memory"),
        ("aborts", "unmapped-fetch", 0x30000000, 0x30000000, "jump to 0x30000000, outside every memory"),
        ("warns of something else", "warning", None, None, "Renode warned: nvic: Trying to set the priority"),
        ("undefined", "undefined-instruction", None, None, "is undefined on cortex-m7"),
        ("late", "time-out", None, None, "no end after 120 s"),
        ("counts", "time-out", None, None, "no end after 20000000000 instructions"),
        ("loops in a handler", "no-exit", None, None, "IRQ 6 came, and its handler is an empty loop: no end"),
        ("leaps", "hard-fault", None, None, "jump to an even address, 0x00000002: cortex-m7 has no Arm state"),
        ("returns", "abort", 0xFFFFFFBC, None, "a handler returned (0xffffffbc) as the next interrupt came"),
        ("overflows", "stack-overflow", None, 0x20000000, "the stack reaches down to 0x20000000"),
    ],
)
def test_faults(tmp_path: Path, scenario: str, kind: str, pc: int | None, address: int | None, said: str) -> None:
    result = run(tmp_path, scenario)
    fault = fault_of(result)
    assert fault.kind == kind
    assert fault.step == 7
    assert said in fault.message
    assert "step 7" in fault.message
    if pc is not None:
        assert (fault.pc, fault.address) == (pc, address)
    assert result.reads == ()
    assert result.uart == b"hello\n"


def test_a_fault_names_the_function(tmp_path: Path) -> None:
    """The stand-in's core is at `done` when it traps."""
    assert fault_of(run(tmp_path, "traps")).function == "done"


def test_flash_that_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renode lets a program write its own flash."""
    done = read_elf(build(SOURCE, BOARD).elf).address_of("done")
    monkeypatch.setenv("FAKE_RENODE_CHANGES", f"{done + 1:#x}=0x00")
    fault = fault_of(run(tmp_path))
    assert (fault.kind, fault.address, fault.function) == ("flash-changed", done + 1, "done")


def test_flash_that_changed_says_more_than_a_time_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = read_elf(build(SOURCE, BOARD).elf).address_of("done")
    monkeypatch.setenv("FAKE_RENODE_CHANGES", f"{done + 1:#x}=0x00")
    assert fault_of(run(tmp_path, "late")).kind == "flash-changed"


def test_memories_of_two_kinds_that_touch(tmp_path: Path) -> None:
    """STM32L152: its EEPROM begins where its flash ends."""
    image = build("int main(void) { return 0; }", "nucleo_l152re")
    result = RenodeEmulator(renode(tmp_path)).run(find_board("nucleo_l152re"), Job(image.elf))
    assert result.fault is None


def test_memory_beside_the_arena_that_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_RENODE_CHANGES", f"{RAM + 5:#x}=0x5A {RAM + 6:#x}=0x5A")
    result = run(tmp_path, guards=[Guard("the arena", RAM, 64)], reads=[(RAM, 4)])
    fault = fault_of(result)
    assert (fault.kind, fault.address) == ("guard", RAM + 5)
    assert "beside the arena" in fault.message
    assert result.reads == ()


def test_a_stack_that_is_used_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lowest byte is written. With a guard below, which is whole, it is known to have gone no further."""
    stack = Painted("stack", RAM + 64, 64, grows_down=True)
    monkeypatch.setenv("FAKE_RENODE_CHANGES", f"{RAM + 64:#x}=0x5A")
    guarded = run(tmp_path, painted=[stack], guards=[Guard("the stack", RAM, 64)])
    assert (guarded.fault, guarded.watermarks) == (None, {"stack": 64})
    assert fault_of(run(tmp_path, painted=[stack])).kind == "stack-overflow"


def running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("scenario", ["aborts and hangs", "floods and hangs"])
def test_a_hang_ends_in_time_with_all_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: str) -> None:
    pids = tmp_path / "pids"
    monkeypatch.setenv("FAKE_RENODE_PIDS", str(pids))
    monkeypatch.setattr(machine, "_GRACE_SECONDS", 1.0)
    began = time.monotonic()
    fault = fault_of(run(tmp_path, scenario, timeout_seconds=1.0))
    assert time.monotonic() - began < 30
    assert fault.kind == "time-out"
    started = [int(pid) for pid in pids.read_text().split()]
    assert len(started) == 3
    assert not any(running(pid) for pid in started)


def test_ctrl_c_ends_all_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pids = tmp_path / "pids"
    monkeypatch.setenv("FAKE_RENODE_PIDS", str(pids))

    def interrupted(self: object) -> None:
        if pids.exists() and pids.read_text():
            raise KeyboardInterrupt

    monkeypatch.setattr(machine._Tail, "more", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "aborts and hangs")
    assert not any(running(int(pid)) for pid in pids.read_text().split())


# --- a Renode that does not do its part


@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        ("leaves", "Renode ended with code 0 before the run did"),
        ("crash", "Renode ended with code -11 before the run did: .*Native Crash Reporting"),
        ("refuses", r"Renode refuses the platform or the script: There was an error .* / Error E04: Could not resolve"),
        ("garbage", "Renode's answer cannot be understood"),
        ("breaks off", "Renode's answer cannot be understood: it breaks off"),
        ("dumps too little", "Renode's answer cannot be understood: dump0 has"),
        ("fails", "the watch inside Renode failed: .*MissingMemberException"),
    ],
)
def test_a_broken_renode(tmp_path: Path, scenario: str, said: str) -> None:
    with pytest.raises(RunError, match=said) as broken:
        run(tmp_path, scenario)
    assert broken.value.exit_code == 5
    assert "\n" not in broken.value.message


def test_a_renode_that_never_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_START_SECONDS", 1.0)
    with pytest.raises(RunError, match="did not start the run within 1 s"):
        run(tmp_path, "sleeps")


def test_the_agent_is_written_for_old_pythons() -> None:
    """IronPython's language is 2.7 or 3.4: nothing newer, and nothing that only one of them has."""
    source = Path(machine.__file__).with_name("agent.ipy").read_text(encoding="ascii")
    tree = ast.parse(source, feature_version=(3, 4))
    newer = (
        ast.JoinedStr,
        ast.AnnAssign,
        ast.Nonlocal,
        ast.YieldFrom,
        ast.AsyncFunctionDef,
        ast.NamedExpr,
        ast.MatMult,
    )
    for node in ast.walk(tree):
        assert not isinstance(node, newer), ast.dump(node)
        if isinstance(node, ast.FunctionDef):
            assert node.returns is None
            assert not node.args.kwonlyargs
            assert not any(argument.annotation for argument in node.args.args)
        if isinstance(node, ast.ClassDef):
            assert node.bases, "a class of the old kind, in 2.7"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("print", "super", "input", "bytes")  # which the two understand differently


# --- a platform of the user's

PLATFORM = """
flash: Memory.MappedMemory @ sysbus 0x08000000
    size: 0x100000
ram: Memory.MappedMemory @ sysbus 0x20000000
    size: {ram}
cpu: CPU.CortexM @ sysbus
    cpuType: "cortex-m7"
    nvic: nvic
nvic: IRQControllers.NVIC @ sysbus 0xE000E000
    IRQ -> cpu@0
"""


def on_platform(tmp_path: Path, ram: str, scenario: str = "normal") -> RenodeEmulator:
    repl = tmp_path / "my board.repl"
    repl.write_text(PLATFORM.format(ram=ram))
    return RenodeEmulator(renode(tmp_path, scenario), repl=repl)


def test_a_platform_that_has_what_the_image_needs(tmp_path: Path) -> None:
    emulator, board = on_platform(tmp_path, "0x50000"), find_board(BOARD)
    emulator.check(board)
    assert emulator.excess(board) is None
    assert emulator.run(board, job()).fault is None


def test_a_platform_that_lacks_memory(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"my board\.repl maps no memory at 0x2004f"):
        on_platform(tmp_path, "0x40000").run(find_board(BOARD), job())


def test_a_platform_with_more_than_the_chip(tmp_path: Path) -> None:
    """As Renode's own for this board: 384 KiB of RAM where the chip has 320."""
    excess = on_platform(tmp_path, "0x60000").excess(find_board(BOARD))
    assert excess is not None
    assert "maps memory that stm32f746g_disco does not have: 64.0 KiB at 0x20050000" in excess


def test_a_platform_whose_path_would_be_a_command(tmp_path: Path) -> None:
    folder = tmp_path / "a;quit"
    folder.mkdir()
    emulator = on_platform(folder, "0x50000")
    with pytest.raises(UsageError, match="monitor cannot take the path"):
        RenodeEmulator(renode(tmp_path), repl=emulator._repl).run(find_board(BOARD), job())


def test_a_platform_that_renode_refuses_is_the_users(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Error E04"):
        on_platform(tmp_path, "0x50000", "refuses").run(find_board(BOARD), job())
