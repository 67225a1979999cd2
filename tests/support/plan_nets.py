"""Networks for the planner's tests, by hand and at random, with operators of the tests' own making."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from tinydeploy.ir import DType, Model, NoAttrs, Operator, Tensor
from tinydeploy.operators.base import Memory


class Net:
    """Builds a model line by line: each method returns the index of the tensor that it makes."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []
        self.inputs: list[int] = []

    def tensor(
        self, shape: Sequence[int], dtype: DType = DType.INT8, *, constant: bool = False, variable: bool = False
    ) -> int:
        """A tensor without an origin."""
        index = len(self.tensors)
        made = Tensor(index, f"t{index}", tuple(shape), dtype, constant=constant, variable=variable)
        self.tensors.append(made)
        return index

    def input(self, *shape: int, dtype: DType = DType.INT8) -> int:
        """A model input."""
        self.inputs.append(self.tensor(shape, dtype))
        return self.inputs[-1]

    def op(self, opcode: str, inputs: Sequence[int], *shape: int, dtype: DType = DType.INT8) -> int:
        """An operator with one output."""
        output = self.tensor(shape, dtype)
        self.operators.append(Operator(len(self.operators), opcode, tuple(inputs), (output,), NoAttrs()))
        return output

    def ops(self, opcode: str, inputs: Sequence[int], *shapes: Sequence[int]) -> tuple[int, ...]:
        """An operator with one output for each shape."""
        outputs = tuple(self.tensor(shape) for shape in shapes)
        self.operators.append(Operator(len(self.operators), opcode, tuple(inputs), outputs, NoAttrs()))
        return outputs

    def model(self, *outputs: int) -> Model:
        """What has been built."""
        return Model("net", tuple(self.tensors), tuple(self.operators), tuple(self.inputs), outputs)


ELEMENT_WISE = ("ADD", "MUL", "RELU", "LOGISTIC", "QUANTIZE")


def memory_of(model: Model, op: Operator) -> Memory:
    """RESHAPE and SQUEEZE alias, element-wise operators work in place, DEPTHWISE_CONV_2D wants scratch."""
    output = model.output_of(op)
    if op.opcode in ("RESHAPE", "SQUEEZE"):
        return Memory(alias=0)
    if op.opcode in ELEMENT_WISE:
        same = [p for p, i in enumerate(op.inputs) if model.tensors[i].elements == output.elements]
        return Memory(in_place=tuple(same))
    if op.opcode == "DEPTHWISE_CONV_2D":
        return Memory(scratch_bytes=1 + (output.bytes * 7 + op.index * 13) % 200)
    return Memory()


@st.composite
def networks(draw: st.DrawFn, max_operators: int = 14) -> Model:
    """Chains, branches, residuals, several inputs and outputs, aliases, state, results that nobody reads."""
    net = Net()
    sizes = st.integers(1, 120)
    for _ in range(draw(st.integers(1, 3))):
        net.input(1, draw(sizes), dtype=draw(st.sampled_from([DType.INT8, DType.INT8, DType.FLOAT32])))
    values = list(net.inputs)
    weights = net.tensor((4, 4), constant=True)
    state = net.tensor((1, draw(sizes)), variable=True) if draw(st.booleans()) else None
    for _ in range(draw(st.integers(1, max_operators))):
        # mostly the newest values, so that networks are deep; sometimes any, so that they branch and join
        pool = values[-3:] if draw(st.booleans()) else values
        source = draw(st.sampled_from(pool))
        tensor = net.tensors[source]
        opcode = draw(st.sampled_from(
            ["CONV_2D", "DEPTHWISE_CONV_2D", "RELU", "RELU", "RESHAPE", "RESHAPE", "ADD", "ADD", "SPLIT", "QUANTIZE"]
        ))  # fmt: skip
        if opcode in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            extra = [state] if state is not None and draw(st.integers(0, 3)) == 0 else []
            values.append(net.op(opcode, [source, weights, *extra], 1, draw(sizes)))
        elif opcode == "RELU":
            values.append(net.op(opcode, [source], *tensor.shape, dtype=tensor.dtype))
        elif opcode == "RESHAPE":
            what = weights if draw(st.integers(0, 9)) == 0 else source
            shape = net.tensors[what]
            values.append(net.op(opcode, [what], shape.elements, dtype=shape.dtype))
        elif opcode == "ADD":
            alike = [v for v in values if net.tensors[v].bytes == tensor.bytes and net.tensors[v].dtype == tensor.dtype]
            other = draw(st.sampled_from(alike))
            values.append(net.op(opcode, [source, other], *tensor.shape, dtype=tensor.dtype))
        elif opcode == "SPLIT":
            values += net.ops(opcode, [source], (1, draw(sizes)), (1, draw(sizes)))
        else:
            to = DType.INT8 if tensor.dtype is DType.FLOAT32 else draw(st.sampled_from([DType.INT8, DType.FLOAT32]))
            values.append(net.op(opcode, [source], *tensor.shape, dtype=to))
    outputs = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True))
    return net.model(values[-1], *(o for o in outputs if o != values[-1]))
