"""Reads a .tflite file into a `Model`, or says in one line what is wrong with the file.

What a file says is not believed: offsets, lengths and indices are checked before they are used (see
`tinydeploy.tflite.flatbuffer` for why the schema's generated accessors are not used), sizes are bounded, and the
graph must be executable in the file's order. What is promised about hostile files stands in docs/security.md.

Decisions that a reader of the code will look for:

- A missing file is wrong usage (exit code 2); a file that exists and is not a model is a `ModelError` (exit code 3).
- Float and hybrid models are read: their costs can be computed. That int8 is needed to run one is for the operators'
  `check` to say.
- `shape_signature` may hold −1 for the leading axis: Keras leaves the batch open, and the file's `shape` then says 1.
  An open axis anywhere else is a dynamic shape.
- Only the first subgraph is read, as TensorFlow Lite Micro runs it. Others do not matter as long as no operator calls
  them (a model with several signatures has them); one that does is control flow, and refused.
- Operators that compute shapes from shapes are folded into constants, since all shapes are known; see `folding`.
- A constant is a tensor with a buffer that is not empty. Tensors that name the same bytes get the same `bytes` object.
"""

from __future__ import annotations

from hashlib import sha256
from math import inf, prod
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from types import MappingProxyType

from tinydeploy.errors import ModelError, UnsupportedModelError, UsageError
from tinydeploy.ir import DType, Model, Operator, Quantization, Tensor
from tinydeploy.operators.base import printable
from tinydeploy.tflite import schema
from tinydeploy.tflite.flatbuffer import MalformedError, Table, TableVector, View
from tinydeploy.tflite.folding import fold_shapes
from tinydeploy.tflite.graph import DAMAGED_HINT, check_graph, place, tensor_label
from tinydeploy.tflite.options import attributes
from tinydeploy.tflite.schema import (
    BufferSlot,
    MetadataSlot,
    ModelSlot,
    OperatorCodeSlot,
    OperatorSlot,
    QuantizationSlot,
    SubGraphSlot,
    TensorSlot,
)

MAX_FILE_BYTES = 512 * 1024 * 1024
"""Files above this are refused before they are read: no microcontroller holds them."""

MAX_TENSORS = 65_536
MAX_OPERATORS = 65_536
MAX_METADATA = 4_096
MAX_RANK = 8
MAX_TENSOR_BYTES = 2**31 - 1

DYNAMIC_HINT = (
    "convert with a fixed shape: give the input's whole shape, batch included, when the model is exported "
    "(tf.TensorSpec([1, height, width, channels]) or Input(batch_shape=…))"
)
FLEX_HINT = "convert without tf.lite.OpsSet.SELECT_TF_OPS, so that only built-in operators are used"
CUSTOM_HINT = "only built-in operators are compiled: end the model before this operator and compute it in the firmware"

_ZERO_POINTS = {
    DType.INT8: (-128, 127),
    DType.UINT8: (0, 255),
    DType.INT16: (-(2**15), 2**15 - 1),
    DType.UINT16: (0, 2**16 - 1),
    DType.INT32: (-(2**31), 2**31 - 1),
    DType.UINT32: (0, 2**32 - 1),
}


def read_model(path: str | Path) -> Model:
    """The model in a .tflite file, named after the file.

    Raises what `read_file` raises, `ModelError` when it is not a sound model, and `UnsupportedModelError` when it is
    one that tinydeploy cannot take.
    """
    return parse_model(read_file(path), name=Path(path).stem, path=str(path))


def read_file(path: str | Path) -> bytes:
    """The bytes of a file that may be a model.

    Raises `UsageError` when there is no such file or it cannot be opened, `ModelError` when it is no regular file or
    too large to be a model.
    """
    shown = printable(str(path), limit=400)
    try:
        file = Path(path)
        status = file.stat()
        if S_ISDIR(status.st_mode):
            raise ModelError(f"{shown}: is a directory, not a TFLite model")
        if not S_ISREG(status.st_mode):
            raise ModelError(f"{shown}: is not a regular file")
        _check_file_size(shown, status.st_size)
        with file.open("rb") as stream:
            return stream.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(f"{shown}: no such file") from None
    except ValueError:  # a NUL byte in the path
        raise UsageError(f"{shown}: not a path") from None
    except OSError as error:
        raise UsageError(f"{shown}: cannot be read: {error.strerror or error}") from None


