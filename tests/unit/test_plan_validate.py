"""The validator on plans written by hand: what each illegal one would corrupt is named."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from tests.support.plan_nets import Net, memory_of
from tinydeploy.errors import PlanInvalidError
from tinydeploy.ir import DType, Model
from tinydeploy.operators.base import Memory
from tinydeploy.plan import Buffer, Peak, Placement, Plan, Problem, Proof, Step, make_plan, validate


def plan_by_hand(
    model: Model,
    offsets: dict[int, int],
    ranges: dict[int, tuple[int, int]],
    live: tuple[int, ...],
    elided: frozenset[int] = frozenset(),
) -> Plan:
    """Every tensor in a buffer of its own unless another one begins at its offset while it lives (then shared)."""
    groups: list[list[int]] = []
    for t in sorted(ranges, key=lambda i: ranges[i][0]):
        for group in groups:
            if offsets[group[0]] == offsets[t] and ranges[group[-1]][1] > ranges[t][0]:
                group.append(t)
                break
        else:
            groups.append([t])
    buffers = tuple(
        Buffer(
            i,
            max(model.tensors[t].bytes for t in g),
            min(ranges[t][0] for t in g),
            max(ranges[t][1] for t in g),
            tuple(g),
            persistent=model.tensors[g[0]].variable,
        )
        for i, g in enumerate(groups)
    )
    home = {t: i for i, g in enumerate(groups) for t in g}
    rows = {t.index: (t.shape[0] if len(t.shape) > 1 else 1) for t in model.tensors}
    peak = max(range(len(live)), key=lambda s: live[s])
    alive = {home[t] for t, (first, end) in ranges.items() if first <= peak < end}
    return Plan(
        Problem(
            tuple(Step(op.index, 0, rows[op.outputs[0]], op.index in elided) for op in model.operators), buffers, ranges
        ),
        tuple(offsets[g[0]] for g in groups),
        {t: Placement(t, home[t], offsets[t], *ranges[t], rows[t]) for t in ranges},
        max(offsets[t] + (model.tensors[t].bytes + 15) // 16 * 16 for t in ranges),
        16,
        Proof(max(live), False, "by hand"),
        Peak(peak, max(live), tuple(alive)),
        live,
        {},
    )


def test_a_sound_plan_by_hand_passes() -> None:
    net = Net()
    x = net.input(40)
    a = net.op("CONV_2D", [x], 100)
    b = net.op("RELU", [a], 100)
    c = net.op("RESHAPE", [b], 10, 10)
    d = net.op("FULLY_CONNECTED", [c], 20)
    ranges = {x: (0, 1), a: (0, 2), b: (1, 3), c: (2, 4), d: (3, 4)}
    offsets = {x: 112, a: 0, b: 0, c: 0, d: 112}
    plan = plan_by_hand(net.model(d), offsets, ranges, (160, 112, 112, 144), frozenset({2}))
    validate(net.model(d), plan, memory_of=memory_of)


@pytest.mark.parametrize(
    ("opcode", "shape", "dtype", "legal"),
    [
        ("RELU", (64,), DType.INT8, True),
        ("CONV_2D", (64,), DType.INT8, False),  # reads what it has overwritten
        ("SOFTMAX", (64,), DType.INT8, True),  # writes only when it has read its row
        ("TRANSPOSE", (64,), DType.INT8, False),  # reads in another order
        ("ADD", (32,), DType.INT8, False),  # not the same elements: something was broadcast
        ("RELU", (16,), DType.FLOAT32, False),  # as many bytes, but other elements
    ],
)
def test_overwriting_an_input(opcode: str, shape: tuple[int, ...], dtype: DType, legal: bool) -> None:
    net = Net()
    x = net.input(64)
    y = net.op(opcode, [x], *shape, dtype=dtype)
    plan = plan_by_hand(net.model(y), {x: 0, y: 0}, {x: (0, 1), y: (0, 1)}, (64,))
    if legal:
        validate(net.model(y), plan, memory_of=memory_of)
    else:
        with pytest.raises(PlanInvalidError, match="writes tensor 1 't1' over its own input tensor 0 't0'"):
            validate(net.model(y), plan, memory_of=memory_of)


def test_overwriting_a_shared_input_is_found_at_the_later_reader() -> None:
    net = Net()
    x = net.input(64)
    flat = net.op("RESHAPE", [x], 64)
    a = net.op("RELU", [flat], 64)
    b = net.op("CONCATENATION", [a, x], 128)
    ranges = {x: (0, 3), flat: (0, 2), a: (1, 3), b: (2, 3)}
    plan = plan_by_hand(net.model(b), {x: 0, flat: 0, a: 0, b: 64}, ranges, (64, 64, 192), frozenset({0}))
    with pytest.raises(PlanInvalidError, match=r"'t0' is lost when operator 2 .* byte 0 of the arena holds .*'t2'"):
        validate(net.model(b), plan, memory_of=memory_of)


def test_one_byte_of_overlap_is_found() -> None:
    net = Net()
    x = net.input(64)
    a = net.op("CONV_2D", [x], 65)
    b = net.op("CONV_2D", [a], 16)
    ranges = {x: (0, 1), a: (0, 2), b: (1, 2)}
    plan = plan_by_hand(net.model(b), {x: 80, a: 0, b: 64}, ranges, (144, 96))
    with pytest.raises(PlanInvalidError, match="writes tensor 2 't2' over its own input tensor 1 't1'"):
        validate(net.model(b), plan, memory_of=memory_of)


def test_an_output_must_survive_to_the_end() -> None:
    net = Net()
    x = net.input(16)
    a = net.op("CONV_2D", [x], 16)
    b = net.op("CONV_2D", [x], 16)
    ranges = {x: (0, 2), a: (0, 2), b: (1, 2)}
    plan = plan_by_hand(net.model(a, b), {x: 16, a: 0, b: 0}, ranges, (32, 48))
    with pytest.raises(PlanInvalidError, match=r"'t1' is lost at the end, as an output .* holds tensor 2 't2'"):
        validate(net.model(a, b), plan, memory_of=memory_of)


def test_state_must_survive_for_the_next_run() -> None:
    net = Net()
    x = net.input(16)
    state = net.tensor((16,), variable=True)
    a = net.op("SVDF", [x, state], 16)
    b = net.op("CONV_2D", [a], 16)
    ranges = {x: (0, 1), state: (0, 2), a: (0, 2), b: (1, 2)}
    plan = plan_by_hand(net.model(b), {x: 16, state: 0, a: 32, b: 0}, ranges, (48, 48))
    with pytest.raises(PlanInvalidError, match=r"'t1' is lost at the end, as state"):
        validate(net.model(b), plan, memory_of=memory_of)


def test_an_alias_of_state_that_changes_later_is_refused() -> None:
    net = Net()
    x = net.input(16)
    state = net.tensor((16,), variable=True)
    seen = net.op("RESHAPE", [state], 16)
    a = net.op("SVDF", [x, state], 16)
    b = net.op("ADD", [a, seen], 16)
    ranges = {x: (0, 2), state: (0, 3), seen: (0, 3), a: (1, 3), b: (2, 3)}
    offsets = {x: 16, state: 0, seen: 0, a: 32, b: 48}
    plan = plan_by_hand(net.model(b), offsets, ranges, (32, 48, 48), frozenset({0}))
    with pytest.raises(PlanInvalidError, match="'t1' is a variable that changes later"):
        validate(net.model(b), plan, memory_of=memory_of)


def test_inputs_may_not_overlap_even_if_one_is_never_read() -> None:
    net = Net()
    x, unread = net.input(16), net.input(16)
    y = net.op("CONV_2D", [x], 16)
    plan = plan_by_hand(net.model(y), {x: 0, unread: 0, y: 16}, {x: (0, 1), unread: (0, 1), y: (0, 1)}, (32,))
    with pytest.raises(PlanInvalidError, match="'t0' is lost before the first step"):
        validate(net.model(y), plan, memory_of=memory_of)


def test_scratch_that_is_missing_too_small_or_in_the_way() -> None:
    net = Net()
    x = net.input(16)
    y = net.op("CONV_2D", [x], 16)
    model = net.model(y)

    def wants(size: int) -> Plan:
        return make_plan(model, solver="builtin", memory_of=lambda m, op: Memory(scratch_bytes=size))

    with pytest.raises(PlanInvalidError, match="needs 32 bytes of scratch and has none"):
        validate(model, wants(0), memory_of=lambda m, op: Memory(scratch_bytes=32))
    with pytest.raises(PlanInvalidError, match=r"needs 31 bytes of scratch, its buffer has fewer"):
        validate(model, wants(30), memory_of=lambda m, op: Memory(scratch_bytes=31))
    plan = wants(32)
    onto = replace(plan, arena_bytes=128, scratch_offsets={0: plan.placements[y].offset})
    with pytest.raises(PlanInvalidError, match=r"scratch of operator 0 \(CONV_2D\) is lost within its step.*'t1'"):
        validate(model, onto, memory_of=lambda m, op: Memory(scratch_bytes=32))


def test_names_from_a_model_file_are_made_fit_to_print() -> None:
    net = Net()
    x = net.input(16)
    net.tensors[x] = replace(net.tensors[x], name="a\x1b[2J\nb")
    y = net.op("CONV_2D", [x], 16)
    plan = plan_by_hand(net.model(y), {x: 0, y: 0}, {x: (0, 1), y: (0, 1)}, (16,))
    with pytest.raises(PlanInvalidError) as caught:
        validate(net.model(y), plan, memory_of=memory_of)
    assert "\\x1b[2J\\nb" in caught.value.message
    assert caught.value.message.isprintable()


def test_the_validator_loads_nothing_of_the_planner() -> None:
    code = (
        "import sys, types, pathlib, tinydeploy\n"
        "package = types.ModuleType('tinydeploy.plan')\n"  # without the package's own __init__, which imports all
        "package.__path__ = [str(pathlib.Path(tinydeploy.__file__).parent / 'plan')]\n"
        "sys.modules['tinydeploy.plan'] = package\n"
        "import tinydeploy.plan.validate\n"
        "print(sorted({m.split('.')[2] for m in sys.modules if m.startswith('tinydeploy.plan.')}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['types', 'validate']"
