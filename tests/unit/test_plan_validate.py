"""The validator on plans written by hand: what each illegal one would corrupt is named."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from tests.support.plan_nets import Net, memory_of
from tinydeploy.errors import PlanInvalidError
from tinydeploy.ir import DType, Model, Padding
from tinydeploy.ir.builder import NetworkBuilder
from tinydeploy.operators.base import Memory
from tinydeploy.plan import Buffer, Peak, Placement, Plan, Problem, Proof, Step, make_plan, validate
from tinydeploy.plan.validate.refusal import Refusal
from tinydeploy.plan.validate.replay import Replay


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


# -- rows


def replay(model: Model, steps: list[Step], places: dict[int, Placement], by_rows: set[int], arena: int) -> None:
    """Replay a program by rows; nothing is claimed about it."""
    plan = Plan(
        Problem(tuple(steps), (), {}), (), places, arena, 4, Proof(0, False, ""), Peak(0, 0, ()), (), {},
        execution="streamed", by_rows=frozenset(by_rows),
    )  # fmt: skip
    Replay(model, plan, lambda m, op: Memory(), Refusal(model)).run()


def whole(tensor: int, offset: int, rows: int) -> Placement:
    return Placement(tensor, 0, offset, 0, 0, rows)


def joined() -> Model:
    """Two images of two rows of 4 bytes, joined on channels."""
    net = NetworkBuilder("joined")
    a, b = net.input((1, 2, 1, 4)), net.input((1, 2, 1, 4))
    return net.build(net.concat([a, b]))


def test_each_call_of_a_step_goes_through_all_rows_before_the_next() -> None:
    """Row 1 of the result lies over row 0 of the second input: the first call writes it before the second one reads."""
    model = joined()
    a, b, out = *model.inputs, model.outputs[0]
    places = {a: whole(a, 0, 2), b: whole(b, 20, 2), out: whole(out, 8, 2)}
    with pytest.raises(PlanInvalidError, match=r"'input_1' is lost when operator 0 .* byte 20 of the arena"):
        replay(model, [Step(0, 0, 2)], places, {0}, 28)
    replay(model, [Step(0, 0, 1), Step(0, 1, 2)], places, {0}, 28)


def windowed() -> Model:
    """Five rows of 4 bytes; a pool of 3 rows and a stride of 1: row y needs rows y to y + 2."""
    net = NetworkBuilder("windowed")
    x = net.relu(net.input((1, 5, 1, 4)))
    return net.build(net.max_pool(x, (3, 1), stride=1, padding=Padding.VALID))


@pytest.mark.parametrize(("kept", "sound"), [(5, True), (4, True), (3, True), (2, False), (1, False)])
def test_a_ring_holds_a_window(kept: int, sound: bool) -> None:
    model = windowed()
    x, ring, out = 0, 1, 2
    places = {x: whole(x, 0, 5), ring: Placement(ring, 0, 20, 0, 0, kept), out: whole(out, 40, 3)}
    steps = [Step(0, 0, 3), Step(1, 0, 1), Step(0, 3, 4), Step(1, 1, 2), Step(0, 4, 5), Step(1, 2, 3)]
    if sound:
        replay(model, steps, places, {0, 1}, 52)
    else:
        with pytest.raises(PlanInvalidError, match=r"is lost when operator 1 \(MAX_POOL_2D\) reads it"):
            replay(model, steps, places, {0, 1}, 52)


def test_a_window_is_read_before_its_row_is_written_over_it() -> None:
    """Only element-wise operators may write over the row that they read, and only forwards."""
    model = windowed()
    places = {0: whole(0, 4, 5), 1: whole(1, 0, 5), 2: whole(2, 24, 3)}
    steps = [Step(0, 0, 5), Step(1, 0, 3)]
    replay(model, steps, places, {0, 1}, 36)
    with pytest.raises(PlanInvalidError, match="over its own input"):
        replay(model, steps, places | {0: whole(0, 0, 5), 1: whole(1, 2, 5)}, {0, 1}, 36)
    with pytest.raises(PlanInvalidError, match=r"operator 1 \(MAX_POOL_2D\) writes .* over its own input"):
        replay(model, steps, places | {2: whole(2, 0, 3)}, {0, 1}, 36)


def test_rows_must_be_there() -> None:
    model = windowed()
    places = {0: whole(0, 0, 5), 1: whole(1, 20, 5), 2: whole(2, 40, 3)}
    with pytest.raises(PlanInvalidError, match="byte 28 of the arena holds nothing that was written"):
        replay(model, [Step(0, 0, 2), Step(1, 0, 1), Step(0, 2, 5), Step(1, 1, 3)], places, {0, 1}, 52)
    with pytest.raises(PlanInvalidError, match="cannot go by 2 row steps"):
        replay(model, [Step(0, 0, 5), Step(1, 0, 2)], places, {0, 1}, 52)
    with pytest.raises(PlanInvalidError, match="is in 0 steps"):
        replay(model, [Step(0, 0, 5)], places, {0, 1}, 52)


def test_an_operator_whose_rows_are_not_known_does_not_go_by_rows() -> None:
    net = Net()
    x = net.input(2, 4)
    y = net.op("RESHAPE", [x], 4, 2)
    z = net.op("CUMSUM", [y], 4, 2)
    places = {x: whole(x, 0, 2), y: whole(y, 8, 4), z: whole(z, 16, 4)}
    for by_rows, steps in (({0}, [Step(0, 0, 4), Step(1, 0, 4)]), ({1}, [Step(0, 0, 4), Step(1, 0, 2), Step(1, 2, 4)])):
        with pytest.raises(PlanInvalidError, match=r"cannot go by 4 row steps"):
            replay(net.model(z), steps, places, by_rows, 24)
