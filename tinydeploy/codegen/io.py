"""`io_files`: NAME_io.h and NAME_io.c, from pixels, samples and floats to a model's inputs, and to scores and labels.

They need nothing but the model: values are reached by pointers, wherever a plan or another runtime has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinydeploy import __version__
from tinydeploy.codegen.literals import c_float, c_lines, c_string, c_words
from tinydeploy.codegen.names import comment_text
from tinydeploy.codegen.render import templates
from tinydeploy.codegen.samples import Line, line_of
from tinydeploy.codegen.support import PORT_CTYPES
from tinydeploy.convert.data.pixels import pixel_values
from tinydeploy.errors import UsageError
from tinydeploy.ir import DType, Model, Tensor
from tinydeploy.operators.base import printable
from tinydeploy.operators.quantization import affine_quantize

if TYPE_CHECKING:
    from tinydeploy.codegen.extras import Extras
    from tinydeploy.convert.types import Pixels

_LIMITS = {DType.INT8: (-128, 127), DType.UINT8: (0, 255), DType.INT16: (-32768, 32767)}


@dataclass(frozen=True)
class Values:
    """An input or an output as the templates write it. `scale` is None for floats, which are taken as they are.

    `low`, `high`: of the type. `channels`: of the pixels of an image, 0 where it is none. `pixels`: what the 256
    values of a pixel become, as C. `line`: what quantizes samples of an input. `classes`: the scores of a row of them,
    0 where the output is something else.
    """

    index: int
    title: str
    ctype: str
    element_bytes: int
    shape: tuple[int, ...]
    scale: str | None
    zero_point: int
    low: int
    high: int
    channels: int
    classes: int
    pixels: str | None
    line: Line | None
    labelled: bool


@dataclass(frozen=True)
class Ends:
    """The inputs and outputs that have functions."""

    inputs: tuple[Values, ...]
    outputs: tuple[Values, ...]


def ends_of(model: Model, extras: Extras) -> Ends:
    """All of types int8, uint8, int16, with a quantization, and float32.

    Raises UsageError for labels of which there are not as many as any output has classes.
    """
    inputs = _values(model, model.inputs, extras, sampled=True)
    ends = Ends(tuple(inputs), tuple(_values(model, model.outputs, extras)))
    if extras.labels and not any(output.labelled for output in ends.outputs):
        raise _no_such_classes(model, ends.outputs, len(extras.labels))
    return ends


def io_files(model: Model, name: str, extras: Extras) -> Mapping[str, str]:
    """The two files by name; `name` is the C prefix. Raises what `ends_of` raises."""
    ends = ends_of(model, extras)
    context = {
        "version": __version__,
        "name": name,
        "NAME": name.upper(),
        "title": comment_text(model.name),
        "inputs": ends.inputs,
        "outputs": ends.outputs,
        "labels": [c_string(label) for label in extras.labels],
    }
    return {f"{name}_io{end}": templates().get_template(f"io{end}.j2").render(context) for end in (".h", ".c")}


def _values(model: Model, tensors: Sequence[int], extras: Extras, *, sampled: bool = False) -> Iterator[Values]:
    for index, number in enumerate(tensors):
        tensor = model.tensor(number)
        q = tensor.quantization if tensor.dtype in _LIMITS else None
        if q is None and tensor.dtype is not DType.FLOAT32:
            continue
        low, high = _LIMITS.get(tensor.dtype, (0, 0))
        channels = tensor.shape[-1] if len(tensor.shape) >= 3 else 0
        classes = tensor.elements if tensor.shape and 1 < tensor.elements == tensor.shape[-1] else 0
        yield Values(
            index=index,
            title=comment_text(tensor.name),
            ctype=PORT_CTYPES[tensor.dtype],
            element_bytes=tensor.dtype.bytes,
            shape=tensor.shape,
            scale=None if q is None else c_float(q.scale),
            zero_point=0 if q is None else q.zero_point,
            low=low,
            high=high,
            channels=channels,
            classes=classes,
            pixels=None if extras.pixels is None else _pixel_table(tensor, extras.pixels),
            line=None if q is None or not sampled else line_of(q, (low, high)),
            labelled=0 < classes == len(extras.labels),
        )


def _pixel_table(tensor: Tensor, pixels: Pixels) -> str:
    values = pixel_values(pixels)
    if tensor.dtype is DType.FLOAT32 or tensor.quantization is None:
        return c_words(c_float(value) for value in values.tolist())
    return c_lines(affine_quantize(values, tensor.quantization, _LIMITS[tensor.dtype]).tolist())


def _no_such_classes(model: Model, outputs: Sequence[Values], labels: int) -> UsageError:
    name = printable(model.path or model.name, 400)
    scored = [f"output {output.index} has {output.classes} classes" for output in outputs if output.classes]
    if not scored:
        return UsageError(f"{labels} labels for {name}, which has no output that is one row of scores")
    return UsageError(
        f"{labels} labels for {name}, but {', '.join(scored)}", hint="the file has one label a line, for each class one"
    )
