"""Calibration data: every form they may have, and what is refused or told because ranges could not be right."""

from __future__ import annotations

import io
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinydeploy.convert.data import array_files, images
from tinydeploy.convert.data.calibration import load_calibration
from tinydeploy.convert.data.columns import spread
from tinydeploy.convert.types import Calibration, InputSpec, Pixels
from tinydeploy.errors import UsageError

IMAGE = InputSpec("image", (4, 4, 1), "float32")
AUX = InputSpec("aux", (3,), "float32")


def data(*shape: int, seed: int = 0) -> Any:
    """Values of [0, 1) without repetitions."""
    return np.random.default_rng(seed).random(shape, np.float32)


def load(spec: Path | str, *wanted: InputSpec, most: int = 256, pixels: Pixels | None = None) -> Calibration:
    return load_calibration(str(spec), wanted or (IMAGE,), most=most, pixels=pixels)


def refused(spec: Path | str, *wanted: InputSpec, **given: Any) -> UsageError:
    with pytest.raises(UsageError) as caught:
        load(spec, *wanted, **given)
    assert "\n" not in caught.value.message
    return caught.value


def saved(folder: Path, **arrays: Any) -> Path:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return path


# ---------------------------------------------------------------------------------------------------- array files


@pytest.mark.parametrize("name", ["image", "x", "x_train", "inputs", "whatever"])
def test_npz_by_the_names_that_its_only_input_may_have(tmp_path: Path, name: str) -> None:
    values = data(60, 4, 4, 1)
    found = load(saved(tmp_path, **{name: values, "y": np.arange(60)}))
    assert found.available == 60 and len(found.samples) == 60 and found.warnings == ()
    assert all(np.array_equal(sample["image"], values[i : i + 1]) for i, sample in enumerate(found.samples))
    assert found.samples[0]["image"].dtype == np.float32


def test_npz_with_several_arrays_that_could_be_the_input(tmp_path: Path) -> None:
    error = refused(saved(tmp_path, first=data(9, 4, 4, 1), second=data(9, 4, 4, 1)))
    assert "holds 'first', 'second': which is the input is not clear" in error.message
    assert error.hint is not None and "'image'" in error.hint and "'x_train'" in error.hint


def test_npz_of_several_inputs_by_name_or_in_order(tmp_path: Path) -> None:
    images_, others = data(50, 4, 4, 1), data(50, 3, seed=1)
    by_name = load(saved(tmp_path, aux=others, image=images_), IMAGE, AUX)
    np.savez(tmp_path / "order.npz", images_, others)
    by_order = load(tmp_path / "order.npz", IMAGE, AUX)
    assert by_name.sha256 == by_order.sha256
    assert np.array_equal(by_name.samples[7]["aux"], others[7:8])
    error = refused(saved(tmp_path, image=images_, other=others), IMAGE, AUX)
    assert "the model has the inputs 'image', 'aux'" in error.message
    assert error.hint is not None and "arr_0" in error.hint


def test_npz_of_several_inputs_with_different_numbers_of_samples(tmp_path: Path) -> None:
    error = refused(saved(tmp_path, image=data(50, 4, 4, 1), aux=data(49, 3)), IMAGE, AUX)
    assert "different numbers of samples: 'image' 50, 'aux' 49" in error.message


def test_a_folder_of_npy_files_in_the_order_of_their_names_samples_and_stacks(tmp_path: Path) -> None:
    values = data(60, 4, 4, 1)
    np.save(tmp_path / "b.npy", values[1:])
    np.save(tmp_path / "a.npy", values[0])
    found = load(tmp_path)
    assert found.available == 60
    assert np.array_equal(np.concatenate([sample["image"] for sample in found.samples]), values)


@pytest.mark.parametrize("shape", [(60, 4, 4, 1), (60, 1, 4, 4, 1), (60, 4, 4)])
def test_shapes_that_fit(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "x.npy", data(*shape))
    found = load(tmp_path / "x.npy")
    assert found.samples[0]["image"].shape == (1, 4, 4, 1)
    assert [("a last axis of 1 was added" in note) for note in found.notes] == [True] * (len(shape) == 3)


