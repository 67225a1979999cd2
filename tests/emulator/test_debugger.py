"""A debugger on the embedded emulator: it sees and changes what is there, and the counts stay what they are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.firmware import build, function, needs_any, needs_unicorn
from tests.support.rsp import Client
from tinydeploy.boards import find_board
from tinydeploy.elf import read_elf
from tinydeploy.emulate import GdbServer, Job, RunResult, UnicornEmulator
from tinydeploy.errors import RunError

pytestmark = [needs_unicorn, needs_any]

SP, LR, PC, XPSR, D0, FPSCR = 13, 14, 15, 16, 17, 33
SEMIHOSTING = """
static int call(int operation, const void *argument) {
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}
"""


class Debugged:
    """A run in a thread of its own, and its client."""

    def __init__(self, elf: Path, board: str, **job: Any) -> None:
        self.elf = read_elf(elf)
        self.server = GdbServer(0)
        self.result: RunResult | None = None
        self.error: BaseException | None = None
        self._job = Job(elf, **job)
        self._board = find_board(board)
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        self.client = Client(self.server.port)

    def _run(self) -> None:
        try:
            self.result = UnicornEmulator(debugger=self.server).run(self._board, self._job)
        except BaseException as error:
            self.error = error
        finally:
            self.server.close()

    def end(self) -> RunResult:
        """The run's result, after whatever lets it end."""
        self.thread.join(60)
        assert not self.thread.is_alive()
        if self.error is not None:
            raise self.error
        assert self.result is not None
        return self.result

    def symbol(self, name: str) -> int:
        return self.elf.address_of(name)

    def register(self, number: int) -> int:
        return int.from_bytes(bytes.fromhex(self.client.ask(f"p{number:x}")), "little")

    def word(self, address: int) -> int:
        return int.from_bytes(bytes.fromhex(self.client.ask(f"m{address:x},4")), "little")


@contextmanager
def debugged(source: str, board: str = "stm32f746", toolchain: str | None = None, **job: Any) -> Iterator[Debugged]:
    run = Debugged(build(source, board, toolchain).elf, board, **job)
    try:
        yield run
    finally:
        run.client.socket.close()
        run.thread.join(60)


def alone(source: str, board: str = "stm32f746", **job: Any) -> RunResult:
    return UnicornEmulator().run(find_board(board), Job(build(source, board).elf, **job))


LOOP = function(
    "f",
    "movs r0, #0",
    "movs r1, #5",
    "1: cmp r1, #3",
    "ite ge",
    "addge r0, #1",
    "addlt r0, #16",
    "subs r1, #1",
    "bne 1b",
    "ldr r2, =seen",
    "str r0, [r2]",
    "bx lr",
)
MAIN = "unsigned seen; void f(void); int main(void) { f(); return seen == 35 ? 0 : 1; }"


def test_at_the_start_nothing_has_run() -> None:
    with debugged(LOOP + MAIN) as run:
        assert run.client.ask("?") == "T05thread:1;"
        assert run.register(PC) == run.symbol("Reset_Handler")
        assert run.register(SP) == run.word(0x08000000)
        assert run.client.monitor("instructions") == "0 instructions\n"
        assert run.client.ask("c") == "W00"
        assert run.end().fault is None


@pytest.mark.parametrize("board", ["stm32f746", "stm32f103", "stm32u575"])
def test_every_step_is_counted_once(board: str) -> None:
    """Also where an IT block is stepped over as a whole; cycles and the trace are those of a run alone, too."""
    expected = alone(LOOP + MAIN, board, trace=True)
    with debugged(LOOP + MAIN, board, trace=True) as run:
        inside, executed = 0, [0]
        while (reply := run.client.ask("s")) == "T05thread:1;":
            inside += run.symbol("f") <= run.register(PC) < run.symbol("f") + 11 * 2
            executed.append(int(run.client.monitor("instructions").split()[0]))
        assert reply == "W00"
        result = run.end()
    assert all(before < after for before, after in pairwise(executed))
    assert executed[-1] <= result.instructions
    # two before the loop, four of six in it, and three behind it
    assert inside == 2 + 5 * 4 + 3
    for fact in ("instructions", "instructions_by_function", "cycles", "trace"):
        assert getattr(result, fact) == getattr(expected, fact)