def parse_model(data: bytes, *, name: str = "model", path: str = "") -> Model:
    """The model in the bytes of a .tflite file.

    `path` is what error messages call the file (`name` when it is empty). Raises `ModelError` or
    `UnsupportedModelError`, never anything else, whatever the bytes are; time and memory are bounded by the
    file's size.
    """
    shown = printable(path or name, limit=400)
    _check_file_size(shown, len(data))
    _check_identifier(shown, data)
    reader = _Reader(data, name, path)
    try:
        return reader.model()
    except MalformedError as error:
        raise ModelError(f"{reader.place()}: {error}", hint=DAMAGED_HINT) from None


def _check_file_size(shown: str, size: int) -> None:
    if size > MAX_FILE_BYTES:
        limit = MAX_FILE_BYTES // 2**20
        raise ModelError(f"{shown}: {size} bytes are too many for a model of a microcontroller (limit {limit} MiB)")


def _check_identifier(shown: str, data: bytes) -> None:
    """Tell what the file is instead, where that is easily seen."""
    if not data:
        raise ModelError(f"{shown}: the file is empty")
    if data[4:8] == schema.IDENTIFIER:
        return
    hint = "a TFLite model has the letters TFL3 at byte 4"
    if data[:4] == b"\x89HDF":
        hint = "this is an HDF5 file (Keras): convert it with tf.lite.TFLiteConverter.from_keras_model"
    elif data[:4] == b"PK\x03\x04":
        hint = "this is a zip archive (Keras or PyTorch): convert the model to TFLite first"
    elif data[4:7] == b"TFL":
        hint = "this is a TFLite file of another schema version: convert the model again"
    raise ModelError(f"{shown}: not a TFLite model", hint=hint)


