"""Aff-Wild2's annotations of valence, arousal and action units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emorec_rt.bundle.tasks import MEASURES, Tasks
from emorec_train.data.dataset_clips import DataRequest, open_clips
from emorec_train.data.datasets import AffWild2
from emorec_train.data.datasets.affwild2_files import AnnotationError
from emorec_train.data.datasets.affwild2_measures import Track, read_measures
from emorec_train.data.labels import IGNORED
from layouts import write_affwild2

FOLDERS = {"VA": "VA_Estimation_Challenge", "AU": "AU_Detection_Challenge"}
HEADERS = {"VA": "valence,arousal", "AU": "AU1,AU2,AU12"}


def write(root: Path, track: Track, name: str, rows: str, split: str = "Train_Set", header: str = "") -> Path:
    path = root / "ABAW" / FOLDERS[track] / split / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header or HEADERS[track], *rows.split()]) + "\n", encoding="utf-8")
    return path


def test_values_go_to_their_columns_and_missing_ones_are_nan(tmp_path: Path) -> None:
    affect = read_measures(write(tmp_path, "VA", "a", "0.5,-1 -5,-5 -0.25,1"), "VA")
    assert affect.shape == (3, len(MEASURES))
    np.testing.assert_array_equal(affect[:, :2], [[0.5, -1.0], [np.nan, np.nan], [-0.25, 1.0]])
    assert np.isnan(affect[:, 2:]).all()
    units = read_measures(write(tmp_path, "AU", "a", "1,0,-1 0,1,1"), "AU")
    columns = [MEASURES.index(name) for name in ("AU01", "AU02", "AU12")]
    np.testing.assert_array_equal(units[:, columns], [[1.0, 0.0, np.nan], [0.0, 1.0, 1.0]])


@pytest.mark.parametrize(
    ("track", "header", "rows", "words"),
    [
        ("VA", "", "0.1,0.2 0.3", "line 3 has not 2 numbers"),
        ("VA", "", "0.1,x", "line 2 has not 2 numbers"),
        ("VA", "", "0.1,1.5", "line 2: a value is not -1 to 1, or -5"),
        ("VA", "", "0.1,nan", "line 2: a value is not -1 to 1, or -5"),
        ("AU", "", "0,1,2", "line 2: a value is not 0, 1 or -1"),
        ("AU", "AU1,AU99", "0,1", "line 1 is not a header"),
        ("VA", "valence,valence", "0,1", "line 1 is not a header"),
        ("VA", "", "", "has no labels"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused(
    tmp_path: Path, track: Track, header: str, rows: str, words: str
) -> None:
    with pytest.raises(AnnotationError, match=words):
        read_measures(write(tmp_path, track, "a", rows, header=header), track)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sequence with all three, one with valence alone, and one whose action units are in another split."""
    root = write_affwild2(tmp_path_factory.mktemp("affwild2"))
    write(root, "VA", "10-25-96x96_left", " ".join(["0.5,0.5"] * 3))
    write(root, "AU", "10-25-96x96_left", " ".join(["1,0,1"] * 70))
    write(root, "AU", "video7", "1,0,1", split="Train_Set")
    (root / "8th_ABAW_Annotations/EXPR_Recognition_Challenge/Train_Set/10-25-96x96_right.txt").unlink()
    write(root, "VA", "10-25-96x96_right", " ".join(["-0.5,0.25"] * 50))
    return root


def test_sequences_are_joined_by_name_and_split(root: Path) -> None:
    records = {record.clip_id: record for record in AffWild2(root).scan().records}
    both = records["10-25-96x96_left"].frame_measures
    assert both is not None
    assert len(both) == 70
    assert both[2, :2].tolist() == [0.5, 0.5]
    assert np.isnan(both[3, :2]).all()
    assert both[69, MEASURES.index("AU12")] == 1.0
    assert records["10-25-96x96_right"].frame_labels is None
    assert records["video7"].frame_measures is None
    problems = [str(problem) for problem in AffWild2(root).scan().problems]
    assert [line for line in problems if "video7" in line] == [
        f"{root}/ABAW/AU_Detection_Challenge/Train_Set/video7.txt: the sequence is in validation by another"
        " track; left out"
    ]


def test_clips_without_expressions_are_for_models_with_tasks(root: Path) -> None:
    request = DataRequest((f"affwild2:{root}",))
    assert not any("right" in clip_id for clip_id in open_clips(request, workers=1).records)
    units = open_clips(request, tasks=Tasks(action_units=("AU01",)), workers=1)
    assert not any("right" in clip_id for clip_id in units.records)
    clips = open_clips(request, tasks=Tasks(valence_arousal=True), workers=1)
    truth = clips.truth("affwild2:10-25-96x96_right")
    assert set(truth.labels.tolist()) == {IGNORED}
    times = np.arange(50) / 25.0
    measures = truth.measures_at(times, times)
    assert measures is not None
    np.testing.assert_allclose(measures[:, :2], [[-0.5, 0.25]] * 50)
    joined = clips.truth("affwild2:10-25-96x96_left")
    assert joined.measures is not None
    assert len(joined.labels) == len(joined.measures) == 70
