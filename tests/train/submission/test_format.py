from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emorec_rt.constants import EXPRESSIONS
from emorec_rt.errors import OutputError
from emorec_train.data.datasets.template import HEADER, SubmissionError, frame_counts, read_reference
from emorec_train.submission.check import SubmissionReport, check_submission
from emorec_train.submission.format import fit_length, write_submission

ROOT = Path(__file__).resolve().parents[3]
COUNTS = {"14-30-1920x1080": 12, "166_left": 3, "video45_3": 4}
Change = Callable[[list[str]], list[str]]


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "template.txt"
    rows = (f"{name}/{frame:05d}.jpg," for name, count in COUNTS.items() for frame in range(1, count + 1))
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def preds(tmp_path: Path) -> Path:
    path = tmp_path / "preds.txt"
    rng = np.random.default_rng(0)
    write_submission(path, ((name, rng.integers(0, 8, count)) for name, count in COUNTS.items()))
    return path


def changed(path: Path, change: Change) -> Path:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_bytes("".join(change(lines)).encode())
    return path


def check(preds: Path, reference: Path) -> SubmissionReport:
    return check_submission(preds, read_reference(reference))


def test_rows_are_the_challenges(tmp_path: Path) -> None:
    path = tmp_path / "out" / "preds.txt"
    write_submission(path, [("14-30-1920x1080", np.array([0, 7])), ("166_left", np.array([3], np.int8))])
    assert path.read_bytes() == (
        b"image_location,Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other\n"
        b"14-30-1920x1080/00001.jpg,0\n14-30-1920x1080/00002.jpg,7\n166_left/00001.jpg,3\n"
    )


@pytest.mark.parametrize(
    ("video", "labels", "reason"),
    [
        ("a/b", np.array([0]), "'a/b' can't name a video"),
        ("a,b", np.array([0]), "can't name a video"),
        ("", np.array([0]), "can't name a video"),
        ("a", np.array([0]), "a is already in it"),
        ("b", np.array([0, 8, 9]), "label 8 of frame 2 is not 0 to 7, nor are 1 others"),
        ("b", np.array([-1]), "label -1 of frame 1"),
        ("b", np.array([], np.int64), r"expected integer labels \[F\], came int64 \[0\]"),
        ("b", np.array([0.0]), "came float64"),
        ("b", np.array([[0]]), r"came int64 \[1, 1\]"),
    ],
)
def test_wrong_predictions_leave_no_file(tmp_path: Path, video: str, labels: np.ndarray, reason: str) -> None:
    path = tmp_path / "preds.txt"
    with pytest.raises(SubmissionError, match=reason):
        write_submission(path, [("a", np.array([1])), (video, labels)])
    assert not list(tmp_path.iterdir())


def test_an_older_file_survives_a_failure(preds: Path) -> None:
    before = preds.read_bytes()
    videos = [("a", np.array([1])), ("b", np.array([9]))]
    with pytest.raises(SubmissionError):
        write_submission(preds, videos)
    assert preds.read_bytes() == before
    assert not list(preds.parent.glob(".*"))


def test_no_video_is_no_submission(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="no video was added"):
        write_submission(tmp_path / "preds.txt", [])
    with pytest.raises(OutputError):
        write_submission(tmp_path, [("a", np.array([1]))])


def test_lengths_are_fitted_within_reason() -> None:
    labels = np.array([1, 2, 3])
    assert fit_length("a", labels, 3).tolist() == [1, 2, 3]
    assert fit_length("a", labels, 5).tolist() == [1, 2, 3, 3, 3]
    assert fit_length("a", labels, 1).tolist() == [1]
    with pytest.raises(SubmissionError, match="a: 3 frames were decoded, the template lists 6"):
        fit_length("a", labels, 6)
    with pytest.raises(SubmissionError, match="0 frames were decoded"):
        fit_length("a", labels[:0], 1)


VIDEOS = st.dictionaries(
    st.from_regex(r"[0-9]{1,3}(_left|_right)?", fullmatch=True),
    st.lists(st.integers(0, 7), min_size=1, max_size=30),
    min_size=1,
    max_size=5,
)


