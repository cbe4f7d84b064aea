"""Crops that DALI makes, beside OpenCV's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from emorec_rt.bundle import open_bundle
from emorec_rt.bundle.manifest import Interpolation
from emorec_rt.errors import FaceNotFoundError
from emorec_rt.faces import Box, FaceCropper
from emorec_rt.faces.crop import crop_square, whole_pixels
from emorec_rt.faces.cropped import CroppedFrame, cropped_items
from emorec_rt.faces.dali_cropper import DaliCropper
from emorec_rt.machine.device_array import DeviceArray
from emorec_rt.media import Frame, MissingFrame, Samples, open_media
from emorec_rt.media.dali.pipelines import CropPipeline
from emorec_rt.media.dali.reader import DeviceFrame, open_dali
from emorec_rt.media.sources import SourceOptions
from emorec_rt.recognizer.options import Options
from emorec_rt.recognizer.recognizer import Recognizer
from emorec_rt.windows.prediction import Prediction

from .conftest import DEMO, FRAMES, Make

pytestmark = pytest.mark.usefixtures("dali")

SAME_SCALING: dict[Interpolation, float] = {"bilinear": 1.0, "bicubic": 1.5}
"""Mean difference of a crop, of 255: OpenCV averages areas where DALI has a triangle; DALI's cubic is
sharper, and it sees what lies around the square."""

SAME_CROP = 3.0
WORST_CROP = 9.0
"""Mean over a clip, and of its worst frame; of
decoded faces, the decoders' difference in colours comes on top, and boxes half a pixel apart."""


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    """Smooth colours with a few edges."""
    noise = np.random.default_rng(0).integers(0, 255, (24, 32, 3)).astype(np.uint8)
    pixels = cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC)
    pixels[60:120, 80:200] = (200, 60, 30)
    return np.asarray(pixels, np.uint8)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    "square",
    [
        Box(50, 50, 100, 100),
        Box(96, 10, 224, 224),
        Box(-30, -20, 150, 150),
        Box(250, 180, 120, 120),
        Box(-40, -80, 400, 400),
        Box(-200, -200, 640, 640),
        Box(10, 10, 20, 20),
    ],
)
def test_squares_inside_and_beyond_the_picture(
    picture: NDArray[np.uint8], square: Box, interpolation: Interpolation
) -> None:
    pipeline = CropPipeline("cpu", 224, interpolation)
    crops = pipeline.crop([picture, picture[::-1].copy()], [whole_pixels(square, 240, 320)] * 2)
    for pixels, crop in zip((picture, picture[::-1]), np.array(crops.as_tensor()), strict=True):
        wanted = crop_square(pixels, square, 224, interpolation)
        assert crop.shape == wanted.shape
        assert np.abs(crop.astype(int) - wanted).mean() <= SAME_SCALING[interpolation]


@pytest.mark.parametrize(("name", "codec"), [("a.webm", "libvpx-vp9"), ("a.mp4", "mpeg4")])
def test_a_clip_from_file_to_crops(make_clip: Make, name: str, codec: str) -> None:
    path = make_clip(name, codec, sound="libopus" if name == "a.webm" else "aac")
    with open_dali(path) as source, open_media(path) as reference:
        got = list(cropped_items(source, DaliCropper(FaceCropper())))
        wanted = list(cropped_items(reference, FaceCropper()))
    mine = [item for item in got if isinstance(item, CroppedFrame)]
    theirs = [item for item in wanted if isinstance(item, CroppedFrame)]
    assert [frame.index for frame in mine] == list(range(FRAMES))
    assert [frame.crop.found for frame in mine] == [frame.crop.found for frame in theirs]
    assert sum(frame.crop.found for frame in mine) > FRAMES / 2
    differences = []
    for ours, other in zip(mine, theirs, strict=True):
        assert ours.pts_seconds == pytest.approx(other.pts_seconds, abs=1e-3)
        if ours.crop.pixels is not None and other.crop.pixels is not None:
            assert ours.crop.pixels.dtype == np.uint8
            differences.append(np.abs(ours.crop.pixels.astype(int) - other.crop.pixels).mean())
    assert np.mean(differences) < SAME_CROP
    assert max(differences) < WORST_CROP
    assert sum(isinstance(item, Samples) for item in got) == sum(isinstance(i, Samples) for i in wanted)


def test_order_is_kept_around_frames_without_a_face(picture: NDArray[np.uint8]) -> None:
    sound = Samples(0.0, np.zeros(10, np.float32))
    items = [Frame(0, 0.0, picture), sound, MissingFrame(1, 0.04), Frame(2, 0.08, picture)]
    got = list(DaliCropper(FaceCropper("off")).crops(items))
    assert got[1] is sound
    assert [item.index for item in got if isinstance(item, CroppedFrame)] == [0, 1, 2]
    assert [item.crop.found for item in got if isinstance(item, CroppedFrame)] == [True, False, True]


def test_a_clip_without_a_face(picture: NDArray[np.uint8], tmp_path: Path) -> None:
    cropper = DaliCropper(FaceCropper("require"))
    black = np.zeros_like(picture)
    got = list(cropper.crops(Frame(k, k / 25, black) for k in range(70)))
    assert len(got) == 70
    with pytest.raises(FaceNotFoundError):
        cropper.finish(tmp_path)


def test_pictures_that_stay_on_a_device(picture: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of the GPU, in host memory: squares are found in a small copy, crops come as device arrays."""
    cropper = DaliCropper(FaceCropper("off"))
    monkeypatch.setattr(cropper, "_device", "gpu")
    small = np.ascontiguousarray(picture[::2, ::2])

    def items() -> Iterator[Frame]:
        for k in range(20):
            yield DeviceFrame(k, k / 25, small, picture, 240, 320)

    got = [item for item in cropper.crops(items()) if isinstance(item, CroppedFrame)]
    wanted = crop_square(picture, Box(40, 0, 240, 240), 224)
    assert len(got) == 20
    for item in got:
        assert isinstance(item.crop.pixels, DeviceArray)
        assert item.crop.pixels.shape == (224, 224, 3)
        assert np.abs(np.asarray(item.crop.pixels).astype(int) - wanted).mean() <= SAME_SCALING["bilinear"]


def test_rows_are_those_of_pyav() -> None:
    bundle = open_bundle(None)
    rows: dict[str, list[Prediction]] = {}
    for decoder in ("pyav", "dali"):
        options = Options(source=SourceOptions(decoder=decoder), threads=1)  # type: ignore[arg-type]
        rows[decoder] = list(Recognizer(bundle, options).stream(DEMO))
    assert [row.time_seconds for row in rows["dali"]] == [row.time_seconds for row in rows["pyav"]]
    ours, dalis = (np.stack([row.probabilities for row in own]) for own in rows.values())
    assert np.abs(ours - dalis).mean() < 0.02
    best = np.sort(ours, axis=1)
    sure = best[:, -1] - best[:, -2] > 0.2  # where two classes are close, a grey level decides
    assert sure.mean() > 0.5
    assert (ours.argmax(axis=1) == dalis.argmax(axis=1))[
        sure
    ].mean() > 0.99  # but for a frame or two between classes
