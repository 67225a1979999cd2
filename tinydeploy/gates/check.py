"""`check`: everything that is to be checked, measured and judged, and the baseline brought up to date."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence

from tinydeploy import __version__
from tinydeploy.batch import Outcome, Progress, ResultCache, run_cases
from tinydeploy.config import Config
from tinydeploy.gates.baseline import Entry, Key, entry_of, read_baseline, since, write_baseline
from tinydeploy.gates.judge import judge, worst
from tinydeploy.gates.targets import Chosen, Target, baseline_path, resolve
from tinydeploy.operators.base import printable
from tinydeploy.report.verdicts import CheckReport
from tinydeploy.toml_files import printable_path

_NAMES_SHOWN = 4


def check(
    config: Config | None,
    chosen: Chosen,
    *,
    update: bool = False,
    jobs: int | None = None,
    cache: ResultCache | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> CheckReport:
    """Measure and judge all targets, up to `jobs` at once.

    `update`: first write what was measured into the baseline, so that growth is judged against what is there now.
    Cases that did not come to a good end leave their entries as they are; entries that nothing checks are dropped
    where nothing on the command line limits the check. Raises `UsageError` for a configuration, a baseline, a model or
    a board that cannot be used, before anything is measured.
    """
    targets = resolve(config, chosen)
    path = baseline_path(config, chosen)
    before = read_baseline(path)
    keys = [(target.model, target.board) for target in targets]
    outcomes = _measured(targets, jobs, cache, on_progress)
    measured = dict(zip(keys, outcomes, strict=True))
    if update:
        before = read_baseline(path)  # another check may have written to it in the meantime
    limited = bool(chosen.models or chosen.boards)
    stale = [] if limited else [key for key in before if key not in measured]
    shown = printable_path(path)
    if update:
        good = {key: entry_of(outcome) for key, outcome in measured.items() if outcome.status == "ok"}
        entries = {key: entry for key, entry in {**before, **good}.items() if key not in stale}
        write_baseline(path, entries)
        called, notes = f"{shown} as just written", []
        left = [key for key in keys if key not in good]
        if left:
            notes.append(f"not written into {shown}, since it went wrong: {_names(left)}")
    else:
        entries, notes = before, _differences(before, measured)
        called = since(path) if before else shown
    notes += _uncompared(outcomes)
    if stale:
        told = "entries that nothing checks any more"
        notes.append(
            f"dropped from {shown}, {told}: {_names(stale)}"
            if update
            else f"{shown} has {told}, and --update drops: {_names(stale)}"
        )
    cases = tuple(
        judge(target, outcome, entries.get(key), called)
        for target, outcome, key in zip(targets, outcomes, keys, strict=True)
    )
    return CheckReport(
        cases=cases,
        exit_code=worst(case.exit_code for case in cases),
        config_file="" if config is None else str(config.file),
        baseline_file=shown if entries else "",
        since=called if entries else "",
        updated=update,
        notes=tuple(notes),
        tools={name: version for outcome in outcomes for name, version in outcome.tools.items()},
    )


def _measured(
    targets: Sequence[Target],
    jobs: int | None,
    cache: ResultCache | None,
    on_progress: Callable[[Progress], None],
) -> list[Outcome]:
    """Each target's outcome, in order; whatever ends this ends the processes, too."""
    cases = [target.case for target in targets]
    running = run_cases(cases, jobs=jobs, cache=cache, on_progress=on_progress)
    with contextlib.closing(running):
        found = dict(running)
    return [found[position] for position in range(len(targets))]


def _differences(before: Mapping[Key, Entry], now: Mapping[Key, Outcome]) -> list[str]:
    """Tools that are others than the baseline's, which explain growth that no change of a model does."""
    told = set()
    for key, outcome in now.items():
        entry, toolchain = before.get(key), outcome.tools.get("toolchain", "")
        if entry is None:
            continue
        if entry.tinydeploy != __version__:
            told.add(f"the baseline is of tinydeploy {printable(entry.tinydeploy)}, this is {__version__}")
        if entry.toolchain and toolchain and entry.toolchain != toolchain:
            told.add(f"the baseline was built by {printable(entry.toolchain)}, this by {toolchain}")
    return sorted(told)


def _uncompared(outcomes: Sequence[Outcome]) -> list[str]:
    """Why outputs were not compared with a reference; no budget may have asked for that, but people should know."""
    told = {(outcome.message, outcome.hint) for outcome in outcomes if outcome.status == "ok" and outcome.message}
    return [f"outputs are {message}; {hint}" for message, hint in sorted(told)]


def _names(keys: Sequence[Key]) -> str:
    names = [f"{printable(model)} on {printable(board)}" for model, board in keys[:_NAMES_SHOWN]]
    more = [f"{len(keys) - _NAMES_SHOWN} more"] if len(keys) > _NAMES_SHOWN else []
    return ", ".join([*names, *more])
