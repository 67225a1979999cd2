"""How the validator says no: one line that names the model and the tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from tinydeploy.errors import PlanInvalidError
from tinydeploy.ir import Model
from tinydeploy.operators.base import printable


@dataclass(frozen=True)
class Refusal:
    """Makes the errors for plans of one model."""

    model: Model
    _names: dict[int, str] = field(default_factory=dict)

    def because(self, why: str) -> NoReturn:
        """Raise `PlanInvalidError`."""
        raise PlanInvalidError(f"{self.model.path or printable(self.model.name)}: invalid plan: {why}")

    def named(self, index: int) -> str:
        """A tensor as people know it."""
        if not 0 <= index < len(self.model.tensors):
            return f"tensor {index} (which does not exist)"
        if index not in self._names:
            self._names[index] = f"tensor {index} '{printable(self.model.tensors[index].name)}'"
        return self._names[index]
