"""Whatever model there is, as int8: a shipped one, a file, a folder or a function; and how well it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinydeploy.catalog import shipped_path
from tinydeploy.convert.types import Converted, ConvertOptions, Evaluation, InputSpec, Pixels, Source
from tinydeploy.errors import UsageError
from tinydeploy.ir import DType, Model
from tinydeploy.operators.base import printable

if TYPE_CHECKING:
    from tinydeploy.convert.types import EvaluationSet


@dataclass(frozen=True)
class Int8Model:
    """An int8 model that is to be exported: `data` is its file's bytes, `converted` how it was made, None where it was
    int8 as it came."""

    model: Model
    data: bytes
    source: Source
    converted: Converted | None


def make_int8(text: str, options: ConvertOptions, *, on_convert: Callable[[], None] = lambda: None) -> Int8Model:
    """The model that `text` names, as int8: a shipped model, a file, a folder, or `module:function`.

    `on_convert` is called before a conversion, which takes long.

    Raises what `find_source`, `convert` and `parse_model` raise, and `UsageError` for options of a conversion where
    the model is int8 already.
    """
    from tinydeploy.convert.sources.find import find_source
    from tinydeploy.tflite import parse_model, read_file

    shipped = shipped_path(text)
    source = find_source(text) if shipped is None else Source("int8-tflite", text, text, shipped)
    if source.kind != "int8-tflite":
        from tinydeploy.convert.process import convert

        on_convert()
        converted = convert(source, options)
        file = f"{source.name}.tflite"  # what it will be written as
        return Int8Model(parse_model(converted.data, name=source.name, path=file), converted.data, source, converted)
    assert source.path is not None
    data = read_file(source.path)
    model = parse_model(data, name=source.path.stem, path=str(source.path))
    for option in _of_a_conversion(options, model):
        raise UsageError(
            f"{printable(text)} is int8 already, and {option} is for a float model",
            hint=f"leave {option} out, or give the float model that this one was made from",
        )
    return Int8Model(model, data, source, None)


def _of_a_conversion(options: ConvertOptions, model: Model) -> tuple[str, ...]:
    """The options given that would change what `model` is."""
    floats = all(model.tensor(index).dtype is DType.FLOAT32 for index in (*model.inputs, *model.outputs))
    wide = any(tensor.dtype is DType.INT16 for tensor in model.tensors)
    given = {
        "--calibration": options.calibration is not None,
        "--io float": options.ends == "float" and not floats,
        "--activations int16": options.activations == "int16" and not wide,
        "--per-tensor": not options.per_channel,
    }
    return tuple(option for option, is_given in given.items() if is_given)


def evaluation_set(int8: Int8Model, spec: str, pixels: Pixels | None) -> EvaluationSet:
    """The evaluation data, as floats by input: those that a conversion has read, or read now.

    Raises `UsageError`, `MissingToolError`.
    """
    from tinydeploy.convert.data.evaluation import load_evaluation

    if int8.converted is not None and int8.converted.held_out is not None:
        return int8.converted.held_out
    tensors = [int8.model.tensor(index) for index in int8.model.inputs]
    return load_evaluation(spec, [InputSpec(t.name, t.shape[1:], "float32") for t in tensors], pixels=pixels)


def evaluate_int8(int8: Int8Model, data: EvaluationSet) -> Evaluation:
    """How an int8 model that came without its float model does on this computer. Raises `MissingToolError`."""
    from tinydeploy.convert.data.evaluation import evaluate

    return evaluate(None, int8.data, data)
