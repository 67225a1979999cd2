"""Shape arithmetic on plain integers: windows, transposed convolution, broadcasting, concatenation.

Nothing here knows tensors or operators, so the builder and the operators' rules share it. Every function
raises `ValueError` with the reason in words when the shapes are impossible.

The rules for SAME and VALID are TensorFlow's (tensorflow.org/api_docs/python/tf/nn, "Notes on padding"), as
TensorFlow Lite's kernels compute them (tensorflow/lite/kernels/padding.h); EXPLICIT is the textbook's
h_o = floor((h_i + p_before + p_after − k_eff) / s) + 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinydeploy.ir.attributes import Padding


def effective_extent(kernel: int, dilation: int) -> int:
    """The input elements that a dilated kernel spans: (kernel − 1) · dilation + 1."""
    return (kernel - 1) * dilation + 1


def window_output(
    extent_in: int,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
    padding: Padding = Padding.VALID,
    explicit: tuple[int, int] = (0, 0),
) -> int:
    """The output's extent along one axis of a convolution or pooling; always at least 1.

    `explicit` is (before, after) and is used with `Padding.EXPLICIT` only.
    """
    _check_window(extent_in, kernel, stride, dilation, explicit)
    if padding is Padding.SAME:
        return -(-extent_in // stride)
    before, after = explicit if padding is Padding.EXPLICIT else (0, 0)
    padded = extent_in + before + after
    span = effective_extent(kernel, dilation)
    if padded < span:
        raise ValueError(f"a window over {span} elements does not fit into {padded} (padding included)")
    return (padded - span) // stride + 1


def window_padding(
    extent_in: int,
    extent_out: int,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
    padding: Padding = Padding.VALID,
    explicit: tuple[int, int] = (0, 0),
) -> tuple[int, int]:
    """The padding (before, after) along one axis, given both extents.

    SAME pads max((out − 1) · stride + k_eff − in, 0) elements, the odd one after. TensorFlow Lite's
    transposed convolution pads by the same rule with the two extents exchanged.
    """
    _check_window(extent_in, kernel, stride, dilation, explicit)
    if extent_out < 1:
        raise ValueError(f"the output's extent must be at least 1, not {extent_out}")
    if padding is Padding.EXPLICIT:
        return explicit
    if padding is Padding.VALID:
        return 0, 0
    total = max((extent_out - 1) * stride + effective_extent(kernel, dilation) - extent_in, 0)
    return total // 2, total - total // 2


def transpose_conv_output(
    extent_in: int,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
    padding: Padding = Padding.VALID,
    explicit: tuple[int, int] = (0, 0),
    output_padding: int = 0,
) -> int:
    """The output's extent along one axis of a transposed convolution, where the network leaves it open.

    Several extents lead back to the same input; this is the one that Keras chooses: SAME in · stride, VALID
    in · stride + max(k_eff − stride, 0). EXPLICIT inverts the convolution's formula:
    (in − 1) · stride + k_eff − before − after + `output_padding`, which is PyTorch's.
    """
    _check_window(extent_in, kernel, stride, dilation, explicit)
    span = effective_extent(kernel, dilation)
    if padding is Padding.SAME:
        return extent_in * stride
    if padding is Padding.VALID:
        return extent_in * stride + max(span - stride, 0)
    if output_padding < 0 or output_padding >= max(stride, dilation):
        raise ValueError(f"output padding {output_padding} must be smaller than the stride or the dilation")
    extent_out = (extent_in - 1) * stride + span - sum(explicit) + output_padding
    if extent_out < 1:
        raise ValueError(f"padding {explicit} leaves nothing of the transposed convolution's output")
    return extent_out


def broadcast_shape(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...]:
    """The shape of an element-wise result: axes match from the last, and 1 stretches, as in NumPy."""
    rank = max(len(a), len(b))
    left = (1,) * (rank - len(a)) + tuple(a)
    right = (1,) * (rank - len(b)) + tuple(b)
    shape = []
    for x, y in zip(left, right, strict=True):
        if x != y and 1 not in (x, y):
            raise ValueError(f"shapes {tuple(a)} and {tuple(b)} do not broadcast: {x} against {y}")
        shape.append(y if x == 1 else x)
    return tuple(shape)


def concatenation_shape(shapes: Sequence[Sequence[int]], axis: int) -> tuple[int, ...]:
    """The shape of tensors joined along `axis` (negative counts from the end); the other axes must agree."""
    if not shapes:
        raise ValueError("nothing to concatenate")
    first = tuple(shapes[0])
    at = normal_axis(axis, len(first))
    for shape in shapes[1:]:
        other = tuple(shape)
        if len(other) != len(first) or other[:at] + other[at + 1 :] != first[:at] + first[at + 1 :]:
            raise ValueError(f"shapes {first} and {other} differ on another axis than the joined one ({at})")
    return (*first[:at], sum(shape[at] for shape in shapes), *first[at + 1 :])


def normal_axis(axis: int, rank: int) -> int:
    """`axis` counted from the start; negative counts from the end."""
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} is out of range for {rank} axes")
    return axis % rank


def _check_window(extent_in: int, kernel: int, stride: int, dilation: int, explicit: tuple[int, int]) -> None:
    for what, value in (
        ("input's extent", extent_in),
        ("kernel's extent", kernel),
        ("stride", stride),
        ("dilation", dilation),
    ):
        if value < 1:
            raise ValueError(f"the {what} must be at least 1, not {value}")
    if min(explicit) < 0:
        raise ValueError(f"padding cannot be negative: {explicit}")