def test_breakpoints_registers_and_memory() -> None:
    with debugged(LOOP + MAIN) as run:
        start = run.symbol("f")
        end = start + 8 * 2 + 4
        assert run.client.ask(f"Z1,{end - 4:x},2") == "OK"  # ldr r2: behind the loop
        assert run.client.ask(f"Z0,{start:x},2") == "OK"
        assert run.client.ask("c") == "T05thread:1;"
        assert run.register(PC) == start
        assert run.client.ask(f"z0,{start:x},2") == "OK"
        assert run.client.ask("c") == "T05thread:1;"
        assert (run.register(PC), run.register(0), run.register(1)) == (end - 4, 3 + 2 * 16, 0)
        assert run.register(XPSR) & 0x41000000 == 0x41000000  # Z, and Thumb
        assert run.client.ask("P0=07000000") == "OK"
        assert run.client.ask("s") == "T05thread:1;"
        assert run.client.ask("s") == "T05thread:1;"
        assert run.word(run.symbol("seen")) == 7
        assert run.client.ask(f"M{run.symbol('seen'):x},4:23000000") == "OK"
        assert run.client.ask("c") == "W00"
        assert run.end().exit_code == 0


def test_what_is_no_ram_cannot_be_written_and_what_is_no_memory_not_be_read() -> None:
    with debugged(LOOP + MAIN) as run:
        assert run.client.ask("M8000000,4:00000000") == "E01"
        assert run.client.ask("m40000000,4") == "E01"
        assert run.client.ask("me000ed00,4") == "E01"
        memory = run.client.ask("qXfer:memory-map:read::0,4000")
        assert '<memory type="flash" start="0x8000000" length="0x100000">' in memory
        assert '<memory type="ram" start="0x20000000"' in memory
        assert run.client.ask("D") == "OK"
        assert run.end().exit_code == 0


def test_the_description_has_what_the_core_has() -> None:
    with debugged(LOOP + MAIN) as run:
        with_fpu = run.client.ask("qXfer:features:read:target.xml:0,3fff")
        assert len(run.client.ask("g")) == 2 * (17 * 4 + 16 * 8 + 4)
        run.client.send("D")
    with debugged(LOOP + MAIN, "stm32f103") as run:
        without = run.client.ask("qXfer:features:read:target.xml:0,3fff")
        assert len(run.client.ask("g")) == 2 * 17 * 4
        run.client.send("D")
    assert "org.gnu.gdb.arm.m-profile" in with_fpu and "org.gnu.gdb.arm.m-profile" in without
    assert "org.gnu.gdb.arm.vfp" in with_fpu and "org.gnu.gdb.arm.vfp" not in without


def test_a_pc_that_is_moved_leaves_out_what_is_skipped() -> None:
    code = function("f", "movs r0, #1", "nop", "nop", "nop", "nop", "bx lr")
    main = "void f(void); int main(void) { f(); return 0; }"
    with debugged(code + main) as run:
        start = run.symbol("f")
        run.client.ask(f"Z1,{start + 2:x},2")
        run.client.ask("c")
        run.client.ask(f"Pf={(start + 10).to_bytes(4, 'little').hex()}")
        assert run.client.ask("c") == "W00"
        assert run.end().instructions_by_function["f"] == 2


@pytest.mark.parametrize(
    ("packet", "words", "at"), [("Z2", "watch", "set"), ("Z3", "rwatch", "get"), ("Z4", "awatch", "get")]
)
def test_watchpoints_halt_behind_the_access(packet: str, words: str, at: str) -> None:
    code = function("get", "ldr r0, =value", "ldrb r1, [r0, #2]", "nop", "bx lr") + function(
        "set", "ldr r0, =value", "movs r1, #9", "str r1, [r0]", "nop", "bx lr"
    )
    main = "unsigned value = 0x10203; void get(void); void set(void); int main(void) { get(); set(); return 0; }"
    expected = alone(code + main)
    with debugged(code + main) as run:
        value = run.symbol("value")
        run.client.ask(f"Z1,{run.symbol('main'):x},2")  # start-up writes .data
        run.client.ask("c")
        assert run.client.ask(f"{packet},{value + 2:x},1") == "OK"
        assert run.client.ask("c") == f"T05thread:1;{words}:{value + 2:x};"
        offset = {"get": 2 + 2, "set": 2 + 2 + 2}[at]
        assert run.register(PC) - run.symbol(at) == offset
        assert run.word(value) == (9 if at == "set" else 0x10203)
        run.client.ask(f"z{packet[1:]},{value + 2:x},1")
        assert run.client.ask("c") == "W00"
        assert run.end().instructions_by_function == expected.instructions_by_function


