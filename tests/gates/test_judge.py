"""Verdicts on hand-made outcomes: by how much, who is responsible, since when, and with which exit code."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.gate_cases import LAYERS, outcome, target
from tinydeploy.batch import Outcome
from tinydeploy.gates.baseline import Entry, entry_of
from tinydeploy.gates.culprits import matched
from tinydeploy.gates.judge import judge, worst
from tinydeploy.report.verdicts import CaseVerdict, Verdict

SINCE = "tinydeploy.lock of commit abc"
PEAK = "alive at CONV_2D #0 'a/conv': image 4,096 B, a/conv 1,800 B, scratch of CONV_2D 104 B"
WEIGHTS = "FULLY_CONNECTED #2 'dense' 1,150 B (57%), CONV_2D #0 'a/conv' 800 B (40%)"
INSTRUCTIONS = (
    "CONV_2D #0 'a/conv' 60,000 instructions (60%), FULLY_CONNECTED #2 'dense' 30,000 instructions (30%), "
    "MAX_POOL_2D #1 'pool' 9,990 instructions (10%)"
)
CYCLES = (
    "CONV_2D #0 'a/conv' 90,000 cycles (60%), FULLY_CONNECTED #2 'dense' 45,000 cycles (30%), "
    "MAX_POOL_2D #1 'pool' 15,000 cycles (10%)"
)


def judged(measured: Outcome, entry: Entry | None = None, budgets: Any = None, growths: Any = None) -> CaseVerdict:
    return judge(target(budgets, growths), measured, entry, SINCE)


def only(case: CaseVerdict, budget: str) -> Verdict:
    (found,) = [verdict for verdict in case.verdicts if verdict.budget == budget]
    return found


def test_all_is_well() -> None:
    case = judged(outcome(), budgets={"arena": 6000, "latency": "0.7 ms", "matches_reference": True, "timeout": 2})
    assert (case.exit_code, case.passed, case.failures) == (0, True, ())
    assert [verdict.budget for verdict in case.verdicts] == ["fits", "arena", "latency", "matches_reference", "timeout"]
    assert only(case, "arena").message == "arena 6,000 B (5.9 KiB) of 6,000 B (5.9 KiB)"
    assert only(case, "matches_reference").message == "outputs are those of tflite-micro 1.0, bit by bit"


def test_a_budget_that_is_exceeded_by_one() -> None:
    case = judged(outcome(), budgets={"arena": 5999})
    verdict = only(case, "arena")
    assert (case.exit_code, verdict.result, verdict.over_by, verdict.limit, verdict.actual) == (
        1,
        "exceeded",
        1,
        5999,
        6000,
    )
    assert verdict.message == "arena 6,000 B (5.9 KiB) is 1 B over its budget of 5,999 B (5.9 KiB)"
    assert verdict.culprit == PEAK
    assert (verdict.file, verdict.line, verdict.kind, verdict.allowed) == ("td.toml", 10, "computed", "5999")


@pytest.mark.parametrize(
    "budget, limit, culprit",
    [
        ("weights", 1, WEIGHTS),
        ("code", 1, "the start-up code and the kernels of CONV_2D, FULLY_CONNECTED, MAX_POOL_2D"),
        ("flash", 1, f"code 9,000 B, weights 2,000 B; weights: {WEIGHTS}"),
        ("sram", 1, f"arena 6,000 B, stack 500 B, static 100 B; {PEAK}"),
        ("instructions", 1, INSTRUCTIONS),
        ("latency", "1 us", CYCLES),
        ("cycles", 1, CYCLES),
    ],
)
def test_who_is_responsible_without_a_baseline(budget: str, limit: Any, culprit: str) -> None:
    assert only(judged(outcome(), budgets={budget: limit}), budget).culprit == culprit


def test_latency_is_over_by_milliseconds() -> None:
    verdict = only(judged(outcome(), budgets={"latency": "0.5 ms"}), "latency")
    assert (verdict.actual, verdict.over_by, verdict.unit) == (0.694, 0.194, "ms")
    assert verdict.message == "latency 0.694 ms is 0.194 ms over its budget of 0.5 ms"


def test_growth_names_what_grew_and_since_when() -> None:
    before = entry_of(outcome())
    grown = replace(LAYERS[2], instructions=31_001)
    now = outcome(instructions=101_001, layers=(*LAYERS[:2], grown, LAYERS[3]))
    case = judged(now, before, growths={"instructions": "1%", "arena": "0"})
    verdict = only(case, "instructions")
    # 1 % of 100,000 are 1,000: 101,000 would do
    assert (case.exit_code, verdict.result, verdict.limit, verdict.over_by) == (1, "exceeded", 101_000, 1)
    assert (verdict.rule, verdict.baseline, verdict.since) == ("instructions-growth", 100_000, SINCE)
    assert verdict.message == (
        "instructions grew by 1,001 (1.00%) from 100,000 to 101,001 since tinydeploy.lock of commit abc; "
        "growth allowed: 1%"
    )
    assert verdict.culprit == "FULLY_CONNECTED #2 'dense' +1,001 instructions (30 k → 31 k)"
    assert only(case, "arena").message == "arena did not change; growth allowed: 0"


@pytest.mark.parametrize(
    "allowed, after, passes",
    [("0", 6000, True), ("0", 6001, False), ("512", 6512, True), ("512", 6513, False), ("2%", 6120, True),
     ("2%", 6121, False), ("1%", 5000, True)],
)  # fmt: skip
def test_growth_is_exact(allowed: str, after: int, passes: bool) -> None:
    verdict = only(judged(outcome(arena_bytes=after), entry_of(outcome()), growths={"arena": allowed}), "arena")
    assert verdict.passed is passes


def test_latency_grows_in_the_microseconds_that_the_baseline_keeps() -> None:
    before = entry_of(outcome())
    assert before.figures["latency_us"] == 694
    # 0.694444 ms is the very run that the baseline is of
    assert judged(outcome(), before, growths={"latency": "0"}).passed
    assert not judged(outcome(latency_ms=0.6956), before, growths={"latency": "0"}).passed


def test_shrinking_is_told() -> None:
    case = judged(outcome(flash_bytes=10_000), entry_of(outcome()), growths={"flash": "0"})
    assert only(case, "flash").message == "flash shrank by 1,000 B (9.09%); growth allowed: 0"


def test_a_budget_exceeded_since_the_baseline_names_what_grew() -> None:
    layers = (replace(LAYERS[0], instructions=70_000), *LAYERS[1:])
    case = judged(outcome(instructions=110_000, layers=layers), entry_of(outcome()), budgets={"instructions": 105_000})
    verdict = only(case, "instructions")
    assert verdict.culprit == "CONV_2D #0 'a/conv' +10,000 instructions (60 k → 70 k)"
    assert verdict.message.endswith("over its budget of 105,000; it was 100,000 in tinydeploy.lock of commit abc")


@pytest.mark.parametrize(
    "measured, budgets, growths, code, words",
    [
        # what is only a rule of thumb passes nothing, however small it is
        (outcome(case=replace(outcome().case, depth="plan"), kinds_changed={"code_bytes": "estimated"}),
         {"code": 100_000}, {}, 2, "code cannot be judged: it is only estimated at depth plan: --depth build"),
        (outcome(case=replace(outcome().case, depth="build"), instructions=None), {"instructions": 1}, {}, 2,
         "instructions cannot be judged: it is not known at depth build: --depth run"),
        (outcome(cycles=None), {"cycles": 1}, {}, 2, "cycles cannot be judged: there is no timing model for this core"),
        (outcome(), {}, {"arena": "0"}, 2,
         "the growth of arena cannot be judged: tinydeploy.lock of commit abc has no entry"),
        (outcome(bit_exact=None, message="not verified: no interpreter", hint="pip install it"),
         {"matches_reference": True}, {}, 4,
         "outputs cannot be compared: not verified: no interpreter — pip install it"),
        (outcome(bit_exact=None, case=replace(outcome().case, depth="build")), {"matches_reference": True}, {}, 2,
         "nothing runs at depth build: --depth run"),
        (outcome("missing-tool", "no compiler", instructions=None), {"instructions": 1}, {}, 4,
         "instructions cannot be judged: it is not known: no compiler"),
        (outcome("failed", "hard fault", instructions=None), {"instructions": 1}, {}, 5, "hard fault"),
        (Outcome(outcome().case, "refused", "no such operator"), {"no_slow_kernels": True}, {}, 3, "no such operator"),
    ],
)  # fmt: skip
def test_what_cannot_be_judged_does_not_pass(
    measured: Outcome, budgets: Any, growths: Any, code: int, words: str
) -> None:
    case = judged(measured, None, budgets, growths)
    wrong = case.failures[-1]
    assert (case.exit_code, wrong.result, wrong.exit_code) == (code, "unjudged", code)
    assert words in wrong.message


@pytest.mark.parametrize(
    "status, code, budgets, with_budget",
    [("does-not-fit", 1, {}, 1), ("refused", 3, {}, 3), ("missing-tool", 4, {}, 4), ("failed", 5, {}, 5),
     ("timed-out", 5, {"timeout": 1}, 1), ("differs", 6, {"matches_reference": True}, 1), ("crashed", 70, {}, 70)],
)  # fmt: skip
def test_exit_codes_of_statuses(status: str, code: int, budgets: Any, with_budget: int) -> None:
    measured = outcome(status, "what went wrong", bit_exact=False if status == "differs" else None)
    assert judged(measured).exit_code == code
    assert judged(measured, budgets=budgets).exit_code == with_budget


def test_it_does_not_fit() -> None:
    case = judged(outcome("does-not-fit", "flash is 9 bytes too small: …"))
    assert only(case, "fits").result == "exceeded"
    assert only(case, "fits").culprit.startswith("code 9,000 B, weights 2,000 B")


def test_slow_kernels_are_named() -> None:
    layers = (replace(LAYERS[0], slow="tap by tap: its columns are dilated"), *LAYERS[1:])
    verdict = only(judged(outcome(layers=layers), budgets={"no_slow_kernels": True}), "no_slow_kernels")
    assert verdict.result == "exceeded"
    assert verdict.message == "1 of 4 operators goes by a slow kernel"
    assert verdict.culprit == "CONV_2D #0 'a/conv' (tap by tap: its columns are dilated)"
    assert judged(outcome(), budgets={"no_slow_kernels": True}).passed
    assert judged(outcome(layers=layers), budgets={"no_slow_kernels": False}).passed


def test_a_cached_result_is_held_to_the_time_limit_of_now() -> None:
    verdict = only(judged(outcome(seconds=2.5), budgets={"timeout": 2}), "timeout")
    assert (verdict.result, verdict.over_by) == ("exceeded", 0.5)


def test_the_emulators_own_patience_is_not_the_budget() -> None:
    case = judged(outcome("timed-out", "no end after 120 s", seconds=120.0), budgets={"timeout": 300})
    assert (only(case, "timeout").result, case.exit_code) == ("passed", 5)
    case = judged(outcome("timed-out", "no end after 300 s", seconds=300.1), budgets={"timeout": 300})
    assert (only(case, "timeout").message, case.exit_code) == ("timed out: no end after 300 s", 1)


def test_a_result_from_before_that_took_longer_than_the_budget() -> None:
    case = judged(outcome(seconds=2.5, cached=True), budgets={"timeout": 2})
    told = "took 2.5 s, 0.5 s over its budget of 2 s, when it was measured"
    assert (only(case, "timeout").message, case.exit_code) == (told, 1)


def test_what_ended_a_case_says_the_exit_code() -> None:
    """A refused model and a wrong option are the same to a sweep, but not to a check."""
    option = outcome("refused", "no region 'sram9'", exit_code=2, figures={}, layers=())
    case = judged(option, budgets={"arena": 1, "matches_reference": True, "no_slow_kernels": True})
    assert {verdict.exit_code for verdict in case.failures} == {case.exit_code} == {2}
    assert judged(outcome("refused", "no such operator", exit_code=3), budgets={}).exit_code == 3


def test_names_of_a_model_do_not_steer_the_terminal() -> None:
    verdict = only(judged(outcome(peak=(("\x1b[31m", 4096),)), budgets={"arena": 1}), "arena")
    assert "\x1b" not in verdict.culprit


def test_the_worst_code() -> None:
    assert worst([]) == 0
    assert worst([0, 3, 5, 4]) == 5
    assert worst([70, 1, 6]) == 1


def test_layers_are_paired_though_some_came_and_went() -> None:
    before = [("CONV_2D", 282), ("CONV_2D", 75)]
    # the one in the middle is new: the last takes about what it took
    assert matched(before, [("CONV_2D", 282), ("CONV_2D", 138), ("CONV_2D", 74)]) == [282, None, 75]
    assert matched(before, [("CONV_2D", 75)]) == [75]
    assert matched(before, [("ADD", 5), ("CONV_2D", 290), ("CONV_2D", 75)]) == [None, 282, 75]
    assert matched([], [("ADD", 5)]) == [None]
    assert matched(before, []) == []
    # never across another opcode, and never out of order
    assert matched([("A", 10), ("B", 20)], [("B", 20), ("A", 10)]) in ([20, None], [None, 10])
