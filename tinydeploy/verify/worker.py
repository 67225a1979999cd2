"""A script, run in a process of its own: feeds samples to a reference interpreter and writes down what it answers.

The interpreters are C++ that trusts the model: some models crash them, and what they write to standard error
cannot be told apart in a process with other threads. It imports nothing of tinydeploy, so it runs by its path
alone.

Standard input: an .npz with `model` (the file's bytes) and `<sample>/<tensor>` for every input. Standard
output: an .npz with `<sample>/<tensor>` for every tensor asked for. Argument: JSON, see `Request` in
process.py. Exit code 3: the interpreter refused the model, in the words on standard error; 4: its package is
missing.
"""

from __future__ import annotations

import io
import json
import os
import sys
from typing import Any

REFUSED = 3
MISSING = 4


class RefusedError(Exception):
    """The interpreter refused the model."""


def run_tflm(data: bytes, request: dict[str, Any], given: Any, results: dict[str, Any]) -> None:
    """Run all samples on TensorFlow Lite Micro."""
    from tflite_micro import runtime

    # With `layers` the interpreter keeps every tensor in a place of its own.
    layers = request["layers"]
    configs = runtime.InterpreterConfig
    config = configs.kPreserveAllTensors if layers else configs.kAllocationRecording
    size = request["arena_bytes"]
    while True:
        try:
            interpreter = runtime.Interpreter.from_bytes(data, arena_size=size, intrepreter_config=config)
            break
        except RuntimeError as error:
            size *= 4
            if size > request["most_arena_bytes"]:
                raise RefusedError(str(error)) from error
    if request["tell_arena"]:
        interpreter.print_allocations()  # to standard error
    for sample in range(request["samples"]):
        if sample:
            interpreter.reset()  # variable tensors and operators' states restart
        for position, index in enumerate(request["inputs"]):
            interpreter.set_input(given[f"{sample}/{index}"], position)
        interpreter.invoke()
        for index in layers:
            # It copies. It trusts its argument and crashes on tensors without memory.
            results[f"{sample}/{index}"] = interpreter.GetTensor(index, 0)["tensor_data"]
        for position, index in enumerate(request["outputs"]):
            results[f"{sample}/{index}"] = interpreter.get_output(position)


def run_litert(data: bytes, request: dict[str, Any], given: Any, results: dict[str, Any]) -> None:
    """Run all samples on LiteRT's reference kernels, without delegates."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=data,
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=bool(request["layers"]),
    )
    interpreter.allocate_tensors()
    for sample in range(request["samples"]):
        interpreter.reset_all_variables()
        for index in request["inputs"]:
            interpreter.set_tensor(index, given[f"{sample}/{index}"])
        interpreter.invoke()
        for index in (*request["layers"], *request["outputs"]):
            results[f"{sample}/{index}"] = interpreter.get_tensor(index)


def main() -> int:
    """Read the request, run it, write the answer."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get into the answer
    request = json.loads(sys.argv[1])
    import numpy as np

    given = np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False)
    results: dict[str, Any] = {}
    run = {"tflm": run_tflm, "litert": run_litert}[request["reference"]]
    try:
        run(given["model"].tobytes(), request, given, results)
    except ImportError as error:
        sys.stderr.write(f"{error}\n")
        return MISSING
    except (RuntimeError, ValueError, RefusedError) as error:
        sys.stderr.write(f"{error}\n")
        return REFUSED
    packed = io.BytesIO()
    np.savez(packed, **results)
    with answer:
        answer.write(packed.getbuffer())
    return 0


if __name__ == "__main__":
    sys.exit(main())
