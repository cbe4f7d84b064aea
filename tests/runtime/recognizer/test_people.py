"""Rows of everyone: one stream for each person, in the order of frames and identities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import emorec_rt
from two_people import CLIP, SIZE, scenes


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of two people who stay apart, 6 s, and the talk's sound is left out."""
    import av

    path = tmp_path_factory.mktemp("people") / "both.mkv"
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=25, options={"crf": "15"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for scene in scenes(6.0, crossing=False, leaving=False):
            target.mux(stream.encode(av.VideoFrame.from_ndarray(scene.frame.pixels, "rgb24")))
        target.mux(stream.encode())
    return path


def test_each_person_has_a_row_in_each_frame(both: Path) -> None:
    rows = list(emorec_rt.load(faces="all", backend="onnxruntime").stream(both))
    assert [(row.index, row.person) for row in rows] == [(k, p) for k in range(150) for p in (1, 2)]
    sides = {
        person: {round(r.box.center[0] > SIZE[0] / 2) for r in rows if r.person == person}
        for person in (1, 2)
    }
    assert sorted(map(sorted, sides.values())) == [[0], [1]]


def test_a_person_alone_gets_the_rows_of_the_main_face() -> None:
    main = list(emorec_rt.load(backend="onnxruntime").stream(CLIP))
    everyone = list(emorec_rt.load(backend="onnxruntime", faces="all").stream(CLIP))
    assert [row.index for row in everyone] == [row.index for row in main]
    assert {row.person for row in everyone if row.face} == {1}
    same = np.mean([one.label == other.label for one, other in zip(main, everyone, strict=True)])
    assert same > 0.9  # boxes differ by pixels: everyone is searched in the whole picture


def test_one_of_two_at_most(both: Path) -> None:
    rows = list(emorec_rt.load(faces=1, backend="onnxruntime").stream(both))
    assert [row.index for row in rows] == list(range(150))
    assert {row.person for row in rows} == {1}


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"faces": "everyone"}, "unknown faces 'everyone'; there are main, all, or a number"),
        ({"faces": 0}, "faces is 0; it must be 1 or more"),
        ({"faces": "all", "face": "off"}, "faces all needs a face detector"),
    ],
)
def test_wrong_values_are_one_line(keywords: dict[str, object], words: str) -> None:
    with pytest.raises(emorec_rt.UsageError, match=words):
        emorec_rt.load(**keywords)  # type: ignore[arg-type]
