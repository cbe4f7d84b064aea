"""Damaged files and bundles: a sample of what ``benchmarks/fuzz.py`` runs; and it finds what is wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click
import fuzz
import fuzz_bundles
import fuzz_damage
import fuzz_worker
import numpy as np
import pytest
from fuzz import Case, Worker, fuzz_bundle, fuzz_files, summary

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = 25
SECONDS = 60.0


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Real recordings where there are some, else the project's own clip in several containers."""
    folder = tmp_path_factory.mktemp("clips")
    media = os.environ.get("EMOREC_TEST_MEDIA")
    if media and Path(media).is_dir():
        return fuzz_damage.short_clips([Path(media) / name for name in ("faces", "edge")], folder)
    made = [folder / f"demo.{suffix}" for suffix in ("mp4", "mkv", "ts", "mov")]
    assert all(fuzz_damage.cut(EXAMPLES / "demo.mp4", clip) for clip in made)
    return made


@pytest.fixture(autouse=True)
def subprocesses_find_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


def test_damaged_files_end_in_rows_or_one_line(clips: list[Path], tmp_path: Path) -> None:
    result = summary(list(fuzz_files(clips, range(FILES), 1, tmp_path, 1, SECONDS)))
    assert result["faults"] == []
    assert result["cases"] == FILES
    assert result["compared"] > 0
    assert set(result["outcomes"]) <= {"done", "failed"}
    assert result["outcomes"]["done"] > 0


@pytest.mark.parametrize("index", range(0, len(fuzz_bundles.DAMAGES), 5))
def test_damaged_bundles_end_in_one_line(tmp_path: Path, index: int) -> None:
    case = fuzz_bundle(index, 1, tmp_path, SECONDS)
    assert case.fault is None, case
    assert case.line


def test_the_same_seed_makes_the_same_damage(clips: list[Path], tmp_path: Path) -> None:
    for index in range(len(fuzz_damage.DAMAGES)):
        first = fuzz_damage.damaged(clips, 5, index, tmp_path)
        content = first.read_bytes()
        assert fuzz_damage.damaged(clips, 5, index, tmp_path).read_bytes() == content
        assert fuzz_damage.damaged(clips, 6, index, tmp_path).read_bytes() != content


@pytest.mark.parametrize("kind", fuzz_damage.DAMAGES)
def test_each_damage_changes_the_bytes(kind: str) -> None:
    rng = np.random.default_rng(0)
    for size in (2, 50, 10_000):
        data = rng.bytes(size)
        changed = [fuzz_damage.DAMAGES[kind](bytearray(data), rng, rng.bytes(100)) for _ in range(20)]
        assert any(bytes(one) != data for one in changed)


def test_a_clip_is_cut_by_its_packets(tmp_path: Path) -> None:
    import av

    clips = fuzz_damage.short_clips([EXAMPLES], tmp_path)
    (clip,) = (path for path in clips if path.suffix == ".mp4")
    with av.open(str(clip)) as container:
        times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    assert 0.5 < times[-1] - times[0] <= fuzz_damage.CLIP_SECONDS + 0.5


BAD_WORKER = """
import json, os, sys, time
for line in sys.stdin:
    path = json.loads(line)["path"]
    if "dies" in path:
        sys.stderr.write("last words")
        sys.stderr.flush()
        os.abort()
    if "stands" in path:
        time.sleep(60)
    print(json.dumps({"outcome": "done", "complaint": None, "peak_mib": 1.0}), flush=True)
"""


@pytest.fixture
def bad_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    script = tmp_path / "worker.py"
    script.write_text(BAD_WORKER)
    monkeypatch.setattr(fuzz, "WORKER", script)
    worker = Worker("recognise", tmp_path, timeout_seconds=1.0)
    yield worker
    worker.stop()


def test_a_process_that_dies_or_stands_is_noticed_and_replaced(bad_worker: Worker) -> None:
    assert bad_worker.ask(Path("fine"))["outcome"] == "done"
    died = bad_worker.ask(Path("dies"))
    assert died["outcome"] == "crash"
    assert "SIGABRT" in died["complaint"]
    assert "last words" in died["complaint"]
    assert bad_worker.ask(Path("stands"))["outcome"] == "hang"
    assert bad_worker.ask(Path("fine"))["outcome"] == "done"


@pytest.mark.parametrize(
    ("case", "lost"),
    [
        (Case(0, "a", "done", rows=9, reference_frames=10), "9 rows, PyAV decodes 10"),
        (Case(0, "a", "failed", reference_frames=1), "None rows"),
        (Case(0, "a", "failed", reference_frames=0, reference_sound_seconds=2.0), "2.00 s of sound"),
        (Case(0, "a", "done", rows=10, reference_frames=10), None),
        (Case(0, "a", "done", rows=12, reference_frames=10), None),
        (Case(0, "a", "failed", reference_frames=0, reference_sound_seconds=0.01), None),
        (Case(0, "a", "failed"), None),
    ],
)
def test_lost_rows_are_a_fault(case: Case, lost: str | None) -> None:
    found = fuzz._lost(case)
    assert found is None if lost is None else lost in (found or "")


HEADER = "frame,time_seconds,label,Anger,Fear,face,sound"


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        (["0,0.0,Anger,0.6,0.4,1,1", "1,0.04,Anger,0.6,0.4,1,1"], None),
        ([], "without rows"),
        (["0,0.04,Anger,0.6,0.4,1,1", "1,0.04,Anger,0.6,0.4,1,1"], "don't increase"),
        (["0,0.0,Anger,0.6,0.4,1,1", "2,0.04,Anger,0.6,0.4,1,1"], "missing"),
        (["0,0.0,Anger,nan,0.4,1,1"], "don't sum to 1"),
    ],
)
def test_wrong_tables_are_noticed(tmp_path: Path, rows: list[str], wrong: str | None) -> None:
    table = tmp_path / "p.csv"
    table.write_text("\n".join([HEADER, *rows]))
    count, complaint = fuzz_worker.check_table(table)
    assert count == len(rows)
    assert complaint is None if wrong is None else wrong in (complaint or "")


def test_faulty_cases_that_run_again_replace_their_outcomes() -> None:
    hung = Case(3, "bits", "hang", fault="no answer in 60 s")
    large = Case(5, "cut", "done", rows=4, reference_frames=4, fault="peak memory 2060 MiB")
    before = summary([Case(1, "cut", "failed"), hung, large])
    after = fuzz.corrected(before, [Case(3, "bits", "done", rows=7, reference_frames=6)])
    assert after["outcomes"] == {"failed": 1, "done": 2}
    assert (after["compared"], after["reference_frames"], after["rows"]) == (2, 10, 11)
    assert [case["index"] for case in after["faults"]] == [5]
    with pytest.raises(click.ClickException, match="case 3 was bits"):
        fuzz.corrected(before, [Case(3, "zeros", "done")])
