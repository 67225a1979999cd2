"""Spoils model files, to fuzz the reader: edits of bytes, of a FlatBuffer's offsets and lengths, cuts and splices."""

from __future__ import annotations

import random
import struct

from tinydeploy.tflite import parse_model

EXTREMES = (
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFE,
    0xFFFFFFFF,
)

KINDS = ("bit", "byte", "word16", "word32", "nudge32", "inflate", "copy", "cut", "truncate", "insert", "splice", "zero")


class Victim:
    """A sound file and where in it the structure lies, apart from the constants' bytes."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.data = data
        self.ranges = _structure(data)
        self.structure = sum(end - start for start, end in self.ranges)

    def position(self, rng: random.Random) -> int:
        """A byte of the file: nine times of ten one of the structure, where an edit can matter."""
        if not self.structure or rng.random() < 0.1:
            return rng.randrange(len(self.data))
        nth = rng.randrange(self.structure)
        for start, end in self.ranges:
            if nth < end - start:
                return start + nth
            nth -= end - start
        raise AssertionError("the ranges do not add up")


def _structure(data: bytes) -> list[tuple[int, int]]:
    """The byte ranges that are no constant's data."""
    holes = []
    for constant in {t.data for t in parse_model(data).tensors if t.data and len(t.data) > 16}:
        start = data.find(constant)
        assert start >= 0
        holes.append((start, start + len(constant)))
    ranges, at = [], 0
    for start, end in sorted(holes):
        if start > at:
            ranges.append((at, start))
        at = max(at, end)
    if at < len(data):
        ranges.append((at, len(data)))
    return ranges


def mutate(victim: Victim, other: Victim, rng: random.Random) -> bytes:
    """The victim's bytes after one to six edits; `other` is what splices take bytes from."""
    data = bytearray(victim.data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        if len(data) < 8:
            break
        edit(data, rng.choice(KINDS), min(victim.position(rng), len(data) - 1), other.data, rng)
    return bytes(data)


def edit(data: bytearray, kind: str, at: int, other: bytes, rng: random.Random) -> None:
    """One edit of `data` at byte `at`."""
    aligned = min(at & ~3, (len(data) - 4) & ~3)
    if kind == "bit":
        data[at] ^= 1 << rng.randrange(8)
    elif kind == "byte":
        data[at] = rng.randrange(256)
    elif kind == "zero":
        count = rng.randrange(1, 64)
        data[at : at + count] = bytes(len(data[at : at + count]))
    elif kind == "word16":
        struct.pack_into("<H", data, aligned + rng.choice((0, 2)), rng.choice(EXTREMES) & 0xFFFF)
    elif kind == "word32":
        struct.pack_into("<I", data, aligned, rng.choice((*EXTREMES, len(data), len(data) - aligned)))
    elif kind == "nudge32":
        old = struct.unpack_from("<I", data, aligned)[0]
        struct.pack_into("<I", data, aligned, (old + rng.choice((-64, -8, -4, -1, 1, 4, 8, 64))) & 0xFFFFFFFF)
    elif kind == "inflate":
        # the next small number is likely to be an offset or a length
        for position in range(aligned, min(aligned + 64, len(data) - 3), 4):
            old = struct.unpack_from("<I", data, position)[0]
            if 0 < old < len(data):
                struct.pack_into("<I", data, position, (old * rng.choice((2, 16, 1000, 1 << 20))) & 0xFFFFFFFF)
                break
    elif kind == "copy":
        # one offset or number in the place of another: tables that share their parts
        source = rng.randrange(0, len(data) - 3) & ~3
        data[aligned : aligned + 4] = data[source : source + 4]
    elif kind == "cut":
        del data[at : at + rng.randrange(1, 64)]
    elif kind == "truncate":
        del data[at:]
    elif kind == "insert":
        data[at:at] = rng.randbytes(rng.randrange(1, 16))
    elif kind == "splice":
        start, count = rng.randrange(len(other)), rng.randrange(1, 256)
        data[at : at + count] = other[start : start + count]
    else:
        raise ValueError(kind)