@settings(deadline=None, max_examples=50)
@given(VIDEOS)
def test_what_is_written_is_complete(
    tmp_path_factory: pytest.TempPathFactory, videos: dict[str, list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("submission")
    preds, listed = folder / "preds.txt", folder / "list.txt"
    write_submission(preds, ((name, np.array(labels)) for name, labels in videos.items()))
    listed.write_text("".join(f"{n} {len(v)}\n" for n, v in reversed(videos.items())), encoding="utf-8")
    for reference in (preds, listed):
        report = check(preds, reference)
        assert report.complete, report
        assert (report.rows, report.videos) == (sum(map(len, videos.values())), len(videos))
    assert frame_counts(read_reference(preds)) == {name: len(labels) for name, labels in videos.items()}


@settings(deadline=None, max_examples=50)
@given(VIDEOS, st.data())
def test_any_missing_row_is_found(
    tmp_path_factory: pytest.TempPathFactory, videos: dict[str, list[int]], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("submission")
    full, cut = folder / "full.txt", folder / "cut.txt"
    write_submission(full, ((name, np.array(labels)) for name, labels in videos.items()))
    lines = full.read_text(encoding="utf-8").splitlines(keepends=True)
    row = data.draw(st.integers(1, len(lines) - 1))
    cut.write_text("".join(lines[:row] + lines[row + 1 :]), encoding="utf-8")
    name, frame = lines[row].split(".jpg")[0].split("/")
    (line,) = check(cut, full).by_video
    expected = f"missing 1 frame ({int(frame)})" if len(videos[name]) > 1 else "all 1 frames are missing"
    assert line == f"{name}: {expected}"


def replace_row(row: int, old: str, new: str) -> Change:
    return lambda lines: [*lines[:row], lines[row].replace(old, new), *lines[row + 1 :]]


def set_label(row: int, label: str) -> Change:
    return lambda lines: [*lines[:row], lines[row].split(",")[0] + f",{label}\n", *lines[row + 1 :]]


FIRST = "14-30-1920x1080"
UNLISTED = FIRST + ": rows stand in 2 places; 1 frame that nobody asked for ({})"
WRONG_HEADER = "line 1: the header is {!r}, expected " + HEADER
CUT_OFF = "the last line, 20, is cut off: "
CRLF = "20 lines end in CR LF; the template's end in LF"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda ls: ls[:3] + ls[4:], [f"{FIRST}: missing 1 frame (3)"]),
        (lambda ls: ls[:1] + ls[3:4] + ls[8:], [f"{FIRST}: missing 6 frames (1-2, 4-7)"]),
        (lambda ls: ls[:1] + ls[2:13:2] + ls[13:], [f"{FIRST}: missing 6 frames (1, 3, 5, 7, ...)"]),
        (lambda ls: [*ls[:4], *ls[3:]], [f"{FIRST}: 1 frame doubled (3)"]),
        (lambda ls: [*ls[:3], ls[4], ls[3], *ls[5:]], [f"{FIRST}: 1 frame out of order (3)"]),
        (set_label(4, "8"), [f"{FIRST}: 1 labels out of 0 to 7 (8 at 4)"]),
        (set_label(4, "-1"), [f"{FIRST}: 1 labels out of 0 to 7 (-1 at 4)"]),
        (set_label(4, "07"), [f"{FIRST}: 1 labels out of 0 to 7 (07 at 4)"]),
        (set_label(4, ""), [f"{FIRST}: 1 frame without a label (4)"]),
        (lambda ls: [*ls[:13], *ls[16:]], ["166_left: all 3 frames are missing"]),
        (lambda ls: [*ls, f"{FIRST}/00013.jpg,0\n"], [UNLISTED.format(13)]),
        (lambda ls: [*ls, f"{FIRST}/00000.jpg,0\n"], [UNLISTED.format(0)]),
        (
            lambda ls: [*ls[:13], *ls[16:], *ls[13:16]],
            ["videos are out of order: video45_3 comes where 166_left is expected"],
        ),
        (lambda ls: ["image_location,label\n", *ls[1:]], [WRONG_HEADER.format("image_location,label")]),
        (lambda ls: ["\ufeff" + ls[0], *ls[1:]], [WRONG_HEADER.format(chr(0xFEFF) + HEADER)]),
        (lambda ls: ls[1:], [f"line 1: there is no header; expected {HEADER}"]),
        (lambda ls: [line.replace("\n", "\r\n") for line in ls], [CRLF]),
        (
            lambda ls: [*ls[:-1], ls[-1][:12]],
            [CUT_OFF + "'video45_3/00'", "video45_3: missing 1 frame (4)"],
        ),
        (
            lambda ls: [*ls[:-1], ls[-1][:-2]],
            [CUT_OFF + "'video45_3/00004.jpg,'", "video45_3: 1 frame without a label (4)"],
        ),
        (
            replace_row(2, ".jpg", ".png"),
            [
                f"1 lines are not '<video>/00001.jpg,<label>': 3: '{FIRST}/00002.png,5'",
                f"{FIRST}: missing 1 frame (2)",
            ],
        ),
        (
            lambda ls: [*ls, "\n", "166/00001.jpg,0,0,0\n"],
            ["2 lines are not '<video>/00001.jpg,<label>': 21: '', 22: '166/00001.jpg,0,0,0'"],
        ),
        (
            replace_row(13, "166_left", "166"),
            ["1 videos that template.txt lacks: 166 (1 frame)", "166_left: missing 1 frame (1)"],
        ),
    ],
)
def test_each_fault_is_named(preds: Path, template: Path, change: Change, expected: list[str]) -> None:
    report = check(changed(preds, change), template)
    assert [*report.findings, *report.by_video] == expected
    assert not report.complete


