"""The constant arrays of a generated library: collected, merged where equal, named and written as C."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tinydeploy.codegen.literals import c_lines
from tinydeploy.operators.base import ConstArray, FillRow


@dataclass(frozen=True)
class Constant:
    """One array of the generated C."""

    name: str
    array: ConstArray

    @property
    def count(self) -> int:
        """The number of elements."""
        return int(self.array.values.size)

    @property
    def initializer(self) -> str:
        """The elements as C, in lines."""
        return c_lines(self.array.values.reshape(-1).tolist())


class ConstantPool:
    """Names arrays as they come; equal ones are one, and rows of one repeated byte share the longest."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._arrays: dict[object, ConstArray] = {}
        self._names: dict[object, str] = {}

    @staticmethod
    def _key(array: ConstArray) -> object:
        if isinstance(array, FillRow):
            return ("fill", array.ctype, array.values.reshape(-1)[:1].tobytes())
        return (array.ctype, array.values.tobytes())

    def add(self, array: ConstArray) -> str:
        """The name under which the array will stand."""
        if array.values.dtype.kind not in "iu":
            raise TypeError("constant arrays hold integers; floats are written as their bits")
        key = self._key(array)
        known = self._arrays.get(key)
        if known is None or known.values.size < array.values.size:
            self._arrays[key] = array
        return self._names.setdefault(key, f"{self._prefix}{len(self._names)}")

    @property
    def constants(self) -> tuple[Constant, ...]:
        """All arrays, in the order in which they came."""
        return tuple(Constant(self._names[k], a) for k, a in self._arrays.items())

    def bytes_by_role(self) -> dict[str, int]:
        """Bytes in flash under each role."""
        found: Counter[str] = Counter()
        for array in self._arrays.values():
            found[array.role] += array.bytes
        return dict(found)
