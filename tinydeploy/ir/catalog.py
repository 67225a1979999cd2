"""The models that come with tinydeploy: `models/models.toml`, read into `ShippedModel`s."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tinydeploy.resources import models_dir


@dataclass(frozen=True)
class Accuracy:
    """Top-1 accuracy on held-out samples; `float_correct` and `int8_correct` count out of `samples`.

    `kind` is always `measured`; `how` says where and with which interpreters, `dataset` on what.
    """

    kind: str
    dataset: str
    samples: int
    float_correct: int
    int8_correct: int
    how: str

    @property
    def float_share(self) -> float:
        """The float model's accuracy, 0 … 1."""
        return self.float_correct / self.samples

    @property
    def int8_share(self) -> float:
        """The int8 model's accuracy, 0 … 1."""
        return self.int8_correct / self.samples


@dataclass(frozen=True)
class ShippedModel:
    """One entry of models.toml.

    `inputs` and `outputs` read like `int8[1, 49, 10, 1]`; `macs` are for one inference, bias ignored; `weights` says
    what they were trained on, or that they are random; `script` is relative to the repository, `tools` holds the
    package versions that made the file; `companions` are files that lie beside it.
    """

    name: str
    path: Path
    sha256: str
    bytes: int
    title: str
    description: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    macs: int
    weights: str
    seed: int
    script: str
    command: str
    tools: Mapping[str, str]
    licence: str
    companions: tuple[Path, ...] = ()
    accuracy: Accuracy | None = None


def shipped_models() -> tuple[ShippedModel, ...]:
    """All shipped models, in the catalogue's order."""
    folder = models_dir()
    with (folder / "models.toml").open("rb") as file:
        entries = tomllib.load(file)
    found = []
    for name, entry in entries.items():
        accuracy = entry.get("accuracy")
        found.append(
            ShippedModel(
                name=name,
                path=folder / entry["file"],
                sha256=entry["sha256"],
                bytes=entry["bytes"],
                title=entry["title"],
                description=entry["description"],
                inputs=tuple(entry["inputs"]),
                outputs=tuple(entry["outputs"]),
                macs=entry["macs"],
                weights=entry["weights"],
                seed=entry["seed"],
                script=entry["script"],
                command=entry["command"],
                tools=MappingProxyType(entry["tools"]),
                licence=entry["licence"],
                companions=tuple(folder / companion for companion in entry.get("companions", ())),
                accuracy=accuracy
                and Accuracy(
                    kind=accuracy["kind"],
                    dataset=accuracy["dataset"],
                    samples=accuracy["samples"],
                    float_correct=accuracy["float_correct"],
                    int8_correct=accuracy["int8_correct"],
                    how=accuracy["how"],
                ),
            )
        )
    return tuple(found)


def shipped_model(name: str) -> Path | None:
    """The file of the shipped model that is called `name` (`kws` or `kws.tflite`), or None."""
    wanted = name.removesuffix(".tflite")
    return next((model.path for model in shipped_models() if model.name == wanted), None)
