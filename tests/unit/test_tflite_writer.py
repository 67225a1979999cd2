"""The writer of test models is itself tested: both reference interpreters load and run what it makes."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="pip install 'tinydeploy[verify]' for the reference interpreters")

from tests.support import tflite_writer as writer

MODELS = writer.single_operator_models()


def _inputs(data: bytes) -> list[np.ndarray]:
    model = writer.unpack(data)
    graph = model.subgraphs[0]
    rng = np.random.default_rng(1)
    values = []
    for index in graph.inputs:
        tensor = graph.tensors[index]
        shape = tuple(int(n) for n in tensor.shape)
        if tensor.type == writer.schema.TensorType.FLOAT32:
            values.append(rng.uniform(-6, 6, size=shape).astype(np.float32))
        else:
            values.append(rng.integers(-128, 128, size=shape, dtype=np.int8))
    return values


def _with_litert(data: bytes, values: list[np.ndarray]) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), values, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def _with_tflm(data: bytes, values: list[np.ndarray]) -> np.ndarray:
    runtime = pytest.importorskip(
        "tflite_micro.python.tflite_micro.runtime", reason="pip install 'tinydeploy[verify]' for TFLM"
    )
    interpreter = runtime.Interpreter.from_bytes(data, arena_size=200_000)
    for position, value in enumerate(values):
        interpreter.set_input(value, position)
    interpreter.invoke()
    return np.array(interpreter.get_output(0))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_both_interpreters_run_it_and_agree_on_the_shape(name: str) -> None:
    values = _inputs(MODELS[name])
    lite = _with_litert(MODELS[name], values)
    micro = _with_tflm(MODELS[name], values)
    graph = writer.unpack(MODELS[name]).subgraphs[0]
    expected = tuple(int(n) for n in graph.tensors[graph.outputs[0]].shape)
    assert lite.shape == micro.shape == expected
    assert np.max(np.abs(lite.astype(np.float64) - micro.astype(np.float64))) <= 1
    if lite.size > 4:
        assert len(np.unique(micro)) > 1, "an output that is constant tests nothing"