def test_faults_of_one_video_share_a_line(preds: Path, template: Path) -> None:
    changed(
        preds, lambda ls: [*ls[:2], ls[4], ls[3], ls[3], *ls[6:8], set_label(0, "9")(ls[8:9])[0], *ls[9:]]
    )
    (line,) = check(preds, template).by_video
    assert line == (
        f"{FIRST}: missing 2 frames (2, 5); 1 frame doubled (3); 1 frame out of order (3); "
        "1 labels out of 0 to 7 (9 at 8)"
    )


def test_a_last_line_without_its_end_is_complete(preds: Path, template: Path) -> None:
    assert check(changed(preds, lambda ls: [*ls[:-1], ls[-1].rstrip()]), template).complete


def test_an_empty_file_lacks_everything(tmp_path: Path, template: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.touch()
    report = check(empty, template)
    assert (report.rows, report.videos, len(report.by_video)) == (0, 0, 3)
    assert report.findings[0].startswith("line 1: there is no header")


def test_the_order_of_a_list_does_not_count(preds: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"{n} {c}\n" for n, c in reversed(COUNTS.items())), encoding="utf-8")
    assert check(preds, listed).complete


def test_a_huge_line_is_one_unreadable_line(preds: Path, template: Path) -> None:
    report = check(changed(preds, lambda ls: [*ls[:1], "x" * 100_000 + "\n", *ls[1:]]), template)
    (finding,) = report.findings
    assert finding.startswith("1 lines are no")
    assert len(finding) < 200
    assert not report.by_video


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 0 is neither"),
        ("a,b\n", "line 1 is neither the header of a template nor '<video> <frames>': 'a,b"),
        ("166 0\n", "line 1 is neither"),
        ("166 99999999999\n", "line 1 is neither"),
        ("166 5\n166 6\n", "line 2 lists 166 once more"),
        (HEADER + "\n", "lists no video"),
        (HEADER + "\n166/00001.jpg,\n166/00001.jpg,\n", "line 3 lists 166 frame 1 once more"),
        (HEADER + "\n166 5\n", "line 2 is not a row of a template: '166 5"),
    ],
)
def test_a_wrong_reference_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "reference.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SubmissionError, match=reason):
        read_reference(path)


def template_head(media_root: Path, edition: int) -> list[str]:
    """First lines of the real template, which the material keeps as the list that a notebook printed."""
    text = (media_root / f"affwild_format/savchenko/abaw{edition}_expr_test_sample_head.txt").read_text()
    return text[text.index("['") + 2 : text.index("']")].split("', '")


@pytest.mark.parametrize(("edition", "label"), [(5, ""), (6, "0")])
def test_real_template_heads(media_root: Path, tmp_path: Path, edition: int, label: str) -> None:
    lines = template_head(media_root, edition)
    assert lines[0] == HEADER
    assert lines[1] == f"14-30-1920x1080/00001.jpg,{label}"
    path = tmp_path / "template.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    reference = read_reference(path)
    assert frame_counts(reference) == {"14-30-1920x1080": 4}
    preds = tmp_path / "preds.txt"
    write_submission(preds, [("14-30-1920x1080", np.full(4, EXPRESSIONS.index("Other")))])
    assert check_submission(preds, reference).complete
    assert check_submission(path, reference).complete == (label == "0")


def test_real_frame_counts(media_root: Path) -> None:
    listed = media_root / "affwild_format/savchenko/abaw6_frames_per_video.txt"
    counts = frame_counts(read_reference(listed))
    assert (len(counts), sum(counts.values())) == (548, 2_610_922)
    assert counts["14-30-1920x1080"] == 5311


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in ("runtime", "train")),
    }
    return subprocess.run(
        [sys.executable, str(ROOT / "train" / "submission.py"), "check", *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_program(preds: Path, template: Path) -> None:
    good = run(preds, "--template", template)
    assert (good.returncode, good.stdout) == (0, f"{preds}: 19 rows, 3 of 3 videos: complete\n")
    changed(preds, lambda ls: ls[:2])
    bad = run(preds, "--template", template, "--limit", "1")
    assert bad.returncode == 1
    assert bad.stdout.splitlines() == [
        f"{FIRST}: missing 11 frames (2-12)",
        "... and 2 more videos",
        f"{preds}: 1 rows, 1 of 3 videos: NOT complete",
    ]


def test_program_refuses_a_wrong_call(preds: Path, tmp_path: Path) -> None:
    assert run(preds).returncode == 2
    assert run(preds, "--template", tmp_path / "none.txt").returncode == 2
    wrong = tmp_path / "wrong.txt"
    wrong.write_text("nothing here\n", encoding="utf-8")
    finished = run(preds, "--template", wrong)
    assert finished.returncode == 2
    assert finished.stderr.startswith(f"error: {wrong}: line 1 is neither")
