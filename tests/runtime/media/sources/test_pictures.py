"""Folders of numbered pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from emorec_rt.errors import MediaError
from emorec_rt.faces import FaceCropper
from emorec_rt.faces.cropped import CroppedFrame, cropped
from emorec_rt.media import Frame, MediaItem, MissingFrame
from emorec_rt.media.sources import SourceOptions, is_picture_folder, open_source

THIRTY = SourceOptions(fps=30.0)


def write(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    for number, name in enumerate(names, start=1):
        assert cv2.imwrite(str(folder / name), np.full((112, 112, 3), number * 10, np.uint8))
    return folder


def read(folder: Path, options: SourceOptions = THIRTY) -> tuple[list[MediaItem], list[str]]:
    with open_source(folder, options) as source:
        return list(source), source.warnings


def test_every_number_has_an_item(tmp_path: Path) -> None:
    folder = write(tmp_path / "video", "00002.jpg", "00003.jpg", "00006.jpg")
    items, warnings = read(folder)
    assert [type(item) for item in items] == [MissingFrame, Frame, Frame, MissingFrame, MissingFrame, Frame]
    assert [getattr(item, "index", None) for item in items] == list(range(6))
    assert [item.pts_seconds for item in items] == pytest.approx([n / 30 for n in range(6)])
    shown = [int(item.pixels.mean()) for item in items if isinstance(item, Frame)]
    assert shown == pytest.approx([10, 20, 30], abs=1)
    assert warnings == ["3 of 6 pictures are missing"]


@pytest.mark.parametrize("name", ["vid_left", "vid_right", "10-60-1280x720"])
def test_a_folder_goes_by_its_own_name(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "cropped_aligned" / name, "00001.jpg", "00002.jpg")
    with open_source(folder, SourceOptions(fps=25.0)) as source:
        assert source.name == str(folder)
        assert (source.live, source.has_video, source.has_sound) == (False, True, False)
        assert source.duration_seconds == pytest.approx(2 / 25)
        assert [item.pts_seconds for item in source] == pytest.approx([0.0, 0.04])


def test_numbers_order_the_pictures(tmp_path: Path) -> None:
    items, warnings = read(write(tmp_path / "v", "img_10.png", "img_2.png", "img_1.png", "img_0.png"))
    values = {item.index: int(item.pixels[0, 0, 0]) for item in items if isinstance(item, Frame)}
    assert values == {0: 40, 1: 30, 2: 20, 10: 10}
    assert len(items) == 11
    assert warnings == ["7 of 11 pictures are missing"]


def test_a_single_picture(tmp_path: Path) -> None:
    folder = write(tmp_path / "v", "00001.png")
    assert [type(item) for item in read(folder)[0]] == [Frame]
    with open_source(folder / "00001.png") as source:
        assert [type(item) for item in source] == [Frame]


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    folder = write(tmp_path / "v", "00001.jpg", "00002.jpg")
    (folder / "._00003.jpg").write_bytes(b"x")
    (folder / "00007.txt").write_text("7")
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / "00009").mkdir()
    items, warnings = read(folder)
    assert ([type(item) for item in items], warnings) == ([Frame, Frame], [])
    assert is_picture_folder(folder)


def test_a_damaged_picture_is_a_missing_frame(tmp_path: Path) -> None:
    folder = write(tmp_path / "v", "1.jpg", "2.jpg", "3.jpg")
    (folder / "2.jpg").write_bytes(b"no picture")
    items, warnings = read(folder)
    assert [type(item) for item in items] == [Frame, MissingFrame, Frame]
    assert warnings == ["2.jpg can't be read"]


def test_a_folder_of_damaged_pictures_fails(tmp_path: Path) -> None:
    folder = write(tmp_path / "v", "1.jpg")
    (folder / "1.jpg").write_bytes(b"no picture")
    with pytest.raises(MediaError, match="none of its pictures can be read"):
        read(folder)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ((), "no numbered picture"),
        (("cover.jpg",), "no numbered picture"),
        (("1.jpg", "01.png"), "same number"),
        (("1.jpg", "1700000000.jpg"), "no picture from 2 to 1699999999"),
        (("400000.jpg",), "no picture from 1 to 399999"),
    ],
)
def test_refusals(tmp_path: Path, names: tuple[str, ...], reason: str) -> None:
    folder = write(tmp_path / "v", *names)
    with pytest.raises(MediaError, match=reason) as caught:
        open_source(folder)
    assert str(caught.value).startswith(str(folder))


def test_a_missing_frame_is_a_frame_without_a_face() -> None:
    item = cropped(MissingFrame(4, 0.5), FaceCropper("off"))
    assert isinstance(item, CroppedFrame)
    assert (item.index, item.pts_seconds, item.crop.found) == (4, 0.5, False)


def test_closing_ends_the_iterator(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "v", "1.png", "2.png"))
    next(source)
    source.close()
    assert list(source) == []
