"""How large the code of a library will be, before it is compiled: an estimate from sizes measured once.

`firmware/code_size.toml` holds the bytes of each kernel for each core, as GCC compiles them; `python -m
tinydeploy.toolchain.measure` writes it anew. What an image really takes is in the report of `run`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from tinydeploy.boards import Core
from tinydeploy.codegen.program import Program
from tinydeploy.resources import firmware_dir

_FIELD_BYTES = 4  # an upper bound: some fields of the tables are 16 bits wide
_TENSOR_BYTES = 16  # sizeof(td_tensor_t)


@cache
def _measured() -> Mapping[str, Mapping[str, int]]:
    with (firmware_dir() / "code_size.toml").open("rb") as file:
        data: dict[str, Any] = tomllib.load(file)
    return {core: dict(sizes) for core, sizes in data["cores"].items()}


def estimate_code_bytes(programs: Sequence[Program], core: Core) -> int:
    """Bytes of flash for steps and tables of `programs`, and once for their kernels and start-up code; an estimate.

    A core that was not measured takes the largest size of those that were.
    """
    known = _measured()
    name = "cortex-m0plus" if core.name == "cortex-m0" else core.name

    def size(symbol: str) -> int:
        if name in known:
            return known[name].get(symbol, 0)
        return max(sizes.get(symbol, 0) for sizes in known.values())

    code = size("startup") + sum(map(size, frozenset[str]().union(*(program.kernels for program in programs))))
    for program in programs:
        code += len(program.calls) * size("call")
        code += sum(size("segment") + len(loop.stages) * size("stage") for loop in program.loops)
        code += program.fields * _FIELD_BYTES + len(program.places) * _TENSOR_BYTES + program.table_bytes
    return code
