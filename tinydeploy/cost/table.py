"""`cost_table`: parameters, bytes, activations, MACs and bytes moved of every operator, and in total.

All numbers are computed from the model; docs/costs.md gives the formulas. Conventions:

- parameters are weights without bias; a MAC is one multiply-accumulate, FLOP = 2 · MAC; OP is other arithmetic.
- the activations of the network are its inputs and every operator's outputs; an output that is its input's bytes
  (a reshape) is not counted again, and a fused activation function makes no tensor of its own.
- the peak is the most that one operator's inputs and outputs take together. It is not the arena: tensors that only
  wait for a later operator are the planner's to count.
- a constant that several operators share (the same tensor, or tensors with the same bytes object) is counted with
  each of them and once in the totals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from tinydeploy.cost.receptive import ReceptiveField, merge, start, through, through_transposed, whole_input
from tinydeploy.cost.roles import Role, constant_roles, identity
from tinydeploy.ir import Model, Operator, Tensor, TransposeConvAttrs
from tinydeploy.operators.base import OperatorKind, Work, refuse
from tinydeploy.operators.registry import kind_of

_T = TypeVar("_T")
_Constants = list[tuple[Tensor, Role]]
_MOVES_ONLY = ("CONCATENATION", "TRANSPOSE")
_UNKNOWN = Work(counted="not counted: tinydeploy has no rules for this operator")


@dataclass(frozen=True)
class LayerCost:
    """One operator's cost. Elements and bytes of activations, of weights in flash, and counts of arithmetic.

    `counted` says in words how `ops` was counted. `known` is False for an operator that tinydeploy has no rules for:
    then `macs` and `ops` are 0 because they are not counted, and all its constants count as weights. `alias`: the
    output is the input's bytes, nothing is computed or moved.
    """

    index: int
    opcode: str
    name: str
    output_shape: tuple[int, ...]
    params: int
    weight_bytes: int
    bias_bytes: int
    table_bytes: int
    input_elements: int
    output_elements: int
    input_bytes: int
    output_bytes: int
    macs: int
    ops: int
    counted: str
    known: bool
    alias: bool
    receptive_field: ReceptiveField

    @property
    def flop(self) -> int:
        """2 · MAC."""
        return 2 * self.macs

    @property
    def activation_elements(self) -> int:
        """Inputs and outputs together; once, where they are the same bytes."""
        return self.input_elements if self.alias else self.input_elements + self.output_elements

    @property
    def activation_bytes(self) -> int:
        """As `activation_elements`, in bytes."""
        return self.input_bytes if self.alias else self.input_bytes + self.output_bytes

    @property
    def flash_bytes_moved(self) -> int:
        """Weights, bias and tables, each read once."""
        return 0 if self.alias else self.weight_bytes + self.bias_bytes + self.table_bytes

    @property
    def ram_bytes_moved(self) -> int:
        """Inputs read and outputs written, each once."""
        return 0 if self.alias else self.input_bytes + self.output_bytes

    @property
    def bytes_moved(self) -> int:
        """Constants and activations, each once: what must move at the least."""
        return self.flash_bytes_moved + self.ram_bytes_moved

    @property
    def intensity(self) -> float:
        """Arithmetic intensity: (FLOP + OP) for each byte moved; 0 where nothing moves."""
        return (self.flop + self.ops) / self.bytes_moved if self.bytes_moved else 0.0


@dataclass(frozen=True)
class Totals:
    """The network's cost. `peak_layer` is the index of the operator with `peak_activations`, None without operators.

    `uncounted` are the indices of the operators whose arithmetic is not in these numbers.
    """

    params: int
    weight_bytes: int
    bias_bytes: int
    table_bytes: int
    activations: int
    activation_bytes: int
    peak_activations: int
    peak_activation_bytes: int
    peak_layer: int | None
    macs: int
    ops: int
    bytes_moved: int
    receptive_field: ReceptiveField
    uncounted: tuple[int, ...]

    @property
    def flop(self) -> int:
        """2 · MAC."""
        return 2 * self.macs

    @property
    def constant_bytes(self) -> int:
        """Weights, bias and tables as they stand in the model."""
        return self.weight_bytes + self.bias_bytes + self.table_bytes

    @property
    def intensity(self) -> float:
        """Arithmetic intensity: (FLOP + OP) for each byte moved."""
        return (self.flop + self.ops) / self.bytes_moved if self.bytes_moved else 0.0


@dataclass(frozen=True)
class CostTable:
    """A network's cost, layer by layer in execution order, and in total."""

    model: str
    path: str
    sha256: str
    layers: tuple[LayerCost, ...]
    totals: Totals

    def model_bytes(self, bits: int) -> int:
        """The parameters' size at `bits` for each, rounded up to bytes; bias ignored."""
        if bits < 1:
            raise ValueError(f"a parameter has at least one bit, not {bits}")
        return -(-self.totals.params * bits // 8)


def cost_table(model: Model) -> CostTable:
    """The costs of `model`. Operators without rules are counted by their tensors and flagged, never refused.

    Raises `UnsupportedModelError` where an operator's tensors contradict its kind (a convolution with an input of
    rank 2, …), naming it.
    """
    fields = start(model)
    layers, constants = [], []
    for op in model.operators:
        layer, used = _layer(model, op, fields)
        layers.append(layer)
        constants.append(used)
    seen = merge((fields[i] for i in model.outputs if i in fields), whole_input(model))
    return CostTable(model.name, model.path, model.sha256, tuple(layers), _totals(model, layers, constants, seen))


def _layer(model: Model, op: Operator, fields: dict[int, ReceptiveField]) -> tuple[LayerCost, _Constants]:
    kind = kind_of(op.opcode)
    work = _ask(model, op, lambda: kind.work(model, op)) if kind else _UNKNOWN
    constants = constant_roles(model, op, learned=kind is None or work.params > 0)
    field = _ask(model, op, lambda: _receptive_field(model, op, kind, fields))
    fields.update(dict.fromkeys(op.outputs, field))
    sources = _distinct(model, (t.index for t in model.activation_inputs(op)))
    results = _distinct(model, op.outputs)
    layer = LayerCost(
        index=op.index,
        opcode=op.opcode,
        name=model.layer_name(op),
        output_shape=results[0].shape if results else (),
        params=sum(t.elements for t, role in constants if role is Role.WEIGHTS),
        weight_bytes=sum(t.bytes for t, role in constants if role is Role.WEIGHTS),
        bias_bytes=sum(t.bytes for t, role in constants if role is Role.BIAS),
        table_bytes=sum(t.bytes for t, role in constants if role is Role.TABLE),
        input_elements=sum(t.elements for t in sources),
        output_elements=sum(t.elements for t in results),
        input_bytes=sum(t.bytes for t in sources),
        output_bytes=sum(t.bytes for t in results),
        macs=work.macs,
        ops=work.ops,
        counted=work.counted or "nothing but MACs",
        known=kind is not None,
        alias=kind is not None and _ask(model, op, lambda: kind.memory(model, op)).alias is not None,
        receptive_field=field,
    )
    return layer, constants


def _totals(model: Model, layers: list[LayerCost], constants: list[_Constants], field: ReceptiveField) -> Totals:
    # each constant once, by what it is in flash
    flash = {identity(tensor): (tensor, role) for used in reversed(constants) for tensor, role in used}
    weights = [t for t, role in flash.values() if role is Role.WEIGHTS]
    # each activation once: the inputs, the state, and what operators write that is not its input's bytes
    written = [i for op, layer in zip(model.operators, layers, strict=True) if not layer.alias for i in op.outputs]
    state = [t.index for t in model.tensors if t.variable]
    activations = _distinct(model, (*model.inputs, *state, *written))
    peak = max(layers, key=lambda layer: layer.activation_elements, default=None)
    return Totals(
        params=sum(t.elements for t in weights),
        weight_bytes=sum(t.bytes for t in weights),
        bias_bytes=sum(t.bytes for t, role in flash.values() if role is Role.BIAS),
        table_bytes=sum(t.bytes for t, role in flash.values() if role is Role.TABLE),
        activations=sum(t.elements for t in activations),
        activation_bytes=sum(t.bytes for t in activations),
        peak_activations=peak.activation_elements if peak else 0,
        peak_activation_bytes=max((layer.activation_bytes for layer in layers), default=0),
        peak_layer=peak.index if peak else None,
        macs=sum(layer.macs for layer in layers),
        ops=sum(layer.ops for layer in layers),
        bytes_moved=sum(layer.bytes_moved for layer in layers),
        receptive_field=field,
        uncounted=tuple(layer.index for layer in layers if not layer.known),
    )


def _receptive_field(
    model: Model, op: Operator, kind: OperatorKind | None, fields: dict[int, ReceptiveField]
) -> ReceptiveField:
    whole = whole_input(model)
    field = merge((fields[i] for i in op.inputs if i in fields), whole)
    window = kind.window(model, op) if kind else None
    if window is not None:
        return through(field, window)
    if op.opcode in _MOVES_ONLY or (kind and kind.memory(model, op).alias is not None):
        return field  # each output element is one input element
    if kind is None and op.outputs and model.output_of(op).shape == model.tensors[op.inputs[0]].shape:
        return field  # nothing is known but that it keeps the shape: taken as element-wise
    if isinstance(op.attrs, TransposeConvAttrs):
        kernel = model.tensors[op.inputs[1]].shape
        return through_transposed(field, (kernel[1], kernel[2]), (op.attrs.stride_h, op.attrs.stride_w))
    return whole


def _distinct(model: Model, indices: Iterable[int]) -> list[Tensor]:
    return [model.tensors[i] for i in dict.fromkeys(indices)]


def _ask(model: Model, op: Operator, question: Callable[[], _T]) -> _T:
    """The answer of an operator's kind. Costs are asked for before (and without) its full check, so tensors that
    contradict each other show here."""
    try:
        return question()
    except (ValueError, LookupError, AttributeError, TypeError, ZeroDivisionError) as error:
        raise refuse(model, op, f"its tensors or options contradict each other: {error}") from error
