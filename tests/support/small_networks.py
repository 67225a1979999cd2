"""Folders of small random networks, whose plans take a moment each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.random_networks import random_network

_MOST_BYTES = 20_000


def write_networks(folder: Path, count: int) -> list[Path]:
    """`count` different models of one to four operators, called m0000.tflite and so on."""
    folder.mkdir(exist_ok=True)
    paths: list[Path] = []
    seed = 0
    while len(paths) < count:
        network = random_network(np.random.default_rng(seed), 1 + seed % 4)
        seed += 1
        if len(network.data) <= _MOST_BYTES:
            paths.append(folder / f"m{len(paths):04}.tflite")
            paths[-1].write_bytes(network.data)
    return paths
