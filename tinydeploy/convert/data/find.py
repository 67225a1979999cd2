"""A user's data for a model's inputs: `--calibration` and `--evaluate` name a file, a folder or `module:function`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tinydeploy.convert.data.array_files import npz_names, read_npy, read_npz
from tinydeploy.convert.data.columns import Column, array_column, joined
from tinydeploy.convert.data.drawn import draw
from tinydeploy.convert.data.images import find_images, image_column
from tinydeploy.convert.functions import apart, is_function
from tinydeploy.convert.types import Array, InputSpec, Pixels
from tinydeploy.errors import UsageError
from tinydeploy.operators.base import printable

FORMS = "a .npz or .npy file, a folder of .npy files or images, or module:function"
LABELS = ("y", "y_train", "y_test", "labels")
_SHOWN_NAMES = 8


@dataclass(frozen=True)
class Data:
    """A column for each input, by its name, all of `count` samples. `labels`: what the data hold as such, unchecked.
    `notes` say what was done to the data, `warnings` what may be wrong with them."""

    columns: Mapping[str, Column]
    labels: Array | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many samples there are."""
        return next(iter(self.columns.values())).count


def find_data(
    spec: str,
    wanted: Sequence[InputSpec],
    *,
    names: Sequence[str],
    labels: Sequence[str] = (),
    pixels: Pixels | None = None,
) -> Data:
    """The data that `spec` names, fitted to the inputs.

    `names` are those that the array of a model's only input may have in a .npz file beside the input's own, `labels`
    those of its labels, the first that is there. Nothing is unpickled, and array files are read in parts where that
    can be. Raises `UsageError`, and `MissingToolError` for images without Pillow.
    """
    path, where = Path(spec), printable(spec, 200)
    if is_function(spec):
        with apart():
            drawn = draw(spec, wanted, labels)
        return _data(where, wanted, drawn.inputs, drawn.labels, pixels, drawn.notes)
    if not spec or not path.exists():
        raise UsageError(f"'{where}' is not there", hint=f"give {FORMS}")
    if path.is_dir():
        return _folder(path, where, wanted, pixels)
    if path.suffix == ".npy":
        return _data(where, wanted, {_only(wanted, where).name: [read_npy(path)]}, None, pixels, ())
    if path.suffix == ".npz":
        return _npz(path, where, wanted, names, labels, pixels)
    raise UsageError(f"{where} is none of what data can be", hint=f"give {FORMS}")


def _npz(
    path: Path,
    where: str,
    wanted: Sequence[InputSpec],
    names: Sequence[str],
    labels: Sequence[str],
    pixels: Pixels | None,
) -> Data:
    there = npz_names(path)
    by_input = _names_of_inputs(where, there, wanted, names)
    label = next((name for name in labels if name in there), None)
    arrays = read_npz(path, (*by_input.values(), *([label] if label else [])))
    warnings = tuple(
        f"{where}: '{name}' is taken for the input, and its name says labels"
        for name in by_input.values()
        if name in LABELS
    )
    inputs = {name: [arrays[taken]] for name, taken in by_input.items()}
    found = _data(where, wanted, inputs, arrays[label] if label else None, pixels, ())
    return replace(found, warnings=warnings)


def _names_of_inputs(
    where: str, there: Sequence[str], wanted: Sequence[InputSpec], names: Sequence[str]
) -> Mapping[str, str]:
    """Which array of a .npz file is which input's."""
    if all(each.name in there for each in wanted):
        return {each.name: each.name for each in wanted}
    if len(wanted) == 1:
        found = [name for name in names if name in there][:1] or [n for n in there if n not in LABELS] or list(there)
        if len(found) == 1:
            return {wanted[0].name: found[0]}
    by_order = [f"arr_{position}" for position in range(len(wanted))]
    if all(name in there for name in by_order):
        return {each.name: name for each, name in zip(wanted, by_order, strict=True)}
    holds = ", ".join(f"'{printable(name)}'" for name in there[:_SHOWN_NAMES]) or "nothing"
    holds += f" and {len(there) - _SHOWN_NAMES} more" if len(there) > _SHOWN_NAMES else ""
    expected = ", ".join(f"'{printable(each.name)}'" for each in wanted)
    if len(wanted) == 1:
        expected += "".join(f", '{name}'" for name in names)
        raise UsageError(
            f"{where} holds {holds}: which is the input is not clear", hint=f"name the array one of {expected}"
        )
    raise UsageError(
        f"{where} holds {holds}; the model has the inputs {expected}",
        hint="name the arrays as the inputs, or arr_0, arr_1, … in the inputs' order (np.savez(file, first, second))",
    )


def _folder(path: Path, where: str, wanted: Sequence[InputSpec], pixels: Pixels | None) -> Data:
    only = _only(wanted, where)
    files = sorted(path.glob("*.npy"), key=lambda file: file.name)
    images = find_images(path)
    if files and images:
        raise UsageError(f"{where} holds .npy files and images: which are the samples is not clear")
    if files:
        return _data(where, wanted, {only.name: (read_npy(file) for file in files)}, None, pixels, ())
    if images:
        column = image_column(path, images, only, pixels)
        return Data({only.name: column}, notes=column.notes)
    raise UsageError(f"{where} holds neither .npy files nor images", hint=f"give {FORMS}")


def _data(
    where: str,
    wanted: Sequence[InputSpec],
    inputs: Mapping[str, Iterable[Array]],
    labels: Array | None,
    pixels: Pixels | None,
    notes: tuple[str, ...],
) -> Data:
    columns = {
        each.name: joined([array_column(array, each, where, pixels) for array in inputs[each.name]]) for each in wanted
    }
    counts = {name: column.count for name, column in columns.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"'{printable(name)}' {count}" for name, count in counts.items())
        raise UsageError(f"{where}: the inputs hold different numbers of samples: {told}")
    return Data(columns, labels, notes + tuple(note for column in columns.values() for note in column.notes))


def _only(wanted: Sequence[InputSpec], where: str) -> InputSpec:
    if len(wanted) != 1:
        names = ", ".join(f"'{printable(each.name)}'" for each in wanted)
        raise UsageError(
            f"{where} can feed one input, and the model has {len(wanted)}: {names}",
            hint="give a .npz file with an array for each input, or module:function",
        )
    return wanted[0]
