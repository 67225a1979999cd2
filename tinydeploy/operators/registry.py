"""All operators that tinydeploy knows, by opcode. The one place where families are listed."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from tinydeploy.errors import UnsupportedModelError
from tinydeploy.operators.base import OperatorKind

if TYPE_CHECKING:
    from tinydeploy.boards import Core
    from tinydeploy.ir import Model, Operator


@cache
def _registry() -> MappingProxyType[str, OperatorKind]:
    from tinydeploy.operators import (  # here, so that a family may import what lists it
        convolution,
        elementwise,
        fully_connected,
        lookup,
        pooling,
        quantization,
        rearranging,
        reduction,
        reshaping,
        resizing,
        softmax,
        transposed,
    )

    families = (
        convolution,
        transposed,
        fully_connected,
        elementwise,
        pooling,
        reduction,
        reshaping,
        rearranging,
        resizing,
        softmax,
        lookup,
        quantization,
    )
    found: dict[str, OperatorKind] = {}
    for family in families:
        for kind in family.KINDS:
            if kind.opcode in found:
                raise ValueError(f"{kind.opcode} is declared twice")
            found[kind.opcode] = kind
    return MappingProxyType(dict(sorted(found.items())))


def kinds() -> tuple[OperatorKind, ...]:
    """Every known kind, sorted by opcode. Those with `runs` false have costs but no kernel."""
    return tuple(_registry().values())


def kind_of(opcode: str) -> OperatorKind | None:
    """The kind of an opcode, or None when tinydeploy knows nothing of it."""
    return _registry().get(opcode)


def slow_kernel(model: Model, op: Operator, core: Core) -> str | None:
    """Why an operator goes by a slow kernel on this core, in words; None where it does not, or where no kernel computes
    it (a network without weights)."""
    kind = kind_of(op.opcode)
    try:
        return None if kind is None else kind.slow(model, op, core)
    except UnsupportedModelError:
        return None
