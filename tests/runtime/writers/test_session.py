"""A session over a recogniser whose events are scripted."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from emorec_rt.constants import EXPRESSIONS
from emorec_rt.errors import EngineError, MediaError
from emorec_rt.jobs.plan import Job, plan
from emorec_rt.jobs.session import BAR_STEPS, Session
from emorec_rt.recognizer.events import Done, Event, Failed, Row, Started
from emorec_rt.recognizer.options import Options
from listener import Listener

from .conftest import leftovers, rows
from .test_text import environment

TIMES = [0.04 * i for i in range(25)]


class Scripted:
    """Gives the same rows for every input; ``broken`` ones fail in the middle."""

    labels, notice, measures = EXPRESSIONS, "", ()
    options = Options()

    def __init__(self, times: Sequence[float] = TIMES, broken: Sequence[str] = ()) -> None:
        self.times = times
        self.broken = broken
        self.read: list[str] = []
        self.rows = 0

    def run(self, sources: Iterable[str | Path]) -> Iterator[Event]:
        for source in map(Path, sources):
            self.read.append(source.name)
            yield Started(source, 1.0)
            for row in rows(self.times):
                self.rows += 1
                yield Row(source, row)
                if source.name in self.broken:
                    yield Failed(source, MediaError(source, "damaged"))
                    break
            else:
                yield Done(source, len(self.times), ("a warning",))


def session(
    inputs: Sequence[Path],
    outs: Sequence[Path] = (),
    out_dir: Path | None = None,
    formats: Sequence[str] = (),
) -> tuple[Session, list[str]]:
    """A session, and the lines that it complains with."""
    listener = Listener()
    jobs: list[Job] = plan(inputs, outs, out_dir, formats)
    return Session(Scripted(), jobs, listener), listener.lines  # type: ignore[arg-type]


def test_all_results_of_one_pass(tmp_path: Path, clip) -> None:
    source = clip("talk.mkv", TIMES, sound_codec="aac")
    names = ["p.txt", "p.csv", "p.jsonl", "p.srt", "p.vtt", "p.mp4", "p.png", "p.svg"]
    made, said = session([source], [tmp_path / name for name in names])
    account = made.run()
    steps = made.reporter.steps  # type: ignore[attr-defined]
    assert (account.failed, account.rows, made.recognizer.read) == (0, 25, ["talk.mkv"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "in"])
    assert all((tmp_path / name).stat().st_size > 0 for name in names)
    assert sum(steps) == BAR_STEPS
    assert len(steps) > 10
    assert said == [f"warning: {source}: a warning"]


def test_one_result_that_fails_does_not_stop_the_others(tmp_path: Path, clip) -> None:
    (tmp_path / "taken.csv").mkdir()
    made, said = session([clip("c.mkv", TIMES)], [tmp_path / "taken.csv", tmp_path / "p.srt"])
    account = made.run()
    assert account.failed == 1
    assert (tmp_path / "p.srt").read_text().startswith("1\n00:00:00,000 --> 00:00:01,000\nHappiness 0.65")
    assert said[0] == f"error: {tmp_path / 'taken.csv'}: is a folder; give a file, or use --out-dir"
    assert leftovers(tmp_path) == []


def test_sound_alone_has_no_annotated_video_but_the_rest(tmp_path: Path, clip) -> None:
    source = clip("c.wav", sound_codec="pcm_s16le")
    made, said = session([source], [tmp_path / "p.mp4", tmp_path / "p.csv"])
    assert made.run().failed == 1
    assert said[0].endswith("c.wav has no video to draw on")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["p.csv"]


def test_an_input_without_a_place_for_its_result_is_never_read(tmp_path: Path, clip) -> None:
    clip("a.mkv", TIMES)
    clip("b.mkv", TIMES)
    (tmp_path / "out" / "a.csv").mkdir(parents=True)
    made, _ = session([tmp_path / "in"], out_dir=tmp_path / "out")
    account = made.run()
    assert made.recognizer.read == ["b.mkv"]
    assert (account.inputs, account.failed) == (2, 1)
    assert (tmp_path / "out" / "b.csv").is_file()


def test_a_broken_input_leaves_nothing_and_the_others_go_on(tmp_path: Path, clip) -> None:
    clip("a.mkv", TIMES)
    clip("b.mkv", TIMES)
    made, said = session([tmp_path / "in"], out_dir=tmp_path / "out", formats=["csv", "mp4", "png", "srt"])
    made.recognizer.broken = ["a.mkv"]
    assert made.run().failed == 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "b.annotated.mp4",
        "b.csv",
        "b.png",
        "b.srt",
    ]
    assert said[0].endswith("a.mkv: damaged")


def test_an_interrupt_leaves_nothing(tmp_path: Path, clip) -> None:
    made, _ = session([clip("c.mkv", TIMES)], [tmp_path / name for name in ("p.csv", "p.mp4", "p.png")])

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    made.reporter.advance = interrupt  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        made.run()
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


class Failing(Scripted):
    """Its engines fail at ``broken`` inputs."""

    reloads = 0

    def run(self, sources: Iterable[str | Path]) -> Iterator[Event]:
        for source in map(Path, sources):
            yield Started(source, 1.0)
            if source.name in self.broken:
                raise EngineError("the library failed")
            yield Done(source, 0, ())

    def reload(self) -> None:
        self.reloads += 1


def test_engines_that_fail_cost_what_was_under_way(tmp_path: Path) -> None:
    listener = Listener()
    jobs = plan([Path(f"{name}.mp4") for name in "abcd"], [], tmp_path, ["csv"])
    scripted = Failing(broken=("b.mp4", "d.mp4"))
    account = Session(scripted, jobs, listener).run()  # type: ignore[arg-type]
    assert [(str(outcome.source), outcome.status) for outcome in account.outcomes] == [
        ("a.mp4", "done"),
        ("b.mp4", "failed"),
        ("c.mp4", "done"),
        ("d.mp4", "failed"),
    ]
    assert scripted.reloads == 1  # nothing is left after the last one
    assert listener.lines == [f"error: {name}.mp4: not finished, the library failed" for name in "bd"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "c.csv"]


class TestStopped:
    """By a signal that was meant for a live source."""

    class Stopping(Scripted):
        """What the recogniser gives if it is stopped in the first of several files."""

        def run(self, sources: Iterable[str | Path]) -> Iterator[Event]:
            source = Path(next(iter(sources)))
            yield Started(source, 1.0)
            yield Row(source, rows(self.times)[0])
            yield Failed(source, MediaError(source, "stopped before its end"))

    def test_what_was_not_read_to_its_end_is_not_done(self, tmp_path: Path) -> None:
        jobs = plan([Path("a.mp4"), Path("b.mp4"), Path("c.mp4")], [], tmp_path, ["csv"])
        listener = Listener()
        account = Session(self.Stopping(), jobs, listener).run()  # type: ignore[arg-type]
        assert listener.settled == [("a.mp4", "failed"), ("b.mp4", "failed"), ("c.mp4", "failed")]
        assert (account.done, account.failed) == (0, 3)
        assert [outcome.cause for outcome in account.outcomes[1:]] == ["not begun: the call was stopped"] * 2
        assert account.summary().startswith("0 of 3 inputs done, 3 failed")
        assert list(tmp_path.iterdir()) == []

    def test_rows_of_a_live_source_stay(self, tmp_path: Path) -> None:
        class Lost(Scripted):
            def run(self, sources: Iterable[str | Path]) -> Iterator[Event]:
                source = Path(next(iter(sources)))
                yield Started(source, None, live=True)
                for row in rows(self.times):
                    yield Row(source, row)
                    shown = (tmp_path / "a.csv").read_text()
                    assert len(shown.splitlines()) == 2 + row.index
                yield Failed(source, MediaError(source, "the camera is gone"))

        jobs = plan([Path("a.mp4")], [tmp_path / "a.csv", tmp_path / "a.svg"], None, [])
        account = Session(Lost(), jobs).run()  # type: ignore[arg-type]
        assert account.failed == 1
        assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


SCRIPTED = """
from pathlib import Path
import numpy as np
from emorec_rt.windows.prediction import Prediction
from emorec_rt.recognizer.options import Options
from emorec_rt.recognizer.events import Done, Row, Started
class Scripted:
    labels, options, notice, measures = ("a", "b"), Options(), "", ()
    def __init__(self, times):
        self.times, self.read, self.rows = times, [], 0
    def run(self, sources):
        for source in map(Path, sources):
            self.read.append(source.name)
            yield Started(source, None)
            for index, time in enumerate(self.times):
                self.rows += 1
                p = np.array([0.75, 0.25], np.float32)
                yield Row(source, Prediction(index, time, "a", p, True, True))
            yield Done(source, len(self.times), ())
