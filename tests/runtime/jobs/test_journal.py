"""What ``--resume`` takes for done, and what a killed run leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from emorec_rt.jobs.journal import (
    JOURNAL_NAME,
    SAMPLE_BYTES,
    WHOLE_BYTES,
    Journal,
    fingerprint,
    remove_leftovers,
    settings_of,
)
from emorec_rt.jobs.plan import Job, plan
from emorec_rt.jobs.summary import Outcome
from emorec_rt.media.limits import MediaLimits
from emorec_rt.media.sources import SourceOptions
from emorec_rt.recognizer.options import Options
from emorec_rt.writers import OutputOptions
from folder_clips import emorec_command, environment, write_clip

MINUTE = 60
FORMATS = ("csv", "srt")


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(name.encode() * 100)
    planned = plan([tmp_path / "a.mp4", tmp_path / "b.mp4"], [], tmp_path / "out", FORMATS)
    (tmp_path / "out").mkdir()
    for job in planned:
        for output in job.outputs:
            output.target.write_text(f"result of {job.source.name}")
    return planned


def left(jobs: list[Job], settings: str = "s") -> list[str]:
    return [job.source.name for job in Journal(settings).split(jobs)[0]]


def note(jobs: list[Job], settings: str = "s") -> None:
    journal = Journal(settings)
    journal.split(jobs)
    for job in jobs:
        journal.add(job, Outcome(job.source, "done", 25, 1.0))


def test_what_is_noted_is_skipped_with_its_figures(jobs: list[Job]) -> None:
    assert left(jobs) == ["a.mp4", "b.mp4"]
    note(jobs)
    remaining, skipped = Journal("s").split(jobs)
    assert remaining == []
    assert [(outcome.status, outcome.rows, outcome.media_seconds) for outcome in skipped] == [
        ("skipped", 25, 1.0)
    ] * 2


def test_other_settings_content_or_results_are_done_again(jobs: list[Job]) -> None:
    note(jobs)
    assert left(jobs, "other") == ["a.mp4", "b.mp4"]
    times = jobs[0].source.stat()
    jobs[0].source.write_bytes(b"A" + jobs[0].source.read_bytes()[1:])
    os.utime(jobs[0].source, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert left(jobs) == ["a.mp4"]
    jobs[1].outputs[1].target.write_text("changed by hand")
    assert left(jobs) == ["a.mp4", "b.mp4"]


def test_a_missing_result_or_one_more_format_is_done_again(jobs: list[Job], tmp_path: Path) -> None:
    note(jobs)
    more = plan([job.source for job in jobs], [], tmp_path / "out", [*FORMATS, "vtt"])
    assert left(more) == ["a.mp4", "b.mp4"]
    fewer = plan([job.source for job in jobs], [], tmp_path / "out", FORMATS[1:])
    assert left(fewer) == []
    jobs[0].outputs[0].target.unlink()
    assert left(jobs) == ["a.mp4"]


def test_an_input_that_changed_while_it_was_read_is_not_noted(jobs: list[Job]) -> None:
    journal = Journal("s")
    journal.split(jobs)
    jobs[0].source.write_bytes(b"it has grown")
    for job in jobs:
        journal.add(job, Outcome(job.source, "done"))
    assert left(jobs) == ["a.mp4"]


def test_only_what_may_be_done_is_read_before_the_work(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    note(jobs[:1])
    read: list[str] = []

    def noting(path: Path) -> str:
        read.append(path.name)
        return fingerprint(path)

    monkeypatch.setattr("emorec_rt.jobs.journal.fingerprint", noting)
    assert left(jobs) == ["b.mp4"]
    assert "b.mp4" not in read


def test_a_line_that_was_cut_off_counts_for_nothing(jobs: list[Job], tmp_path: Path) -> None:
    note(jobs[:1])
    journal = tmp_path / "out" / JOURNAL_NAME
    journal.write_bytes(journal.read_bytes() + b'{"outputs": {"b.csv"')
    assert left(jobs) == ["b.mp4"]
    note(jobs[1:])
    assert left(jobs) == []


def test_settings_are_what_results_depend_on(tmp_path: Path) -> None:
    base = Options(backend="onnxruntime")
    first = settings_of(None, base, OutputOptions(0.5))
    assert settings_of(None, replace(base, threads=3, batch_size=4), OutputOptions(0.5)) == first
    others = [
        replace(base, face="off"),
        replace(base, precision="fp32"),
        replace(base, backend="openvino"),
        replace(base, source=SourceOptions(fps=12.0)),
        replace(base, source=SourceOptions(start_seconds=1.0)),
        replace(base, source=SourceOptions(region=(0, 0, 8, 8))),
        replace(base, source=SourceOptions(limits=MediaLimits(max_pixels=100))),
    ]
    hashes = {
        first,
        settings_of(None, base, OutputOptions(0.4)),
        *(settings_of(None, other, OutputOptions(0.5)) for other in others),
    }
    assert len(hashes) == 2 + len(others)


class TestFingerprint:
    def test_a_small_file_counts_to_its_last_byte(self, tmp_path: Path) -> None:
        path = tmp_path / "x"
        path.write_bytes(bytes(100_000))
        before = fingerprint(path)
        path.write_bytes(bytes(50_000) + b"1" + bytes(49_999))
        assert fingerprint(path) != before

    @pytest.mark.parametrize("offset", [0, SAMPLE_BYTES - 1, -1])
    def test_a_large_one_is_sampled_at_both_ends(self, tmp_path: Path, offset: int) -> None:
        path = tmp_path / "x"
        with path.open("wb") as file:
            file.truncate(4 * WHOLE_BYTES)
        before = fingerprint(path)
        with path.open("r+b") as file:
            file.seek(offset, os.SEEK_SET if offset >= 0 else os.SEEK_END)
            file.write(b"1")
        assert fingerprint(path) != before
        with path.open("r+b") as file:
            file.truncate(4 * WHOLE_BYTES + 1)
        assert fingerprint(path) != before

    def test_a_folder_counts_by_its_files(self, tmp_path: Path) -> None:
        (tmp_path / "1.jpg").touch()
        before = fingerprint(tmp_path)
        assert fingerprint(tmp_path) == before
        (tmp_path / "2.jpg").touch()
        assert fingerprint(tmp_path) != before


def test_what_killed_processes_left_beside_the_results_goes(jobs: list[Job], tmp_path: Path) -> None:
    left, notes = tmp_path / "out" / f".emorec-{0:016x}.part", tmp_path / "out" / ".a.csv.notes.part"
    left.touch()
    notes.touch()
    remove_leftovers(jobs)
    assert not left.exists()
    assert notes.exists()


def test_killed_and_resumed_gives_what_an_uninterrupted_run_gives(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for k in range(12):
        write_clip(source / f"{k:02}.mkv", frames=25)
    options = ("--face", "off", "--backend", "onnxruntime", "--format", "csv", "--format", "srt", "--resume")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run(
        emorec_command(source, "-q", "--out-dir", whole, *options),
        check=True,
        env=environment(),
        timeout=3 * MINUTE,
    )
    command = emorec_command(source, "--out-dir", broken, *options)
    with subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 3 * MINUTE
        while time.monotonic() < deadline and len(list(broken.glob("*.csv"))) < 3:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert len(list(broken.glob("*.csv"))) < 12
    noted = (broken / JOURNAL_NAME).read_bytes().count(b"\n")
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment(), timeout=3 * MINUTE, check=True
    )
    assert f"{noted} skipped" in done.stderr
    assert noted >= 2
    results = sorted(path.name for path in whole.iterdir() if path.name != JOURNAL_NAME)
    assert len(results) == 24
    assert sorted(path.name for path in broken.iterdir() if path.name != JOURNAL_NAME) == results
    for name in results:
        assert (broken / name).read_bytes() == (whole / name).read_bytes()
    again = subprocess.run(
        command, capture_output=True, text=True, env=environment(), timeout=3 * MINUTE, check=True
    )
    assert "0 of 12 inputs done, 12 skipped" in again.stderr
