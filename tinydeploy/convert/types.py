"""The values of a conversion: where a model comes from, what the user chose, what came out and what was lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
SourceKind = Literal["keras", "saved-model", "function", "onnx", "float-tflite", "int8-tflite"]
Ends = Literal["int8", "float"]
Activations = Literal["int8", "int16"]


@dataclass(frozen=True)
class Source:
    """A model as the user named it. `path`: the file or folder; for `module:function` the module's name is in `text`
    alone. `name`: what the exported file is called, made of letters, digits, `_` and `-`."""

    kind: SourceKind
    text: str
    name: str
    path: Path | None = None


@dataclass(frozen=True)
class Pixels:
    """What the application makes of an 8-bit pixel before the model sees it: 0 becomes `low`, 255 becomes `high`."""

    low: float
    high: float


@dataclass(frozen=True)
class ConvertOptions:
    """What a user may choose. `calibration` and `evaluate` are a file, a folder or `module:function`, as given.

    `ends`: the type of inputs and outputs. `most_samples`: the calibration samples used, evenly spread over what there
    is. `pixels`: needed where images are read from files.
    """

    calibration: str | None = None
    evaluate: str | None = None
    ends: Ends = "int8"
    activations: Activations = "int8"
    per_channel: bool = True
    most_samples: int = 256
    pixels: Pixels | None = None


@dataclass(frozen=True)
class InputSpec:
    """An input of the float model: its name, its shape without the batch, its dtype's NumPy name.

    `source_axes`: where the source has its axes in another order (ONNX: channels first), the axes of the source's shape
    in the order of `shape`, so that `transpose(source_axes)` turns a sample; empty where the order is the same.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    source_axes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Obstacle:
    """What will not run on a microcontroller: the layer by its name in the source, what is wrong, what to do."""

    layer: str
    what: str
    remedy: str


@dataclass(frozen=True)
class Calibration:
    """Calibration data that has passed all checks: `samples` hold one array for each input by name, batch 1.

    `sha256` is of the arrays' bytes, in order. `available` samples were found, of which these are used. `notes` say
    what was done to the data, `warnings` what may be wrong with them.
    """

    samples: tuple[Mapping[str, Array], ...]
    spec: str
    sha256: str
    available: int
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvaluationSet:
    """`inputs` hold one array for each input by name, samples first, as floats; `labels` the classes, when known."""

    inputs: Mapping[str, Array]
    labels: Array | None
    spec: str
    sha256: str

    @property
    def count(self) -> int:
        """How many samples there are."""
        return len(next(iter(self.inputs.values())))


@dataclass(frozen=True)
class LayerLoss:
    """What quantization costs one operator of the int8 file, float against int8 over the calibration samples.

    `sqnr_db`: signal to quantization noise, 10·log10(Σ float² / Σ (float − int8)²), in dB; None where either sum is
    zero or no float tensor corresponds. `own_sqnr_db`: the same for this operator alone, float and int8 both fed with
    the float model's values as 8 bits hold them; None where it is not known, or the operator loses nothing.
    """

    operator: int
    opcode: str
    tensor: str
    sqnr_db: float | None
    own_sqnr_db: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """How the models do on the `--evaluate` data. `agreement`: samples in which float and int8 have the same class
    (of `samples`), None where the outputs say no class. `float_correct`, `int8_correct`: with labels.
    `sqnr_db`: of the outputs, over all samples. `int8_by`: the package whose kernels ran the int8 model."""

    samples: int
    agreement: int | None
    float_correct: int | None
    int8_correct: int | None
    sqnr_db: float | None
    spec: str
    sha256: str
    int8_by: str = ""


@dataclass(frozen=True)
class Converted:
    """An int8 model with where it comes from. `data`: the .tflite file; `float_data`: the same network in float, None
    where there is none. `source_sha256` and `source_bytes` are those of the file (of a folder's files in order), empty
    for a function. `float_weights_bytes` of the float model are its parameters at 4 bytes each. `warnings` are of what
    may be wrong, `notes` of what was done. `obstacles` stand in the way of tinydeploy's runtime, and not of TensorFlow
    Lite Micro. `held_out` are the data of `evaluation`."""

    data: bytes
    float_data: bytes | None
    source: Source
    source_sha256: str
    source_bytes: int
    float_weights_bytes: int
    calibration_spec: str | None
    calibration_sha256: str
    calibration_samples: int
    losses: tuple[LayerLoss, ...] = ()
    evaluation: Evaluation | None = None
    warnings: tuple[str, ...] = ()
    tools: Mapping[str, str] = field(default_factory=dict)
    held_out: EvaluationSet | None = None
    notes: tuple[str, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
