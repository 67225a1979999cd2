"""A check by hand: of each way in which a model on a board can end one, with names as a hostile model has them."""

from __future__ import annotations

from dataclasses import replace

from tests.support.reports import HOSTILE as HOSTILE_LAYER
from tinydeploy.report.document import Provenance
from tinydeploy.report.verdicts import CaseVerdict, CheckReport, Verdict

HOSTILE = f"a,b:c%d {HOSTILE_LAYER}\r\n::error::x ##[set-output name=exit-code]0 [t](http://evil)\x00\ud800\uffff"

OPTIONS = {"execution": "streamed", "boards": ("a", "b"), "models": (), "timeout": None}
PROVENANCE = Provenance("9.9.9", OPTIONS, {"gcc": "14.2"})


def budget(rule: str, **more: object) -> Verdict:
    """A budget that is kept, or what `more` says of it."""
    return Verdict(rule, **{"result": "passed", "message": f"{rule} is kept", **more})  # type: ignore[arg-type]


KEPT = CaseVerdict(
    "kws",
    "demo_board",
    "ok",
    (budget("arena"), budget("flash")),
    0,
    sha256="ab" * 32,
    figures={"arena_bytes": 4096},
    seconds=1.25,
)
EXCEEDED = CaseVerdict(
    "models/vww.tflite",
    "demo_board",
    "ok",
    (
        budget(
            "arena",
            result="exceeded",
            message="arena 70.0 KiB, budget 64.0 KiB: 6.0 KiB over",
            unit="bytes",
            actual=71680,
            limit=65536,
            over_by=6144,
            culprit="layer 3 CONV_2D",
            file="fw/tinydeploy.toml",
            line=7,
            exit_code=1,
        ),
        budget("arena", growth=True, result="exceeded", message="arena grew by 2.0 %", exit_code=1),
        budget("cycles", result="unjudged", message="cycles have no model on this core", exit_code=1),
    ),
    1,
    model_file="models/vww.tflite",
    seconds=0.5,
)
TOO_LARGE = CaseVerdict(
    "big.tflite",
    "small_board",
    "does-not-fit",
    (
        budget("arena", result="exceeded", message="arena is over", exit_code=1),
        budget("instructions", result="unjudged", message="nothing ran", exit_code=1),
    ),
    1,
    message="it does not fit: SRAM is too small by 3.0 KiB",
    hint="a larger board",
    model_file="big.tflite",
)
FITS_NOT = replace(
    TOO_LARGE,
    verdicts=(budget("fits", result="exceeded", message=TOO_LARGE.message, exit_code=1), *TOO_LARGE.verdicts[1:]),
)
TIMED_OUT = CaseVerdict(
    "slow", "demo_board", "timed-out", (budget("arena", result="unjudged", message="not known"),), 5, message="60 s"
)
EVIL = CaseVerdict(
    HOSTILE,
    "demo_board",
    "refused",
    (budget("arena", result="unjudged", message=HOSTILE),),
    3,
    message=f"cannot be read: {HOSTILE}",
    hint=HOSTILE,
    model_file=f"sub dir/{HOSTILE}.tflite",
    sha256="cd" * 32,
)

CASES = (KEPT, EXCEEDED, TOO_LARGE, TIMED_OUT, EVIL)
REPORT = CheckReport(CASES, 3, config_file="fw/tinydeploy.toml", since="tinydeploy.lock", notes=("one note",))
PASSED = CheckReport((KEPT,), 0)
EMPTY = CheckReport((), 0)
