"""A small network with state, as a file, and its twin that gets the state as a second input."""

from __future__ import annotations

import numpy as np

from tests.support import tflite_writer as writer

STATE_BYTES = 6 * 5 * 4


def stateful_network(*, as_input: bool = False) -> bytes:
    """A convolution, then the sum with a variable of 6×5×4, then another convolution. Nothing writes the variable.

    `as_input`: the same, but what was a variable is the second input, so that a reference can be told its value.
    """
    rng = np.random.default_rng(11)
    g = writer.GraphBuilder()
    x = g.tensor("x", (1, 6, 5, 3), scale=0.05, zero_point=3)
    state = g.tensor("state", (1, 6, 5, 4), scale=0.06, zero_point=-7, variable=not as_input)

    def convolution(source: int, channels: int, name: str) -> int:
        w = g.tensor(f"{name}/w", (4, 3, 3, channels), scale=0.01, data=rng.integers(-127, 128, (4, 3, 3, channels)))
        b = g.tensor(f"{name}/b", (4,), "int32", scale=0.0005, data=rng.integers(-300, 300, 4))
        y = g.tensor(name, (1, 6, 5, 4), scale=0.08, zero_point=2)
        g.op("CONV_2D", [source, w, b], [y], padding="SAME", stride_h=1, stride_w=1)
        return y

    total = g.tensor("sum", (1, 6, 5, 4), scale=0.09, zero_point=1)
    g.op("ADD", [convolution(x, 3, "before"), state], [total])
    y = convolution(total, 4, "after")
    return g.build(inputs=[x, state] if as_input else [x], outputs=[y])
