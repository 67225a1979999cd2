"""A run's outputs: found by name, and compared with expected values or with the reference interpreters."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinydeploy.errors import UsageError
from tinydeploy.operators.base import printable

if TYPE_CHECKING:
    from tinydeploy.ir import Model
    from tinydeploy.pipeline import Ran
    from tinydeploy.verify import Array, Verification


def find_output(model: Model, named: str | None) -> int:
    """The tensor of an output: by name, by place, or the only one. Raises `UsageError`."""
    names = [model.tensor(index).name for index in model.outputs]
    if named is None and len(names) == 1:
        return model.outputs[0]
    if named in names:
        return model.outputs[names.index(named)]
    if named is not None and named.isascii() and named.isdigit() and int(named[:9]) < len(names):
        return model.outputs[int(named)]
    told = ", ".join(f"{place}: '{printable(name)}'" for place, name in enumerate(names))
    what = f"there is no output '{printable(named)}'" if named is not None else f"there are {len(names)} outputs"
    raise UsageError(what, hint=f"output= takes a place or a name of {told}")


def expected_values(expected: str | Sequence[Any], like: Array) -> Array:
    """Nested lists, also as text, or what a .npy file holds, as an array. Raises `UsageError`."""
    import json

    import numpy as np

    try:
        if isinstance(expected, str) and expected.lstrip().startswith("["):
            expected = list(json.loads(expected))
        if isinstance(expected, str):
            found = np.load(Path(expected), allow_pickle=False)
        else:
            found = np.asarray(expected)
    except (OSError, ValueError, EOFError) as error:
        what = printable(str(expected), 100)
        raise UsageError(f"expected values cannot be read from {what}: {printable(str(error), 160)}") from error
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "iufb":
        raise UsageError("expected values are no numbers")
    return found.astype(like.dtype) if isinstance(expected, list) and like.dtype.kind == "f" else found


def first_difference(found: Array, expected: Array) -> str:
    """Where two arrays differ first, in words; "" where they are alike."""
    import numpy as np

    if found.shape != expected.shape:
        return f"its shape is {list(found.shape)}, not {list(expected.shape)}"
    different = found != expected
    count = int(np.count_nonzero(different))
    if not count:
        return ""
    flat = int(np.argmax(different))
    place = ", ".join(str(int(i)) for i in np.unravel_index(flat, found.shape))
    here, there = found.reshape(-1)[flat].item(), expected.reshape(-1)[flat].item()
    return f"[{place}] is {here}, not {there}; {count} of {found.size} elements differ"


def compare_with_references(ran: Ran) -> Verification:
    """Run the reference interpreters on a run's inputs. Raises `MissingToolError` where there is none, and
    `UsageError` where the model's file has changed since it was read."""
    from tinydeploy.transform import original_inputs, original_outputs
    from tinydeploy.verify import compare, reference_outputs

    planned = ran.built.planned
    original, model = planned.prepared.original, planned.model
    try:
        data = Path(original.path).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {original.path}: {error.strerror or error}") from error
    if hashlib.sha256(data).hexdigest() != original.sha256:
        raise UsageError(f"{printable(original.path, 200)} has changed since it was planned", hint="run it again")
    asked = [original_inputs(original, model, sample) for sample in ran.inputs]
    answered = [original_outputs(original, model, sample) for sample in ran.outputs]
    layers = len(ran.outputs[0]) > len(model.outputs)
    return compare(original, answered, reference_outputs(original, data, asked, layers=layers))