@pytest.mark.parametrize("shape", [(60, 16), (60, 4, 4, 3), (60, 5, 4, 1), (60,), ()])
def test_a_wrong_shape_tells_expected_and_found(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "x.npy", data(*shape))
    message = refused(tmp_path / "x.npy").message
    assert "input 'image' expects [samples, 4, 4, 1]" in message and f"found {list(shape)} of float32" in message


def test_channels_first_are_told_how_to_become_channels_last(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", data(60, 3, 4, 5))
    hint = refused(tmp_path / "x.npy", InputSpec("rgb", (4, 5, 3), "float32")).hint
    assert hint is not None and "np.moveaxis(x, -3, -1)" in hint


def test_axes_in_the_order_of_the_source_are_turned(tmp_path: Path) -> None:
    values = data(60, 3, 4, 5)  # as ONNX has them: channels, height, width
    np.save(tmp_path / "x.npy", values)
    turned = load(tmp_path / "x.npy", InputSpec("rgb", (4, 5, 3), "float32", source_axes=(1, 2, 0)))
    assert turned.samples[2]["rgb"][0, 3, 1, 2] == values[2, 2, 3, 1]
    cube = InputSpec("cube", (3, 3, 3), "float32", source_axes=(1, 2, 0))  # both orders fit: the source's counts
    np.save(tmp_path / "cube.npy", data(60, 3, 3, 3))
    assert load(tmp_path / "cube.npy", cube).samples[0]["cube"][0, 1, 2, 0] == data(60, 3, 3, 3)[0, 0, 1, 2]


def test_a_file_that_feeds_one_input_of_two(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", data(60, 3))
    assert "can feed one input, and the model has 2: 'image', 'aux'" in refused(tmp_path / "x.npy", IMAGE, AUX).message


# ---------------------------------------------------------------------------------------------------- hostile files


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_pickles_are_not_loaded(tmp_path: Path, name: str) -> None:
    objects = np.array([{}, None], dtype=object)
    if name == "x.npy":
        np.save(tmp_path / name, objects, allow_pickle=True)
    else:
        np.savez(tmp_path / name, x=objects)
    assert "object" in refused(tmp_path / name).message.lower()


@pytest.mark.parametrize("values", [np.array(["a", "b"]), np.ones((60, 4, 4, 1), np.complex64)])
def test_what_is_no_number_is_refused(tmp_path: Path, values: Any) -> None:
    assert "not numbers" in refused(saved(tmp_path, x=values)).message


def header(shape: tuple[int, ...], body: bytes = b"") -> bytes:
    """A .npy file that says this shape, whatever it holds."""
    written = io.BytesIO()
    np.lib.format.write_array_header_1_0(written, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return written.getvalue() + body


def archive(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.npy", content)
    return path


def test_a_huge_shape_in_a_small_npz_is_refused_by_its_header(tmp_path: Path) -> None:
    message = refused(archive(tmp_path / "x.npz", header((1 << 40, 4, 4, 1), bytes(64)))).message
    assert "unpacks to" in message and "is refused" in message


def test_a_huge_shape_in_a_small_npy_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(header((1 << 40, 4, 4, 1), bytes(64)))
    assert "is not a sound .npy file" in refused(tmp_path / "x.npy").message


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_files, "MAX_ARRAY_BYTES", 1 << 20)
    path = archive(tmp_path / "x.npz", header((1 << 15, 4, 4, 1), bytes(2 << 20)))
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(np.lib.format, "read_array", None)  # whoever unpacks it fails otherwise than is asked for
    assert "'x' says that it unpacks to 2.00 MiB; more than 1.00 MiB is refused" in refused(path).message


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00\xff\xff{", header((60, 4, 4, 1), bytes(100))], ids=range(4)
)
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    (tmp_path / "y.npz").write_bytes(content)
    archive(tmp_path / "z.npz", content)
    for name in ("x.npy", "y.npz", "z.npz"):
        message = refused(tmp_path / name).message
        assert "is not a sound" in message or "is damaged" in message


# ---------------------------------------------------------------------------------------------------- cannot be right


def test_too_few_samples(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", data(4, 4, 1))
    np.save(tmp_path / "none.npy", data(0, 4, 4, 1))
    one, none = refused(tmp_path / "one.npy"), refused(tmp_path / "none.npy")
    assert "holds one sample" in one.message and "holds no samples" in none.message
    assert one.hint == none.hint and one.hint is not None and "100 to 500" in one.hint
    assert "too few" in refused(tmp_path / "one.npy", most=1).message


@pytest.mark.parametrize("value, told", [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
def test_what_is_not_finite_is_named(tmp_path: Path, value: float, told: str) -> None:
    values = data(60, 4, 4, 1)
    values[17, 2, 3, 0] = value
    assert f"input 'image': sample 17 holds {told} (1 of 60 samples do)" in refused(saved(tmp_path, x=values)).message


def test_doubles_beyond_single_precision_are_infinite(tmp_path: Path) -> None:
    values = data(60, 4, 4, 1).astype(np.float64)
    values[3] = 1e300
    assert "sample 3 holds infinity" in refused(saved(tmp_path, x=values)).message


def test_constant_data(tmp_path: Path) -> None:
    repeated = np.repeat(data(1, 4, 4, 1), 60, axis=0)
    assert "all 60 samples are the same" in refused(saved(tmp_path, x=repeated)).message
    message = refused(saved(tmp_path, image=data(60, 4, 4, 1), aux=np.full((60, 3), 0.5)), IMAGE, AUX).message
    assert "every value of input 'aux' is 0.5" in message


def test_fractions_for_an_integer_input(tmp_path: Path) -> None:
    tokens = InputSpec("tokens", (3,), "int32")
    assert "not whole numbers" in refused(saved(tmp_path, x=data(60, 3)), tokens).message
    whole = np.arange(180.0).reshape(60, 3)
    assert load(saved(tmp_path, x=whole), tokens).samples[1]["tokens"].tolist() == [[3, 4, 5]]


# ---------------------------------------------------------------------------------------------------- suspicious


def warned(folder: Path, values: Any, *wanted: InputSpec, name: str = "x") -> str:
    return "\n".join(load(saved(folder, **{name: values}), *wanted).warnings)


def test_few_samples_are_told(tmp_path: Path) -> None:
    assert "49 samples are few" in warned(tmp_path, data(49, 4, 4, 1))
    assert warned(tmp_path, data(50, 4, 4, 1)) == ""


def test_integers_for_a_float_input_are_told(tmp_path: Path) -> None:
    values = (255 * data(60, 4, 4, 1)).astype(np.uint8)
    assert "is float, and the data are uint8" in warned(tmp_path, values)
    assert "values up to 25" in warned(tmp_path, values.astype(np.float32))
    assert warned(tmp_path, values.astype(np.float32) / 255) == ""
    for given in (values, values.astype(np.float32)):
        path = str(saved(tmp_path, x=given))
        assert load_calibration(path, (IMAGE,), most=256, scaled={"image"}).warnings == ()


def test_uint8_data_become_what_pixels_says(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 1), np.uint8)
    values[0, 0, 0, 0], values[0, 0, 1, 0], values[0, 0, 2, 0] = 0, 255, 51
    found = load(saved(tmp_path, x=values), pixels=Pixels(-1, 1))
    assert found.samples[0]["image"][0, 0, :3, 0].tolist() == pytest.approx([-1, 1, -0.6])
    assert found.notes and all("as --pixels says" in note for note in found.notes)


def test_features_that_never_change_are_named(tmp_path: Path) -> None:
    values = data(60, 8)
    values[:, (2, 5)] = 0.25
    features = InputSpec("features", (8,), "float32")
    assert "2 of 8 features never change: 2, 5" in warned(tmp_path, values, features)


def test_repetitions_are_counted(tmp_path: Path) -> None:
    values = data(60, 4, 4, 1)
    values[10:13] = values[0]
    assert "3 of 60 samples are repetitions" in warned(tmp_path, values)


def test_an_outlier_is_told(tmp_path: Path) -> None:
    values = data(100, 4, 4, 1)
    values[9, 0, 0, 0] = 500
    assert "the largest magnitude, 500, is 50" in warned(tmp_path, values)


def test_an_array_that_is_named_as_labels_is_told(tmp_path: Path) -> None:
    values = data(60, 3)
    assert "its name says labels" in warned(tmp_path, values, AUX, name="y")


# ---------------------------------------------------------------------------------------------------- choice and hash


def test_the_choice_is_even_and_the_same_each_time(tmp_path: Path) -> None:
    assert spread(3, 5) == (0, 1, 2)
    assert spread(10, 5) == (1, 3, 5, 7, 9)
    assert spread(9, 2) == (2, 6)
    values = data(1000, 3)
    path = saved(tmp_path, x=values)
    first, second = load(path, AUX, most=100), load(path, AUX, most=100)
    assert first.sha256 == second.sha256 and first.available == 1000
    assert np.array_equal(np.concatenate([s["aux"] for s in first.samples]), values[5::10])


def test_the_hash_is_of_names_types_shapes_and_bytes(tmp_path: Path) -> None:
    values = data(60, 3)
    found = load(saved(tmp_path, x=values.astype(">f4")), AUX)
    assert found.sha256 == sha256(b"3 aux <f4 [60, 3] " + values.astype("<f4").tobytes()).hexdigest()


# ---------------------------------------------------------------------------------------------------- functions

MODULE = """
import numpy as np
values = np.arange(60 * 3, dtype=np.float32).reshape(60, 3)
def array(): return values
def pair(): return values, np.arange(60)
def table(): return {"aux": values, "y": np.arange(60)}
def one_by_one():
    for row in values: yield row
def as_converters_want():
    for row in values: yield [row[np.newaxis]]
def batches():
    for start in range(0, 60, 8): yield values[start:start + 8], np.arange(60)[start:start + 8]
def lists(): return [row.tolist() for row in values]
class Tensor:
    def __init__(self, array): self.array = array
    def numpy(self): return self.array
def tensors(): return [Tensor(row) for row in values]
def endless():
    number = 0
    while True:
        number += 1
        yield values[0] + number
def broken(): raise KeyError("no\\nsuch column")
def breaks_later():
    yield values[0]
    raise RuntimeError("the disk is gone")
def text(): return "data"
def quits():
    import sys
    sys.exit("not today")
def strays():
    import os, sys
    os.makedirs("below", exist_ok=True)
    os.chdir("below")
    print("rows:", len(values))
    assert len(sys.argv) == 1
    for row in values:
        assert os.path.basename(os.getcwd()) == "below"
        yield row
def three(): return values, values, values
number = 5
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "given_data.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield "given_data"
    sys.modules.pop("given_data", None)


@pytest.mark.parametrize(
    "function",
    ["array", "pair", "table", "one_by_one", "as_converters_want", "batches", "lists", "tensors"],
)
def test_functions_give_data_in_many_ways(module: str, function: str) -> None:
    found = load(f"{module}:{function}", AUX)
    values = np.concatenate([sample["aux"] for sample in found.samples])
    assert np.array_equal(values, np.arange(180, dtype=np.float32).reshape(60, 3))


def test_what_never_ends_is_not_waited_for(module: str) -> None:
    found = load(f"{module}:endless", AUX)
    assert found.available == 10_000 and any("no more was taken" in note for note in found.notes)


def test_a_functions_ways_stay_its_own(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tinydeploy", "export", "net.keras"])
    assert load(f"{module}:strays", AUX).available == 60
    assert Path.cwd() == tmp_path and sys.argv[1:] == ["export", "net.keras"]
    assert capsys.readouterr() == ("", "rows: 60\n")


@pytest.mark.parametrize(
    "function, told",
    [
        ("broken", "failed with KeyError: 'no"),
        ("breaks_later", "failed with RuntimeError: the disk is gone"),
        ("quits", "failed with SystemExit: not today"),
        ("text", "gave str, not data"),
        ("three", "gave 3 arrays at once, and the model has 1 input(s)"),
        ("missing", "has no function missing"),
        ("number", "has no function number"),
    ],
)
def test_functions_that_go_wrong(module: str, function: str, told: str) -> None:
    assert told in refused(f"{module}:{function}", AUX).message


def test_names_that_are_nothing(tmp_path: Path) -> None:
    assert "there is no module no_such_module_here" in refused("no_such_module_here:data").message
    assert "is not there" in refused(tmp_path / "none.npz").message
    assert "'' is not there" in refused("").message  # a shell's variable that is not set, and not the current folder
    (tmp_path / "data.csv").write_text("1,2")
    assert "none of what data can be" in refused(tmp_path / "data.csv").message
    (tmp_path / "empty").mkdir()
    assert "holds neither .npy files nor images" in refused(tmp_path / "empty").message


# ---------------------------------------------------------------------------------------------------- images

UNIT = Pixels(0, 1)


@pytest.fixture
def pillow() -> Any:
    return pytest.importorskip("PIL.Image", reason="images are read by pillow: pip install 'tinydeploy[export]'")


def draw(pillow: Any, path: Path, *shape: int, seed: int = 0) -> Any:
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    pillow.fromarray(pixels).save(path)
    return pixels


def test_images_in_folders_by_name(tmp_path: Path, pillow: Any) -> None:
    second = draw(pillow, tmp_path / "b" / "0.png", 4, 4, seed=1)
    first = draw(pillow, tmp_path / "a" / "1.bmp", 4, 4)
    (tmp_path / "a" / "notes.txt").write_text("no image")
    found = load(tmp_path, pixels=UNIT)
    assert found.samples[0]["image"][0, ..., 0] == pytest.approx(first / 255)
    assert found.samples[1]["image"][0, ..., 0] == pytest.approx(second / 255)


def test_images_become_grey_or_rgb_and_are_resized(tmp_path: Path, pillow: Any) -> None:
    for number in range(2):
        draw(pillow, tmp_path / f"{number}.png", 9, 7, 3, seed=number)
    grey = load(tmp_path, pixels=UNIT)
    colour = load(tmp_path, InputSpec("rgb", (9, 7, 3), "float32"), pixels=UNIT)
    assert grey.samples[0]["image"].shape == (1, 4, 4, 1)
    assert any("resized to 4×4 by Pillow's BILINEAR" in note for note in grey.notes)
    assert not any("resized" in note for note in colour.notes)


def test_images_need_pixels_and_an_input_that_is_an_image(tmp_path: Path, pillow: Any) -> None:
    draw(pillow, tmp_path / "0.png", 4, 4)
    hint = refused(tmp_path).hint
    assert hint is not None and "--pixels 0..1" in hint and "--pixels -1..1" in hint and "--pixels 0..255" in hint
    assert "input 'aux' of shape [3] is none" in refused(tmp_path, AUX, pixels=UNIT).message


def huge_png(width: int, height: int) -> bytes:
    """A PNG whose header alone is there, and says this size."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    end = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head)) + end


@pytest.mark.parametrize("extent", [10_000, 60_000])
def test_an_image_that_says_it_is_huge_is_not_decoded(tmp_path: Path, pillow: Any, extent: int) -> None:
    assert extent**2 > images.MAX_PIXELS
    (tmp_path / "0.png").write_bytes(huge_png(extent, extent))
    assert "0.png" in refused(tmp_path, pixels=UNIT).message


def test_what_systems_leave_among_images_is_passed_over(tmp_path: Path, pillow: Any) -> None:
    for number in range(3):
        draw(pillow, tmp_path / f"{number}.png", 4, 4, seed=number)
    for name in (".DS_Store", "._0.png", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"\0\x05\x16\x07 of another system")
    assert load(tmp_path, pixels=UNIT).available == 3


def test_images_that_cannot_be_read_are_named(tmp_path: Path, pillow: Any) -> None:
    draw(pillow, tmp_path / "0.png", 4, 4)
    (tmp_path / "1.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")  # decoded by a program
    assert "1.png cannot be read as an image" in refused(tmp_path, pixels=UNIT).message
    (tmp_path / "1.png").write_bytes((tmp_path / "0.png").read_bytes()[:45])
    assert "1.png cannot be read as an image" in refused(tmp_path, pixels=UNIT).message
    pillow.fromarray(np.arange(16, dtype=np.uint16).reshape(4, 4) * 4096).save(tmp_path / "1.png")
    assert "1.png has pixels of more than 8 bits" in refused(tmp_path, pixels=UNIT).message
