"""Reading an ONNX file: what cannot go on to a microcontroller is refused here, by node and with a remedy."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

from tinydeploy.errors import MissingToolError, ModelError, UnsupportedModelError
from tinydeploy.operators.base import printable

INSTALL_HINT = "pip install 'tinydeploy[onnx]'"
PACKAGES = ("onnx", "onnxruntime", "onnx2tf", "onnx_graphsurgeon", "sng4onnx", "tf_keras", "tensorflow")

MAX_INPUT_ELEMENTS = 1 << 24
"""An input that is larger is refused before the network is tried on one."""

_QUANTIZED = (
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "ConvInteger",
    "MatMulInteger",
)
_CONTROL_FLOW = ("If", "Loop", "Scan")
_OFFICIAL = ("", "ai.onnx")


def read_onnx(path: Path) -> Any:
    """The `ModelProto` of an ONNX file that a converter may be given: float32, of fixed shapes, a batch of one, with
    the operators of an opset that is known here and shapes inferred.

    Raises `MissingToolError` without the packages of the extra `onnx`, `ModelError` for a file that is none or not
    whole, `UnsupportedModelError` for what cannot be converted.
    """
    _require_packages()
    import onnx
    from onnx import shape_inference

    where = printable(str(path), 200)
    model = _parsed(path, where)
    _check_opset(model, where)
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{where} breaks ONNX's rules: {gist(error)}") from error
    _check_nodes(model, where)
    _fix_inputs(model, where)
    del model.graph.value_info[:]  # what the exporter knew of other batches
    return shape_inference.infer_shapes(model, data_prop=True)


def graph_inputs(model: Any) -> tuple[Any, ...]:
    """The inputs that a user feeds: old files list the weights among them."""
    weights = {initializer.name for initializer in model.graph.initializer}
    return tuple(each for each in model.graph.input if each.name not in weights)


def extents(value: Any) -> tuple[int, ...]:
    """The shape of an input or output whose shape is fixed, batch included."""
    return tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)


def label(node: Any) -> str:
    """A node by its name, or by its first output where it has none."""
    return f"node '{printable(node.name or next(iter(node.output), ''))}' ({printable(node.op_type)})"


def gist(error: BaseException) -> str:
    """The first line of what a library says, without the rest of its story."""
    return printable(next((line.strip() for line in str(error).splitlines() if line.strip()), "without a word"), 300)


def _require_packages() -> None:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingToolError(
            f"ONNX files are converted by onnx2tf, which needs {', '.join(missing)}: not installed", hint=INSTALL_HINT
        )


def _parsed(path: Path, where: str) -> Any:
    import onnx

    try:
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except Exception as error:  # protobuf's own, which differ between its versions
        raise ModelError(f"{where} is not an ONNX file", hint="it cannot be read as a protobuf message") from error
    if not model.graph.node or not model.opset_import or not graph_inputs(model):
        raise ModelError(f"{where} is not an ONNX model: it has no operators, no inputs or no opset")
    for initializer in model.graph.initializer:
        if initializer.data_location == onnx.TensorProto.EXTERNAL:
            entries = {entry.key: entry.value for entry in initializer.external_data}
            location = entries.get("location", "")
            if not (path.parent / location).is_file():
                raise ModelError(
                    f"{where}: the weights of '{printable(initializer.name)}' are in '{printable(location)}', which is "
                    "missing beside it",
                    hint="copy that file too, or save the model in one file: onnx.save(model, path)",
                )
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # onnx's own, of protobuf and of the operating system
        raise ModelError(f"{where}: its external data cannot be read: {gist(error)}") from error
    return model


def _check_opset(model: Any, where: str) -> None:
    import onnx

    known = onnx.defs.onnx_opset_version()
    for entry in model.opset_import:
        if entry.domain in _OFFICIAL and entry.version > known:
            raise UnsupportedModelError(
                f"{where} is of opset {entry.version}; onnx {onnx.__version__} knows those up to {known}",
                hint="export with an older opset (opset_version=17 suits the converter best), or upgrade onnx",
            )


def _check_nodes(model: Any, where: str) -> None:
    for node in model.graph.node:
        if node.op_type in _QUANTIZED:
            raise UnsupportedModelError(
                f"{where} is quantized already: {label(node)}; its scales follow other rules than TensorFlow Lite's",
                hint="export the float model: it is quantized here, with --calibration",
            )
        if node.op_type in _CONTROL_FLOW:
            raise UnsupportedModelError(
                f"{where}: {label(node)} is control flow, which does not run on a microcontroller here",
                hint="export a graph without it: torch.onnx.export traces a model when it is not scripted",
            )
        if node.domain not in _OFFICIAL:
            raise UnsupportedModelError(
                f"{where}: {label(node)} is of the domain '{printable(node.domain)}'; only ONNX's own operators are "
                "converted",
                hint="export without the optimizations of a runtime, or end the model before it",
            )
    known = _known_to_onnx2tf()
    for node in model.graph.node:
        if node.op_type not in known:
            raise UnsupportedModelError(
                f"{where}: onnx2tf does not convert {label(node)}",
                hint="write it with other operators, or end the model before it and compute it in the firmware",
            )


def _known_to_onnx2tf() -> set[str]:
    """The operators that it has a module for. It is not imported, since TensorFlow would be, too."""
    found = importlib.util.find_spec("onnx2tf")
    assert found is not None and found.submodule_search_locations
    return {path.stem for folder in found.submodule_search_locations for path in Path(folder, "ops").glob("*.py")}


def _fix_inputs(model: Any, where: str) -> None:
    """Give an open batch one sample; every other axis must be known."""
    import onnx

    for value in graph_inputs(model):
        tensor, name = value.type.tensor_type, printable(value.name)
        if tensor.elem_type != onnx.TensorProto.FLOAT:
            kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
            raise UnsupportedModelError(
                f"{where}: input '{name}' is {kind}, float32 is needed", hint="export the model in float32"
            )
        axes = list(tensor.shape.dim) if tensor.HasField("shape") else []
        open_axes = [number for number, axis in enumerate(axes) if axis.dim_value <= 0]
        if not axes or open_axes not in ([], [0]):
            raise UnsupportedModelError(
                f"{where}: input '{name}' has the open shape [{', '.join(_axes(axes))}]: a microcontroller's memory "
                "is planned for fixed shapes",
                hint="export without dynamic_axes for all but the batch, or fix them: python -m "
                "onnxruntime.tools.make_dynamic_shape_fixed --input_name … --input_shape …",
            )
        if len(axes) > 1 and not open_axes and axes[0].dim_value != 1:
            raise UnsupportedModelError(
                f"{where}: input '{name}' takes {axes[0].dim_value} samples at once: [{', '.join(_axes(axes))}]",
                hint="export it for a batch of one: a microcontroller runs one sample at a time",
            )
        if open_axes:
            axes[0].Clear()
            axes[0].dim_value = 1
        if prod(extents(value)) > MAX_INPUT_ELEMENTS:
            raise UnsupportedModelError(
                f"{where}: input '{name}' has {prod(extents(value)):,} elements; more than {MAX_INPUT_ELEMENTS:,} are "
                "refused",
                hint="no microcontroller holds them: export the model for smaller inputs",
            )
    for value in model.graph.output:
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_value <= 0:
                axis.Clear()  # follows from the inputs now


def _axes(axes: list[Any]) -> Iterator[str]:
    for axis in axes:
        yield str(axis.dim_value) if axis.dim_value > 0 else printable(axis.dim_param or "?")
