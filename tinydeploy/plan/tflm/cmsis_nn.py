"""The scratch that CMSIS-NN's int8 and int16 kernels ask for, on cores without Helium.

Sources: the `*_get_buffer_size` functions of CMSIS-NN (Source/*/*_get_buffer_sizes_s8.c, …_s16.c), and which of them
TFLM's wrappers call with what (tensorflow/lite/micro/kernels/cmsis_nn/*.cc). GCC's and clang's builds; for 1×1
convolutions ARM's own compiler takes 4 bytes more for each input channel.
"""

from __future__ import annotations

from math import prod

from tinydeploy.ir import (
    Conv2DAttrs,
    DepthwiseConv2DAttrs,
    DType,
    FullyConnectedAttrs,
    Operator,
    Tensor,
    TransposeConvAttrs,
)
from tinydeploy.ir.shapes import window_padding
from tinydeploy.units import align_up

_REVERSED_ABOVE = 16  # input channels, from which a transposed convolution runs as a convolution


def scratch(op: Operator, data: Tensor, weights: Tensor | None, output: Tensor, *, dsp: bool) -> tuple[int, ...]:
    """The scratch buffers of an operator, in bytes, in the order of the requests.

    `data` and `output` are its int8 or int16 activations, of rank 4 where a window moves over them; `dsp` says that the
    core has the DSP extension. Operators that CMSIS-NN has no kernel for, or whose kernel needs none, ask for none.
    """
    if op.opcode == "AVERAGE_POOL_2D":
        return _needed(4 * data.shape[3] if dsp else 0)
    if weights is None:
        return ()
    if data.dtype is DType.INT16:
        return _int16(op, data, weights, output)
    match op.attrs:
        case DepthwiseConv2DAttrs() as attrs:
            return _needed(_depthwise(attrs, data, weights, output) if dsp else 0)
        case Conv2DAttrs() as attrs:
            return _needed(_convolution(attrs, data, weights, output))
        case TransposeConvAttrs() as attrs:
            return _transposed(attrs, data, weights, output)
        case FullyConnectedAttrs():
            return _fully_connected(weights, output)
    return ()


def _int16(op: Operator, data: Tensor, weights: Tensor, output: Tensor) -> tuple[int, ...]:
    """Two columns of a convolution's input, not rounded up, and sums as int64 of a transposed one; no other asks, for
    depthwise convolution runs TFLM's reference kernel and fully connected layers need none."""
    match op.attrs:
        case DepthwiseConv2DAttrs():  # which is a convolution's, too
            return ()
        case Conv2DAttrs():
            return _needed(2 * 2 * data.shape[3] * weights.shape[1] * weights.shape[2])
        case TransposeConvAttrs():
            return (8 * output.elements,)
    return ()


def _needed(size: int) -> tuple[int, ...]:
    """Nothing is requested where nothing is needed."""
    return (size,) if size else ()


def _columns(channels: int, height: int, width: int) -> int:
    """Two columns of a convolution's input as int16, each a multiple of four elements."""
    return 2 * 2 * align_up(channels * height * width, 4)


def _paddings(attrs: Conv2DAttrs, data: Tensor, weights: Tensor, output: Tensor) -> tuple[int, int]:
    """What is padded above and to the left."""
    top, bottom, left, right = attrs.explicit_padding
    above, _ = window_padding(
        data.shape[1], output.shape[1], weights.shape[1], attrs.stride_h, attrs.dilation_h, attrs.padding, (top, bottom)
    )
    beside, _ = window_padding(
        data.shape[2], output.shape[2], weights.shape[2], attrs.stride_w, attrs.dilation_w, attrs.padding, (left, right)
    )
    return above, beside


def _convolution(attrs: Conv2DAttrs, data: Tensor, weights: Tensor, output: Tensor) -> int:
    """None for a 1×1 convolution that is neither padded, dilated nor grouped; two columns for the others."""
    _, height, width, depth = weights.shape
    channels = data.shape[3]
    pointwise = (height, width, attrs.dilation_h, attrs.dilation_w, depth) == (1, 1, 1, 1, channels)
    if pointwise and _paddings(attrs, data, weights, output) == (0, 0):
        return 0
    return _columns(channels, height, width)


def _depthwise(attrs: DepthwiseConv2DAttrs, data: Tensor, weights: Tensor, output: Tensor) -> int:
    """The int16 window of all channels, unless the kernel for 3×3 or the general one runs."""
    _, height, width, _ = weights.shape
    batch, channels = data.shape[0], data.shape[3]
    if channels != output.shape[3] or batch != 1 or (attrs.dilation_h, attrs.dilation_w) != (1, 1):
        return 0
    if (height, width) == (3, 3) and max(_paddings(attrs, data, weights, output)) <= 1:
        return 0
    return 2 * channels * height * width


def _transposed(attrs: TransposeConvAttrs, data: Tensor, weights: Tensor, output: Tensor) -> tuple[int, ...]:
    """Two requests in every case: for columns or rows of sums, and for the reversed weights, which may be empty."""
    _, height, width, channels = weights.shape
    if attrs.stride_h <= 2 and attrs.stride_w <= 2 and channels > _REVERSED_ABOVE:
        return _columns(channels, height, width), prod(weights.shape)
    # the stride along the height, in the row's width too: so CMSIS-NN has it
    row = (data.shape[2] - 1) * attrs.stride_w + max(width, attrs.stride_h)
    return 4 * row * output.shape[3] * max(height, attrs.stride_h), 0


def _fully_connected(weights: Tensor, output: Tensor) -> tuple[int, ...]:
    """Multipliers and shifts, where it runs as a 1×1 convolution and has only one of each."""
    per_channel = weights.quantization is not None and weights.quantization.per_channel
    as_convolution = len(output.shape) > 2 and weights.shape[-1] % 4 == 0
    return _needed(8 * output.shape[-1] if as_convolution and not per_channel else 0)
