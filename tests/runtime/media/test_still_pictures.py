"""Photographs: one frame, whatever their name and however they were held."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from emorec_rt.media import Frame, open_media

CORNERS = np.zeros((64, 96, 3), np.uint8)
CORNERS[:32, :48], CORNERS[:32, 48:], CORNERS[32:, :48] = (0, 0, 255), (0, 255, 0), (255, 0, 0)


def shown(path: Path) -> NDArray[np.uint8]:
    with open_media(path) as media:
        (frame,) = media
    assert isinstance(frame, Frame)
    return frame.pixels


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """A JPEG with an EXIF block (TIFF header, one entry, tag 0x0112) after its start marker."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    block = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".bmp", ".webp", ".tiff", ".ppm"])
def test_any_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"0001{suffix}"
    assert cv2.imwrite(str(path), CORNERS)
    difference = np.abs(shown(path).astype(int) - CORNERS[..., ::-1])
    assert np.median(difference) <= 2


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_turned_photographs_as_opencv_shows_them(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(with_orientation(cv2.imencode(".jpg", CORNERS)[1].tobytes(), orientation))
    expected = cv2.imread(str(path))
    pixels = shown(path)
    assert pixels.shape == expected.shape
    assert np.median(np.abs(pixels.astype(int) - expected[..., ::-1])) <= 2
