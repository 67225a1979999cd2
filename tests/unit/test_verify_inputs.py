"""Inputs from a seed and from files: the same everywhere, hitting the whole range, and refusing what does not fit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.support.verify_models import add_then_relu, float32, int8, quantize
from tinydeploy.errors import UsageError
from tinydeploy.ir import DType, Model, Quantization, Tensor
from tinydeploy.verify import load_inputs, random_inputs


def model_of(*inputs: Tensor) -> Model:
    return Model("m", inputs, (), tuple(t.index for t in inputs), ())


TWO = model_of(int8(0, "image", (1, 2, 3)), float32(1, "gain=x", (2,)))


def test_random_int8_is_pcg64s_raw_stream() -> None:
    """PCG64's stream is promised never to change; the first words of seed 0 are in NumPy's own tests of seeding."""
    (sample,) = random_inputs(model_of(int8(0, "x", (1, 2, 8))), seed=0, samples=1)
    words = [int(word) for word in np.random.PCG64(0).random_raw(2)]
    assert sample[0].astype(np.uint8).tobytes() == b"".join(word.to_bytes(8, "little") for word in words)


def test_random_int8_hits_every_value_and_differs_by_sample_and_seed() -> None:
    model = model_of(int8(0, "x", (1, 8192)))
    first, second = random_inputs(model, seed=7, samples=2)
    assert set(first[0].ravel().tolist()) == set(range(-128, 128))
    assert not np.array_equal(first[0], second[0])
    again = random_inputs(model, seed=7, samples=1)[0]
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], random_inputs(model, seed=8, samples=1)[0][0])
    counts = np.bincount(first[0].ravel().astype(np.int16) + 128, minlength=256)
    assert counts.max() < 4 * counts.mean()


def test_random_int8_of_seed_0_does_not_change() -> None:
    """The digest is of PCG64's first 4096 bytes; outputs published with a seed stay reproducible."""
    (sample,) = random_inputs(model_of(int8(0, "x", (4096,))), seed=0, samples=1)
    raw = np.random.PCG64(0).random_raw(512).astype("<u8").tobytes()
    assert hashlib.sha256(sample[0].tobytes()).digest() == hashlib.sha256(raw).digest()


@pytest.mark.parametrize(("scale", "zero_point"), [(0.5, 0), (0.0235, -128), (3.0, 127)])
def test_random_floats_cover_the_int8_range_of_the_quantize_that_reads_them(scale: float, zero_point: int) -> None:
    model, _ = quantize(scale, zero_point)
    (sample,) = random_inputs(model, seed=3, samples=1)
    x = sample[0]
    assert x.dtype == np.float32
    places = x.astype(np.float64) / scale + zero_point
    rounded = set(np.clip(np.round(places), -128, 127).astype(int).ravel().tolist())
    assert rounded == set(range(-128, 128))
    assert places.min() < -128.5  # beyond the range, but not far
    assert places.max() > 127.5
    assert places.min() > -128 - 17
    assert places.max() < 127 + 17
    halves = np.abs(places - np.floor(places) - 0.5) < 1e-3
    assert halves.mean() > 0.12  # one in eight on the border between two values


def test_random_floats_without_a_quantize() -> None:
    (sample,) = random_inputs(model_of(float32(0, "x", (1000,))), seed=0, samples=1)
    assert sample[0].min() < -0.9
    assert sample[0].max() > 0.9
    assert np.abs(sample[0]).max() <= 1


def test_no_inputs_are_made_up_for_indices() -> None:
    with pytest.raises(UsageError, match="'ids' of type int32") as caught:
        random_inputs(model_of(Tensor(0, "ids", (2,), DType.INT32)), seed=0, samples=1)
    assert "--input" in str(caught.value.hint)


@pytest.mark.parametrize(("seed", "samples"), [(-1, 1), (0, 0), (0, -3)])
def test_seed_and_samples_out_of_range(seed: int, samples: int) -> None:
    with pytest.raises(UsageError):
        random_inputs(TWO, seed=seed, samples=samples)


def image(tmp_path: Path, samples: int | None = None) -> tuple[Path, np.ndarray]:
    shape = (1, 2, 3) if samples is None else (samples, 1, 2, 3)
    array = np.arange(np.prod(shape), dtype=np.int8).reshape(shape)
    path = tmp_path / "image.npy"
    np.save(path, array)
    return path, array


def gain(tmp_path: Path, samples: int = 1) -> Path:
    path = tmp_path / "gain.bin"
    path.write_bytes(np.arange(2 * samples, dtype="<f4").tobytes())
    return path


def test_npy_and_raw_in_order(tmp_path: Path) -> None:
    path, array = image(tmp_path)
    (sample,) = load_inputs(TWO, [str(path), str(gain(tmp_path))])
    assert np.array_equal(sample[0], array)
    assert sample[1].tolist() == [0.0, 1.0]
    assert sample[1].dtype == np.float32


def test_by_name_even_with_an_equals_sign_in_it(tmp_path: Path) -> None:
    path, array = image(tmp_path)
    for specs in ([f"gain=x={gain(tmp_path)}", str(path)], [f"gain=x={gain(tmp_path)}", f"image={path}"]):
        (sample,) = load_inputs(TWO, specs)
        assert np.array_equal(sample[0], array)
        assert sample[1].tolist() == [0.0, 1.0]