def test_a_fault_halts_before_the_run_ends() -> None:
    source = "int main(void) { *(volatile int *)0x30000000 = 1; return 0; }"
    expected = alone(source)
    assert expected.fault is not None
    with debugged(source) as run:
        assert run.client.ask("c") == "T0bthread:1;"
        assert b"unmapped-write: write to 0x30000000" in run.client.printed
        assert run.register(PC) == expected.fault.pc
        assert run.client.monitor("instructions") == f"{expected.instructions} instructions\n"
        assert run.client.ask("c") == "X0b"
        result = run.end()
    assert result.fault == expected.fault
    assert result.instructions_by_function == expected.instructions_by_function


def test_a_bkpt_of_the_firmware_halts_and_can_be_passed() -> None:
    source = (
        '__attribute__((noinline)) void halt(void) { __asm__ volatile("bkpt 1"); } int main(void) { halt(); return 3; }'
    )
    with debugged(source) as run:
        assert run.client.ask("c") == "T05thread:1;"
        assert run.register(PC) == run.symbol("halt")
        assert run.client.ask("c") == "W03"
        assert run.end().exit_code == 3


def test_what_firmware_prints_is_shown() -> None:
    source = SEMIHOSTING + 'int main(void) { call(4, "hello\\n"); return 0; }'
    with debugged(source) as run:
        assert run.client.ask("c") == "W00"
        assert run.client.printed == b"hello\n"
        assert run.end().uart == b"hello\n"


def test_an_endless_loop_is_interrupted_and_no_time_out_comes_before_it_is_let_go() -> None:
    source = "volatile unsigned n; int main(void) { for (;;) n++; }"
    with debugged(source, timeout_seconds=0.3) as run:
        run.client.send("c")
        run.thread.join(1)
        assert run.thread.is_alive()
        run.client.raw(b"\x03")
        assert run.client.reply() == "T02thread:1;"
        seen = run.word(run.symbol("n"))
        assert seen > 0
        assert run.client.ask("D") == "OK"
        result = run.end()
    assert result.fault is not None and result.fault.kind == "time-out"


def test_who_lets_go_late_leaves_the_run_all_its_time() -> None:
    """What passed while it stood is none of it."""
    source = "int main(void) { for (volatile unsigned n = 0; n < 300000; n++) {} return 0; }"
    with debugged(source, timeout_seconds=1) as run:
        run.thread.join(1.5)
        assert run.client.ask("D") == "OK"
        assert run.end().fault is None


@pytest.mark.parametrize("packet", ["k", "vKill;1"])
def test_kill_ends_the_run(packet: str) -> None:
    with debugged(LOOP + MAIN) as run:
        run.client.send(packet)
        with pytest.raises(RunError, match="the debugger ended the run"):
            run.end()


def test_who_hangs_up_lets_go() -> None:
    with debugged(LOOP + MAIN) as run:
        run.client.ask(f"Z1,{run.symbol('f'):x},2")
        run.client.socket.close()
        assert run.end().exit_code == 0


def test_the_step_that_runs() -> None:
    code = function("f", "ldr r0, =0xE000007C", "movs r1, #7", "str r1, [r0]", "nop", "bx lr")
    with debugged(code + "void f(void); int main(void) { f(); return 0; }", marker_address=0xE000007C) as run:
        assert run.client.monitor("step") == "no step\n"
        run.client.ask(f"Z1,{run.symbol('f') + 6:x},2")
        run.client.ask("c")
        assert run.client.monitor("step") == "step 7\n"
        assert "cycles" in run.client.monitor("help")
        run.client.send("D")
        assert run.end().instructions_by_step[7] > 2
