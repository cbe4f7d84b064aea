"""Crops against plain NumPy indexing with repeated edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emorec_rt.errors import FaceNotFoundError
from emorec_rt.faces import Box, FaceCropper, crop_face, crop_square, whole_frame_crop
from emorec_rt.media.types import Frame

SIDES = st.integers(1, 60)


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(deadline=None)
@given(SIDES, SIDES, st.integers(-90, 90), st.integers(-90, 90), st.integers(1, 80))
def test_a_square_of_the_crop_s_size_is_cut_exactly(height, width, left, top, side) -> None:
    pixels = picture(height, width)
    side = min(side, 2 * max(height, width))
    left, top = max(min(left, width), -side), max(min(top, height), -side)
    rows = np.clip(np.arange(top, top + side), 0, height - 1)
    columns = np.clip(np.arange(left, left + side), 0, width - 1)
    crop = crop_square(pixels, Box(left, top, side, side), side)
    np.testing.assert_array_equal(crop, pixels[rows][:, columns])


@settings(deadline=None)
@given(
    SIDES,
    SIDES,
    *[st.floats(-1e4, 1e4)] * 2,
    *[st.floats(0.0, 1e4)] * 2,
    st.integers(1, 64),
)
def test_any_box_gives_a_crop(height, width, left, top, box_width, box_height, size) -> None:
    frame = Frame(0, 0.0, picture(height, width))
    crop = crop_face(frame, Box(left, top, box_width, box_height), size=size)
    assert crop.shape == (size, size, 3)
    assert crop.dtype == np.uint8


def test_shrinking_averages_rather_than_skips() -> None:
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = crop_square(stripes, Box(0, 0, 128, 128), 32)
    assert np.abs(crop.astype(int) - 127).max() <= 1


def test_enlarging_is_bilinear_or_bicubic_and_shrinking_is_neither() -> None:
    step = np.zeros((8, 8, 3), np.uint8)
    step[:, 4:] = 200
    whole = Box(0, 0, 8, 8)
    linear, cubic = (crop_square(step, whole, 32, name) for name in ("bilinear", "bicubic"))
    assert linear.max() == 200
    assert cubic.max() > 205  # cubic interpolation overshoots at an edge
    frame = Frame(0, 0.0, step)
    np.testing.assert_array_equal(FaceCropper("off", size=32).process(frame).pixels, linear)
    np.testing.assert_array_equal(
        FaceCropper("off", size=32, interpolation="bicubic").process(frame).pixels, cubic
    )
    small = [crop_square(step, whole, 4, name) for name in ("bilinear", "bicubic")]
    np.testing.assert_array_equal(*small)


@given(st.integers(0, 60), st.integers(0, 60))
def test_a_face_elsewhere_gives_the_same_crop(right: int, down: int) -> None:
    canvas = picture(160, 160)
    face = canvas[40:100, 40:100].copy()
    elsewhere = np.zeros_like(canvas)
    elsewhere[down : down + 60, right : right + 60] = face
    box = Box(50, 48, 40, 44)
    expected = crop_face(Frame(0, 0.0, canvas), box, size=48, margin=0.1)
    moved = crop_face(Frame(0, 0.0, elsewhere), box.moved(right - 40, down - 40), size=48, margin=0.1)
    np.testing.assert_array_equal(moved, expected)


def test_the_margin_is_a_share_of_the_longer_side_on_each_side() -> None:
    frame = Frame(0, 0.0, picture(100, 100))
    crop = crop_face(frame, Box(40, 30, 20, 40), size=56, margin=0.2)
    np.testing.assert_array_equal(crop, frame.pixels[22:78, 22:78])


@settings(deadline=None)
@given(SIDES, SIDES, st.integers(1, 64))
def test_the_whole_frame_is_its_middle_square(height, width, size) -> None:
    crop = whole_frame_crop(Frame(0, 0.0, picture(height, width)), size=size)
    assert (crop.shape, crop.dtype) == ((size, size, 3), np.uint8)


def test_off_takes_the_middle_of_the_picture() -> None:
    pixels = picture(20, 40)
    crop = FaceCropper("off", size=20).process(Frame(0, 0.0, pixels))
    assert crop.found
    assert crop.box is None
    np.testing.assert_array_equal(crop.pixels, pixels[:, 10:30])


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 2), (17, 17), (480, 640)])
def test_no_face_is_masked_and_required_faces_are_missed(shape: tuple[int, int]) -> None:
    cropper = FaceCropper("require")
    crop = cropper.process(Frame(0, 0.0, np.zeros((*shape, 3), np.uint8)))
    assert (crop.pixels, crop.box, crop.found) == (None, None, False)
    with pytest.raises(FaceNotFoundError, match=r"clip\.mp4"):
        cropper.finish("clip.mp4")
