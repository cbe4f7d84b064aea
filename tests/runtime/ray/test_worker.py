"""What a worker of a cluster does with an input, without Ray: rows, folders, stores, what is done before."""

from __future__ import annotations

from pathlib import Path

import pytest

from emorec_ray.remote import RECORDS, RemoteFolder, is_remote
from emorec_ray.rows import Result, Task, in_unicode, pack, unpack
from emorec_ray.running import Ledger
from emorec_ray.worker import Work, Worker
from emorec_rt.errors import UsageError
from emorec_rt.jobs.journal import JOURNAL_NAME, Journal, Record
from emorec_rt.jobs.plan import Job, Output, plan
from emorec_rt.jobs.session import Session
from emorec_rt.jobs.summary import Outcome
from emorec_rt.recognizer.options import Options
from emorec_rt.writers import OutputOptions
from emorec_rt.writers.digest import Summary
from folder_clips import write_clip

OPTIONS = Options(backend="onnxruntime", face="off", threads=1)
ODD_NAME = Path("/videos/\udcff.mp4")  # a byte that is no UTF-8


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("in") / "talk.mp4")


def jobs(clip: Path, out: Path) -> list[Job]:
    return plan([clip], [], out, ["csv", "jsonl"])


def work(out: Path, **settings: object) -> Work:
    return Work(None, OPTIONS, OutputOptions(), out, **settings)  # type: ignore[arg-type]


def test_rows_keep_what_they_are_made_of() -> None:
    summary = Summary(1.0, {"Anger": 1.0}, {"Anger": 0.9}, 0.0, 1.0, 1.0, 0.0, 0, 1)
    job = Job(ODD_NAME, (Output(Path("/out/\udcff.csv"), "csv"),))
    task = Task(3, job, Record({"a.csv": "1"}, "2", "3", 4, 5.0))
    assert unpack(pack(task), Task) == task
    result = Result(3, Outcome(ODD_NAME, "done", 4, 5.0, 6.0, summary=summary), ("a line",), task.record)
    assert unpack(pack(result), Result) == result


def test_lines_about_odd_names_pass() -> None:
    result = in_unicode(Result(0, Outcome(ODD_NAME, "failed", cause=str(ODD_NAME)), (str(ODD_NAME),)))
    assert unpack(pack(result), Result).lines == ("/videos/?.mp4",)


class TestSharedFolder:
    def test_results_are_those_of_one_machine(self, clip: Path, tmp_path: Path) -> None:
        here, there = jobs(clip, tmp_path / "here"), jobs(clip, tmp_path / "there")
        worker = Worker(work(tmp_path / "there"))
        assert worker.result(Task(0, there[0])).outcome is not None
        Session(worker._load(), here).run()
        for one, other in zip(here[0].outputs, there[0].outputs, strict=True):
            assert one.target.read_bytes() == other.target.read_bytes()

    def test_one_machine_resumes_what_a_cluster_has_done(self, clip: Path, tmp_path: Path) -> None:
        (job,) = jobs(clip, tmp_path)
        worker = Worker(work(tmp_path, resume=True))
        made = worker.result(Task(0, job))
        assert made.record is not None
        ledger = Ledger("", received={clip: made.record})
        ledger.add(job, made.outcome)
        assert Journal(worker._settings).split([job])[0] == []
        again = worker.result(Task(0, job, Ledger("").recorded(job)))
        assert again.outcome is not None
        assert again.outcome.status == "skipped"

    def test_what_has_changed_is_done_again(self, clip: Path, tmp_path: Path) -> None:
        (job,) = jobs(clip, tmp_path)
        worker = Worker(work(tmp_path, resume=True))
        made = worker.result(Task(0, job))
        job.outputs[0].target.write_text("else")
        again = worker.result(Task(0, job, made.record))
        assert again.outcome is not None
        assert again.outcome.status == "done"

    def test_a_bad_input_is_an_outcome_with_its_line(self, tmp_path: Path) -> None:
        (tmp_path / "bad.mp4").write_bytes(bytes(100))
        (job,) = jobs(tmp_path / "bad.mp4", tmp_path / "out")
        result = Worker(work(tmp_path / "out")).result(Task(0, job))
        assert result.outcome is not None
        assert result.outcome.status == "failed"
        assert "bad.mp4" in result.lines[0]


class TestStore:
    """``file:///`` goes the way of ``s3://``: through pyarrow."""

    def test_results_and_record_are_uploaded(self, clip: Path, tmp_path: Path) -> None:
        store, plain, scratch = tmp_path / "store", tmp_path / "plain", tmp_path / "scratch"
        Worker(work(plain)).result(Task(0, jobs(clip, plain)[0]))
        task = Task(0, jobs(clip, scratch)[0])
        worker = Worker(work(scratch, remote=store.as_uri(), resume=True))
        made = worker.result(task).outcome
        assert made is not None
        assert made.status == "done"
        found = {path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file()}
        assert found == {"talk.csv", "talk.jsonl", f"{RECORDS}/talk.csv.json"}
        assert (store / "talk.csv").read_bytes() == (plain / "talk.csv").read_bytes()
        assert not list(plain.glob(JOURNAL_NAME))
        statuses = [worker.result(task).outcome]
        (store / "talk.jsonl").write_text("else")
        statuses.append(worker.result(task).outcome)
        assert [outcome.status for outcome in statuses if outcome] == ["skipped", "done"]

    def test_a_store_that_takes_nothing_is_refused_before_the_work(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        for url in ((tmp_path / "file" / "below").as_uri(), "nowhere://bucket"):
            with pytest.raises(UsageError, match=r"--out-dir .*: can't be written"):
                RemoteFolder(url).check()

    def test_addresses(self) -> None:
        assert is_remote("s3://bucket/results")
        assert not is_remote("/shared/results")