class _Reader:
    """One pass over a file. It remembers the operator or tensor that it is at, for errors."""

    def __init__(self, data: bytes, name: str, path: str) -> None:
        self._data = data
        self._name = name
        self._path = path
        self._view = View(data)
        self._code_tables = self._buffer_tables = TableVector(self._view, 0, 0)
        self._operators: list[Operator] = []
        self._op: str | None = None
        self._tensor: tuple[int, str] | None = None
        self._codes: dict[int, str] = {}
        self._buffers: dict[int, bytes] = {}
        self._slices: dict[tuple[int, int], bytes] = {}

    def place(self) -> str:
        """What is being read: the file, and the operator, or the tensor with the operator that uses it."""
        parts = []
        if self._op is not None:
            parts.append(self._op)
        if self._tensor is not None:
            index, name = self._tensor
            user = self._user_of(index)
            if user is not None:
                parts.append(str(user))
            parts.append(tensor_label(index, name))
        return place(self._path or self._name, *parts)

    def _user_of(self, index: int) -> Operator | None:
        """The operator that computes a tensor, else the first one that reads it."""
        writer = next((op for op in self._operators if index in op.outputs), None)
        return writer or next((op for op in self._operators if index in op.inputs), None)

    def _unsupported(self, why: str, hint: str | None = None) -> UnsupportedModelError:
        return UnsupportedModelError(f"{self.place()}: {why}", hint=hint)

    def model(self) -> Model:
        """Read everything. Raises `ModelError`, and `MalformedError` with the place left in `place`."""
        root = self._view.root()
        version = root.integer(ModelSlot.VERSION, 4, signed=False)
        if version != schema.VERSION:
            raise self._unsupported(f"is of schema version {version}, {schema.VERSION} is needed", "convert it again")
        self._code_tables = root.tables(ModelSlot.OPERATOR_CODES)
        self._buffer_tables = root.tables(ModelSlot.BUFFERS)
        subgraphs = root.tables(ModelSlot.SUBGRAPHS)
        if len(subgraphs) == 0:
            raise MalformedError("there is no graph in it")
        graph = subgraphs[0]
        tensors = _limited(graph.tables(SubGraphSlot.TENSORS), MAX_TENSORS, "tensors")
        operators = _limited(graph.tables(SubGraphSlot.OPERATORS), MAX_OPERATORS, "operators")

        # operators come first, so that an error in a tensor can name the operator that uses it
        for index in range(len(operators)):
            self._operators.append(self._operator(index, operators[index], len(tensors)))
        self._op = None
        inputs = _indices(graph, SubGraphSlot.INPUTS, len(tensors), "the graph's inputs name")
        outputs = _indices(graph, SubGraphSlot.OUTPUTS, len(tensors), "the graph's outputs name")
        fed = set(inputs).union(*(op.outputs for op in self._operators))
        read = tuple(self._read_tensor(i, tensors[i], fed=i in fed) for i in range(len(tensors)))
        self._tensor = None
        model = Model(
            name=self._name,
            tensors=read,
            operators=tuple(self._operators),
            inputs=inputs,
            outputs=outputs,
            path=self._path,
            sha256=sha256(self._data).hexdigest(),
            description=root.string(ModelSlot.DESCRIPTION) or "",
            metadata=self._metadata(root),
        )
        check_graph(model)
        return fold_shapes(model)

    def _metadata(self, root: Table) -> MappingProxyType[str, bytes]:
        """The named blobs; the first of several with one name."""
        tables = _limited(root.tables(ModelSlot.METADATA), MAX_METADATA, "metadata entries")
        found: dict[str, bytes] = {}
        for index in range(len(tables)):
            name = tables[index].string(MetadataSlot.NAME) or ""
            data = self._buffer(tables[index].integer(MetadataSlot.BUFFER, 4, signed=False))
            found.setdefault(name, data)
        if "COMPRESSION_METADATA" in found:
            raise self._unsupported("its weights are compressed", "use the file from before the compression")
        return MappingProxyType(found)

    # --- operators -------------------------------------------------------------------------------------------

    def _operator(self, index: int, table: Table, tensors: int) -> Operator:
        self._op = f"operator {index}"
        opcode = self._opcode(table.integer(OperatorSlot.OPCODE_INDEX, 4, signed=False))
        self._op = f"operator {index} ({opcode})"
        if opcode in schema.CALLS_SUBGRAPHS:
            raise self._unsupported(
                "control flow between several subgraphs is not supported",
                "unroll tf.while_loop, tf.cond and the like (Keras LSTM, GRU: unroll=True), or move them elsewhere",
            )
        inputs = _indices(table, OperatorSlot.INPUTS, tensors, "its inputs name", optional=True)
        outputs = _indices(table, OperatorSlot.OUTPUTS, tensors, "its outputs name")
        options = attributes(
            opcode,
            table.integer(OperatorSlot.BUILTIN_OPTIONS_TYPE, 1, signed=False),
            table.table(OperatorSlot.BUILTIN_OPTIONS),
        )
        return Operator(index, opcode, inputs, outputs, options)

    def _opcode(self, index: int) -> str:
        """The name of an entry of the file's list of operator codes."""
        if index in self._codes:
            return self._codes[index]
        if index >= len(self._code_tables):
            raise MalformedError(f"names opcode {index} of {len(self._code_tables)}")
        table = self._code_tables[index]
        number = max(
            table.integer(OperatorCodeSlot.DEPRECATED_BUILTIN_CODE, 1),
            table.integer(OperatorCodeSlot.BUILTIN_CODE, 4),
        )
        if not 0 <= number < len(schema.OPCODES) or schema.OPCODES[number] in schema.NOT_OPERATORS:
            raise self._unsupported(
                f"unknown opcode number {number}", "the file is newer than this tinydeploy, or damaged"
            )
        opcode = schema.OPCODES[number]
        if opcode == schema.CUSTOM:
            custom = table.string(OperatorCodeSlot.CUSTOM_CODE) or ""
            hint = FLEX_HINT if custom.startswith("Flex") else CUSTOM_HINT
            raise self._unsupported(f"the custom operator '{printable(custom)}' is not supported", hint)
        self._codes[index] = opcode
        return opcode

    # --- tensors ---------------------------------------------------------------------------------------------

    def _read_tensor(self, index: int, table: Table, *, fed: bool) -> Tensor:
        """One tensor; `fed` says that an operator or the caller writes it."""
        self._tensor = (index, "?")
        name = table.string(TensorSlot.NAME) or ""
        self._tensor = (index, name)
        dtype = self._dtype(table)
        if table.table(TensorSlot.SPARSITY) is not None:
            raise self._unsupported("is sparse", "convert without sparsity (densify the weights)")
        if table.integer(TensorSlot.EXTERNAL_BUFFER, 4, signed=False):
            raise self._unsupported("has its data in another file", "convert into a single file")
        variable = table.boolean(TensorSlot.IS_VARIABLE)
        shape = table.integers(TensorSlot.SHAPE, limit=MAX_RANK) or ()
        # a shape or a list of axes that is empty: a constant of no elements, which has no buffer
        empty = 0 in shape and min(shape) >= 0 and not fed and not variable
        if not empty:
            self._check_shape(shape, table.integers(TensorSlot.SHAPE_SIGNATURE, limit=MAX_RANK) or ())
        size = prod(shape) * dtype.bytes
        if size > MAX_TENSOR_BYTES:
            raise MalformedError(f"its shape {_shown(shape)} of {dtype.label} is {size} bytes, which is absurd")
        quantization = self._quantization(table.table(TensorSlot.QUANTIZATION), shape, dtype)
        buffer = table.integer(TensorSlot.BUFFER, 4, signed=False)
        # buffer 0 is the schema's "no data"; a variable's buffer holds no constant
        data = b"" if buffer == 0 or variable else self._buffer(buffer)
        constant = bool(data) or empty
        if constant and len(data) != size:
            raise MalformedError(f"holds {len(data)} bytes, its shape {_shown(shape)} of {dtype.label} needs {size}")
        return Tensor(index, name, shape, dtype, quantization, constant, data if constant else None, variable)

    def _dtype(self, table: Table) -> DType:
        number = table.integer(TensorSlot.TYPE, 1)
        if number in schema.DTYPES:
            return schema.DTYPES[number]
        if 0 <= number < len(schema.TENSOR_TYPES):
            raise self._unsupported(f"elements of type {schema.TENSOR_TYPES[number].lower()} are not supported")
        raise MalformedError(f"its element type has the unknown number {number}")

    def _check_shape(self, shape: tuple[int, ...], signature: tuple[int, ...]) -> None:
        """Raise for a shape that is not known before the model runs."""
        if any(extent <= 0 for extent in shape):
            raise self._unsupported(f"has the dynamic shape {_shown(shape)}", DYNAMIC_HINT)
        if signature and len(signature) != len(shape):
            raise MalformedError(f"has the shape {_shown(shape)} and the signature {_shown(signature)}")
        if any(extent < 0 for extent in signature[1:]):
            raise self._unsupported(f"has the dynamic shape {_shown(signature)}", DYNAMIC_HINT)

    def _quantization(self, table: Table | None, shape: tuple[int, ...], dtype: DType) -> Quantization | None:
        if table is None:
            return None
        if table.integer(QuantizationSlot.DETAILS_TYPE, 1, signed=False):
            raise self._unsupported("its quantization is of a custom kind; per tensor and per channel are supported")
        scales = table.floats(QuantizationSlot.SCALE)
        if not scales:
            return None
        zero_points = table.integers(QuantizationSlot.ZERO_POINT, "q") or (0,) * len(scales)
        axis = table.integer(QuantizationSlot.QUANTIZED_DIMENSION, 4)
        if len(zero_points) != len(scales):
            raise MalformedError(f"has {len(scales)} scales and {len(zero_points)} zero points")
        if len(scales) == 1 or len(shape) == 1:
            axis = 0  # nothing to choose from: old converters wrote the weights' axis on biases, and axes of no meaning
        if not 0 <= axis < max(len(shape), 1):
            raise MalformedError(f"is quantized along axis {axis}, its shape is {_shown(shape)}")
        if len(scales) > 1 and (not shape or len(scales) != shape[axis]):
            raise MalformedError(f"has {len(scales)} scales along axis {axis}, its shape is {_shown(shape)}")
        for scale in scales:
            if not 0 < scale < inf:  # false for NaN too
                raise MalformedError(f"has the scale {scale}, it must be positive and finite")
        least, greatest = _ZERO_POINTS.get(dtype, (-(2**63), 2**63 - 1))
        for zero_point in zero_points:
            if not least <= zero_point <= greatest:
                raise MalformedError(f"has the zero point {zero_point}, {dtype.label} ends at {least} and {greatest}")
        return Quantization(scales, zero_points, axis)

    def _buffer(self, index: int) -> bytes:
        """The bytes of a buffer. The same bytes of the file are the same object."""
        if index in self._buffers:
            return self._buffers[index]
        if index >= len(self._buffer_tables):
            raise MalformedError(f"names buffer {index} of {len(self._buffer_tables)}")
        table = self._buffer_tables[index]
        found = table.vector(BufferSlot.DATA, 1)
        if found is None:
            offset = table.integer(BufferSlot.OFFSET, 8, signed=False)
            size = table.integer(BufferSlot.SIZE, 8, signed=False)
            found = (offset, size) if offset > 1 else (0, 0)
        if found not in self._slices:
            self._slices[found] = self._view.slice(*found)
        data = self._slices[found]
        self._buffers[index] = data
        return data


def _limited(tables: TableVector, limit: int, what: str) -> TableVector:
    """The vector, unless it is longer than any model is."""
    if len(tables) > limit:
        raise MalformedError(f"{len(tables)} {what} are too many (limit {limit})")
    return tables


def _indices(table: Table, slot: int, tensors: int, what: str, *, optional: bool = False) -> tuple[int, ...]:
    """A list of tensor indices; `optional` allows −1, an input that is left out."""
    indices = table.integers(slot) or ()
    for index in indices:
        if not (0 <= index < tensors or (optional and index == -1)):
            raise MalformedError(f"{what} tensor {index} of {tensors}")
    return indices


def _shown(shape: tuple[int, ...]) -> str:
    return "×".join(str(extent) for extent in shape) if shape else "()"
