"""``ranges.json``: written, read, and refused for the right reason."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from emorec_calib.errors import CalibrationError
from emorec_calib.ranges import GraphRanges, Range, Ranges, check_fresh, dump, load
from emorec_rt.errors import OutputError
from fakes import preprocessing

SPEC = preprocessing()
HASH = "a" * 64
RANGES = Ranges(
    method="max",
    source="media",
    clips=("a.mp4",),
    data_sha256="b" * 64,
    seed=3,
    preprocessing=SPEC,
    versions={"onnxruntime": "1.20"},
    graphs={
        "vision": GraphRanges(graph_sha256=HASH, samples=7, tensors={"x": Range(low=-0.1, high=1.0 / 3.0)})
    },
)


def test_round_trip(tmp_path: Path) -> None:
    dump(RANGES, tmp_path / "ranges.json")
    assert load(tmp_path / "ranges.json") == RANGES
    assert [path.name for path in tmp_path.iterdir()] == ["ranges.json"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"schema_version": 1', '"schema_version": 2', "schema_version"),
        ('"seed": 3', '"seed": 3, "extra": 1', "extra"),
        ('"low": -0.1', '"low": 9.0', "is not a range"),
        ('"low": -0.1', '"low": "no"', "low"),
        ('"source": "media"', '"source": "dreams"', "source"),
        ("{", "", "is not a ranges file"),
    ],
)
def test_strict(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "ranges.json"
    dump(RANGES, path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(CalibrationError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_missing_and_unwritable(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"calibration/collect\.py"):
        load(tmp_path / "absent.json")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="can't be written"):
        dump(RANGES, tmp_path / "file" / "ranges.json")


def test_fresh() -> None:
    check_fresh(RANGES, {"vision": HASH}, SPEC)


def test_another_graph_is_stale() -> None:
    with pytest.raises(CalibrationError, match="stale: they were collected on another vision graph"):
        check_fresh(RANGES, {"vision": "c" * 64}, SPEC)


def test_another_preprocessing_is_stale() -> None:
    vision = msgspec.structs.replace(SPEC.vision, margin=0.1)
    with pytest.raises(CalibrationError, match=r"stale: .* another vision preprocessing"):
        check_fresh(RANGES, {"vision": HASH}, msgspec.structs.replace(SPEC, vision=vision))


def test_a_graph_without_ranges() -> None:
    with pytest.raises(CalibrationError, match="none for the audio graph"):
        check_fresh(RANGES, {"vision": HASH, "audio": HASH}, SPEC)
