"""A stand-in for Renode 1.16: says what it says, ends as it ends, and emulates nothing.

Run as a program, by the launcher that `install` writes. FAKE_RENODE says what is to happen. The text is Renode's own:
UI/CommandLineInterface.cs and Monitor.cs for the monitor, SystemBus.cs and tlib's exec-all.h for the log, `--version`
of a 1.16.1 on Mono. What holds for the real one holds here: a failed command leaves the exit code at 0 and the monitor
waiting, the end of standard input ends the process, and after a CPU abort nothing does but a signal.

In the real one agent.ipy writes the answer. Here `run` does, from a table: the memories come back as they were given,
but for what the scenario changes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

VERSION = """Renode v1.16.1.18832
  build: d66b0c2a-202611211027
  build type: Release
  runtime: Mono 4.0.30319.42000
"""


def install(folder: Path, scenario: str = "normal", name: str = "renode") -> Path:
    """A launcher in `folder` whose process does what `scenario` says."""
    launcher = folder / name
    launcher.write_text(
        f"#!/bin/sh\nFAKE_RENODE='{scenario}' exec '{sys.executable}' '{Path(__file__).resolve()}' \"$@\"\n",
        encoding="utf-8",
    )
    launcher.chmod(0o755)
    return launcher


def main(arguments: list[str]) -> int:
    scenario = os.environ["FAKE_RENODE"]
    if "--version" in arguments:
        return version(scenario)
    config = Path(arguments[arguments.index("--config") + 1])
    assert "use-synchronous-logging = True" in config.read_text(encoding="utf-8")
    assert {"--disable-gui", "--console", "--plain"} <= set(arguments)
    command = arguments[arguments.index("-e") + 1]
    say("Renode, version 1.16.1 (d66b0c2a-202611211027)", "", f"(monitor) {command}")
    log("INFO", f"Including script(s): {Path.cwd() / 'run.resc'}")
    log("INFO", "System bus created.")
    script = Path(command.removeprefix("include @")).read_text(encoding="utf-8").splitlines()
    commands = dict(line.rsplit(" @", 1) for line in script[1:3])
    assert script[0].startswith("mach create "), script
    assert Path(commands["machine LoadPlatformDescription"].replace("\\ ", " ")).is_file()
    if scenario == "crash":
        say("=================================================================", "\tNative Crash Reporting")
        os.kill(os.getpid(), signal.SIGSEGV)
    if scenario == "leaves":
        return 0
    if scenario == "refuses":
        say(
            f"There was an error executing command '{script[1]}'",
            "Error E04: Could not resolve type: 'Memory.NoSuchMemory'.",
            "At platform.repl:1:1:",
            "flash: Memory.NoSuchMemory @ sysbus 0x08000000",
            "^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^",
        )
        return wait_for_end_of_input()
    if scenario == "sleeps":
        return wait_for_end_of_input()
    job: dict[str, Any] = {}
    exec(Path("job.py").read_text(encoding="ascii"), job)
    run(scenario, job["TD_JOB"])
    return wait_for_end_of_input()


def version(scenario: str) -> int:
    if scenario == "hangs":
        time.sleep(3600)
    answers = {
        "old": VERSION.replace("1.16.1.18832", "1.14.0.26341"),
        "next": VERSION.replace("1.16.1.18832", "2.0.0.1").replace("Mono 4.0.30319.42000", ".NET 8.0.11"),
        "other": "renode-utils 3.2, a tool that removes nodes\n",
        "mute": "",
    }
    sys.stdout.write(answers.get(scenario, VERSION))
    return 0


def run(scenario: str, job: dict[str, Any]) -> None:
    """The agent's part."""
    folder = Path(job["folder"])
    (folder / "started").write_text("")
    log("INFO", "board: Machine started.")
    if scenario in ("aborts and hangs", "floods and hangs"):
        hang(folder, flood=scenario.startswith("floods"))
    (folder / "output").write_bytes(b"hello\n")
    ends = {
        "warns": "end log\nlog [WARNING] sysbus: [cpu: 0x80003A6] WriteDoubleWord to non existing peripheral at "
        "0x40012344, value 0x55.",
        "aborts": "end log\nlog [ERROR] cpu: CPU abort [PC=0x30000000]: Trying to execute code outside RAM or ROM at "
        "0x30000000 .",
        "warns of something else": "end log\nlog [WARNING] nvic: Trying to set the priority for interrupt 3 to 0x7",
        "undefined": "end exception 1",
        "traps": "end trap",
        "late": "end late",
        "loops in a handler": "end late",
        "leaps": "end exception 18",
        "returns": "end exception 3",
        "counts": "end count",
        "overflows": "end stack",
        "fails": "end failed\nlog [ERROR] tinydeploy: MissingMemberException: no VectorTableOffset",
        "exits": "end exit 3",
    }
    pc = (job["stop"] or 0x08000100) + {"loops in a handler": 2, "leaps": 4}.get(scenario, 0)
    pc = 0xFFFFFFBC if scenario == "returns" else pc
    xpsr = 0x01000000 + (16 + 6 if scenario == "loops in a handler" else 0)  # the exception: IRQ 6
    registers = [f"register r{i} {i}" for i in range(13)]
    registers += ["register sp 536870912", "register lr 134218001", f"register pc {pc}", f"register xpsr {xpsr}"]
    step = ["step 7"] if scenario in ends else []
    result = [ends.get(scenario, "end stop"), "instructions 1000", *step]
    result += ["count 4294967294 10", "count 7 900", *registers, "done", ""]
    if scenario == "garbage":
        result = ["<html>502 Bad Gateway</html>"]
    if scenario == "breaks off":
        result = result[:4]
    memories = [(base, bytearray((folder / name).read_bytes())) for base, name in job["load"]]
    for change in os.environ.get("FAKE_RENODE_CHANGES", "").split():
        address, value = (int(part, 0) for part in change.split("="))
        for base, data in memories:
            if base <= address < base + len(data):
                data[address - base] = value
    for (_, _, name), (_, data) in zip(job["dump"], memories, strict=True):
        (folder / name).write_bytes(data if scenario != "dumps too little" else data[:-1])
    (folder / "data").write_bytes(b"")
    (folder / "result.part").write_text("\n".join(result))
    (folder / "result.part").replace(folder / "result")


def hang(folder: Path, *, flood: bool) -> None:
    """After a CPU abort nothing ends Renode but a signal that cannot be refused; nor what it has started."""
    for refused in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(refused, signal.SIG_IGN)
    sleep = [sys.executable, "-c", "import time; time.sleep(3600)"]
    children = [subprocess.Popen(sleep), subprocess.Popen(sleep, start_new_session=True)]
    pids = [os.getpid(), *(child.pid for child in children)]
    Path(os.environ["FAKE_RENODE_PIDS"]).write_text(" ".join(map(str, pids)))
    log("ERROR", "cpu: CPU abort [PC=0x30000000]: Trying to execute code outside RAM or ROM at 0x30000000", "")
    while flood:
        log("WARNING", "sysbus: [cpu: 0x80003A6] ReadDoubleWord from non existing peripheral at 0x40012344.")
    time.sleep(3600)


def say(*lines: str) -> None:
    sys.stdout.write("".join(line + "\n" for line in lines))
    sys.stdout.flush()


def log(level: str, *lines: str) -> None:
    say(f"11:02:03.4197 [{level}] " + "\n".join(lines))


def wait_for_end_of_input() -> int:
    sys.stdin.buffer.read()
    log("INFO", "board: Disposed.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