def test_a_leading_axis_means_samples(tmp_path: Path) -> None:
    path, array = image(tmp_path, samples=3)
    samples = load_inputs(TWO, [str(path), str(gain(tmp_path, 3))])
    assert len(samples) == 3
    assert np.array_equal(samples[2][0], array[2])
    assert samples[2][1].tolist() == [4.0, 5.0]


def test_byte_order_and_memory_order_of_npy_do_not_matter(tmp_path: Path) -> None:
    array = np.array([[1.5, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=">f4", order="F")
    np.save(tmp_path / "x.npy", array)
    (sample,) = load_inputs(model_of(float32(0, "x", (2, 3))), [str(tmp_path / "x.npy")])
    assert sample[0].tolist() == [[1.5, 2.0, 3.0], [4.0, 5.0, 6.0]]
    assert sample[0].flags.c_contiguous
    assert sample[0].dtype == np.dtype("<f4")


def test_a_path_with_an_equals_sign_wins_over_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("image=x.bin").write_bytes(bytes(range(6)))
    (sample,) = load_inputs(model_of(int8(0, "image", (1, 2, 3))), ["image=x.bin"])
    assert sample[0].ravel().tolist() == [0, 1, 2, 3, 4, 5]


def npy(array: np.ndarray) -> bytes:
    import io

    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


HUGE = npy(np.zeros((1, 2, 3), dtype=np.int8)).replace(b"(1, 2, 3)", b"(9" + b"9" * 7 + b",)")
GOOD = "input1"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.npy", npy(np.zeros((1, 2, 3), dtype=np.int16)), r"expected 'image' int8\[1, 2, 3\].*got int16\[1, 2, 3\]"),
        ("x.npy", npy(np.zeros((1, 3, 2), dtype=np.int8)), r"got int8\[1, 3, 2\]"),
        ("x.npy", npy(np.zeros((2, 3), dtype=np.int8)), r"got int8\[2, 3\]"),
        ("x.npy", npy(np.zeros((0, 1, 2, 3), dtype=np.int8)), "not a sound .npy|got int8"),
        ("x.npy", npy(np.zeros((1, 2, 3), dtype=np.uint8)), "got uint8"),
        ("x.npy", b"", "not a sound .npy"),
        ("x.npy", b"hello", "not a sound .npy"),
        ("x.npy", npy(np.zeros((1, 2, 3), dtype=np.int8))[:-1], "not a sound .npy"),
        ("x.npy", HUGE, "not a sound .npy"),
        ("x.npy", b"PK\x03\x04" + bytes(60), "not a sound .npy"),
        ("x.bin", bytes(7), r"expected 'image' int8\[1, 2, 3\] \(6 bytes\), got 7 bytes"),
        ("x.bin", b"", "got 0 bytes"),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError, match=expected) as caught:
        load_inputs(model_of(int8(0, "image", (1, 2, 3))), [str(path)])
    assert "\n" not in caught.value.message


def test_an_object_array_is_not_unpickled(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (Path(tmp_path / "touched"),)  # type: ignore[return-value]

    path = tmp_path / "x.npy"
    np.save(path, np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(UsageError, match=r"not a sound \.npy"):
        load_inputs(model_of(int8(0, "image", (1,))), [str(path)])
    assert not (tmp_path / "touched").exists()


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.npy", tmp_path):
        with pytest.raises(UsageError, match="cannot read the input"):
            load_inputs(model_of(int8(0, "image", (1,))), [str(path)])


@pytest.mark.parametrize(
    ("specs", "message", "hint"),
    [
        (["imge=a.npy", "b"], "no input named 'imge'", "did you mean 'image'?"),
        (["zzzzzzzz=a.npy", "b"], "no input named 'zzzzzzzz'", "'gain=x'"),
        (["a.npy"], r"2 input\(s\), 1 given", "'gain=x' float32[2]"),
        (["a", "b", "c"], r"2 input\(s\), 3 given", "'image' int8[1, 2, 3]"),
        (["image=a", "image=b"], "given twice", None),
    ],
)
def test_specs_that_do_not_fit(specs: Sequence[str], message: str, hint: str | None) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        load_inputs(TWO, specs)
    assert hint is None or hint in str(caught.value.hint)


def test_inputs_must_hold_the_same_number_of_samples(tmp_path: Path) -> None:
    path, _ = image(tmp_path, samples=3)
    with pytest.raises(UsageError, match="different numbers of samples: 'image' 3, 'gain=x' 2"):
        load_inputs(TWO, [str(path), str(gain(tmp_path, 2))])


def test_the_model_of_the_reference_tests_takes_files_too(tmp_path: Path) -> None:
    model, _ = add_then_relu()
    for name in "ab":
        (tmp_path / name).write_bytes(bytes([1, 2, 3, 4] * 2))
    assert len(load_inputs(model, [f"b={tmp_path / 'b'}", f"a={tmp_path / 'a'}"])) == 2


def test_real_numbers_for_a_quantized_input_are_told_how_to_become_it(tmp_path: Path) -> None:
    tensor = Tensor(0, "x", (2,), DType.INT8, Quantization((0.25,), (-3,)))
    reals = np.array([1.0, 1000.0], np.float32)
    np.save(tmp_path / "x.npy", reals)
    with pytest.raises(UsageError) as caught:
        load_inputs(model_of(tensor), [str(tmp_path / "x.npy")])
    recipe = str(caught.value.hint).removeprefix("quantize it: ")
    quantized = eval(recipe, {"np": np, "x": reals})
    assert (quantized.dtype, quantized.tolist()) == (np.int8, [1, 127])  # 1 / 0.25 - 3, and the end of the range