"""

CALL = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from scripted import Scripted
from emorec_rt.jobs.plan import plan
from emorec_rt.jobs.reporter import Reporter
from emorec_rt.jobs.session import Session
jobs = plan([Path("a.mp4"), Path("b.mp4")][: int(sys.argv[2])], list(map(Path, sys.argv[3:])), None, [])
scripted = Scripted(times=[0.04 * i for i in range(5000)])
class Printing(Reporter):
    def say(self, line):
        print(line, file=sys.stderr)
totals = Session(scripted, jobs, Printing()).run()
print(totals.failed, totals.reader_gone, scripted.rows < 5000, scripted.read, file=sys.stderr)
"""


@contextlib.contextmanager
def started(
    folder: Path, inputs: int, *outs: str, stdout: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[str]]:
    (folder / "scripted.py").write_text(SCRIPTED)
    with subprocess.Popen(
        [sys.executable, "-c", CALL, str(folder), str(inputs), *outs],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment(),
    ) as process:
        yield process


class TestStandardOutput:
    def test_a_reader_that_leaves_ends_everything_quietly(self, tmp_path: Path) -> None:
        with started(tmp_path, 2, "-") as process:
            assert json.loads(process.stdout.readline())["video"] == "a"
            process.stdout.close()
            assert process.stderr.read().splitlines() == ["0 True True ['a.mp4']"]

    def test_what_goes_into_files_is_finished_all_the_same(self, tmp_path: Path) -> None:
        with started(tmp_path, 1, "-", "p.csv") as process:
            process.stdout.readline()
            process.stdout.close()
            assert process.stderr.read().splitlines() == ["0 True False ['a.mp4']"]
        assert len((tmp_path / "p.csv").read_text().splitlines()) == 5001

    def test_a_full_device_is_one_line(self, tmp_path: Path) -> None:
        full = os.open("/dev/full", os.O_WRONLY)
        with started(tmp_path, 2, "-", stdout=full) as process:
            os.close(full)
            error, account = process.stderr.read().splitlines()
        assert error == "error: standard output: can't be written (No space left on device)"
        assert account == "2 False True ['a.mp4']"
