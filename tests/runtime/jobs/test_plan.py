"""Which files a call means, and where their results go."""

from __future__ import annotations

from pathlib import Path

import pytest

from emorec_rt.cli.run import run
from emorec_rt.errors import UsageError
from emorec_rt.jobs.plan import Job, Output, plan
from emorec_rt.writers import FORMATS, MIN_SEGMENT_SECONDS, STDOUT

TALK = Path("talk.mp4")


def outputs(jobs: list[Job]) -> list[tuple[str, str]]:
    return [(str(output.target), output.format) for job in jobs for output in job.outputs]


def test_the_command_line_offers_every_format() -> None:
    options = {option.name: option for option in run.params}
    assert list(options["format_names"].type.choices) == list(FORMATS)
    assert options["min_segment_seconds"].default == MIN_SEGMENT_SECONDS


def test_json_lines_to_standard_output_unless_asked_otherwise() -> None:
    assert plan([TALK, Path("b.mp4")], [], None, []) == [
        Job(TALK, (Output(STDOUT, "jsonl"),)),
        Job(Path("b.mp4"), (Output(STDOUT, "jsonl"),)),
    ]


def test_several_results_in_one_call() -> None:
    names = ["preds.txt", "preds.SRT", "annotated.mp4", "timeline.png", "-"]
    assert outputs(plan([TALK], list(map(Path, names)), None, [])) == list(
        zip(names, ["txt", "srt", "mp4", "png", "jsonl"], strict=True)
    )


def test_the_format_of_a_single_result_can_be_said() -> None:
    assert outputs(plan([TALK], [Path("p.dat")], None, ["csv"])) == [("p.dat", "csv")]
    assert outputs(plan([TALK], [], None, ["srt"])) == [("-", "srt")]


def test_a_folder_of_results(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.wav", "sub/b.mkv", "notes.txt", "a.annotated.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    jobs = plan([tmp_path], [], Path("out"), ["jsonl", "mp4", "jsonl"])
    assert outputs(jobs) == [
        ("out/a.mp4.jsonl", "jsonl"),
        ("out/a.mp4.annotated.mp4", "mp4"),
        ("out/a.wav.jsonl", "jsonl"),
        ("out/a.wav.annotated.mp4", "mp4"),
        ("out/sub/b.jsonl", "jsonl"),
        ("out/sub/b.annotated.mp4", "mp4"),
    ]
    assert {format_ for _, format_ in outputs(plan([tmp_path], [], Path("out"), []))} == {"csv"}


@pytest.mark.parametrize(
    ("inputs", "outs", "out_dir", "formats", "part"),
    [
        ([TALK], ["p.csv"], "out", [], "exclude each other"),
        ([TALK], ["p.unknown"], None, [], "--format"),
        ([TALK], [], None, ["mp4"], "standard output"),
        ([TALK], ["p.csv", "p.csv"], None, [], "same name"),
        ([TALK], ["p.csv", "p.srt"], None, ["vtt"], "single --out"),
        ([TALK], [], "out", ["nope"], "unknown format nope"),
        ([TALK], ["talk.mp4"], None, [], "talk.mp4 is an input"),
        ([TALK], ["./sub/../talk.mp4"], None, [], "is an input"),
        ([TALK, Path("b.mp4")], ["p.csv"], None, [], "--out-dir"),
        ([TALK, Path("b.mp4")], [], None, ["csv"], "only jsonl"),
        ([Path("x/talk.mp4"), Path("y/talk.mp4")], [], "out", [], "same name"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    inputs: list[Path],
    outs: list[str],
    out_dir: str | None,
    formats: list[str],
    part: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    with pytest.raises(UsageError, match=part):
        plan(inputs, list(map(Path, outs)), out_dir and Path(out_dir), formats)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no media file"):
        plan([tmp_path], [], None, [])
