from __future__ import annotations

from pathlib import Path

import pytest

from emorec_rt.constants import EXPRESSIONS
from emorec_train.data.datasets.template import HEADER, SubmissionError, read_reference
from emorec_train.submission.check import check_submission
from emorec_train.submission.merge import merge_predictions, read_predictions
from tiny_commands import call


def predictions(path: Path, video: str, labels: list[int], header: str = HEADER) -> Path:
    rows = (f"{video}/{frame:05d}.jpg,{label}\n" for frame, label in enumerate(labels, 1))
    path.write_text(header + "\n" + "".join(rows))
    return path


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "template.txt"
    path.write_text("b 3\na_left 2\n")
    return path


def test_all_videos_in_the_templates_order(template: Path, tmp_path: Path) -> None:
    files = [predictions(tmp_path / "a.txt", "a_left", [1, 2]), predictions(tmp_path / "b.txt", "b", [3, 4])]
    out = tmp_path / "out.txt"
    assert (
        call("submission.py", "merge", *map(str, files), "--template", str(template), "--out", str(out)) == 0
    )
    assert out.read_text() == (
        f"{HEADER}\nb/00001.jpg,3\nb/00002.jpg,4\nb/00003.jpg,4\na_left/00001.jpg,1\na_left/00002.jpg,2\n"
    )
    assert check_submission(out, read_reference(template)).complete


def test_classes_are_mapped_by_name(tmp_path: Path) -> None:
    path = predictions(tmp_path / "a.txt", "a", [0, 1, 2], "image_location,Sadness,Neutral,Other")
    found = read_predictions(path)["a"]
    assert [EXPRESSIONS[label] for label in found] == ["Sadness", "Neutral", "Other"]


def test_a_missing_video_is_named_and_nothing_is_written(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only, out = predictions(tmp_path / "b.txt", "b", [3, 4, 5]), tmp_path / "out.txt"
    assert call("submission.py", "merge", str(only), "--template", str(template), "--out", str(out)) == 1
    assert "lists 1 videos without predictions, such as a_left" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nothing\n", "no header"),
        (f"{HEADER}\na/00001.jpg,8\n", "line 2 is not a prediction"),
        (f"{HEADER}\na/00001.jpg,\n", "line 2 is not a prediction"),
        (f"{HEADER}\na/00001.jpg,1\na/00003.jpg,1\n", "line 3: expected frame 2 of a"),
    ],
)
def test_what_is_no_prediction(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(SubmissionError, match=expected):
        read_predictions(tmp_path / "a.txt")


def test_doubled_and_too_short(template: Path, tmp_path: Path) -> None:
    a, b = predictions(tmp_path / "a.txt", "a_left", [1, 2]), predictions(tmp_path / "b.txt", "b", [3] * 6)
    reference = read_reference(template)
    with pytest.raises(SubmissionError, match="which another file has too"):
        merge_predictions([a, a], reference, tmp_path / "out.txt")
    with pytest.raises(SubmissionError, match="6 frames were decoded, the template lists 3"):
        merge_predictions([a, b], reference, tmp_path / "out.txt")
    assert not (tmp_path / "out.txt").exists()


def test_a_video_that_is_off_by_more_is_allowed_where_asked_for(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = (
        predictions(tmp_path / "a.txt", "a_left", [1, 2]),
        predictions(tmp_path / "b.txt", "b", [3] * 5 + [4]),
    )
    out = tmp_path / "out.txt"
    arguments = ("submission.py", "merge", str(a), str(b), "--template", str(template), "--out", str(out))
    assert call(*arguments) == 1
    assert "allow it by --slack 3" in capsys.readouterr().err
    assert call(*arguments, "--slack", "3") == 0
    assert check_submission(out, read_reference(template)).complete
