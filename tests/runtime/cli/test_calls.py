"""Calls that are slightly wrong, and what surrounds a call: streams, encodings, signals, completion, help."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from emorec_rt.cli import bar, cli
from emorec_rt.cli.bar import Bar
from emorec_rt.cli.console import say, tell
from emorec_rt.cli.groups import refuse_misspelt
from emorec_rt.cli.run import GROUPS, run
from emorec_rt.errors import MediaError, UsageError
from folder_clips import environment, write_clip

COMMAND = [sys.executable, "-m", "emorec_rt"]
FAST = ("--face", "off", "--backend", "onnxruntime")


def emorec(
    *arguments: str | Path, folder: Path | None = None, redirect: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the program in a shell, which may close or redirect streams."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirect}', "sh", *COMMAND, *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        cwd=folder,
        env={**environment(), **variables},
        timeout=120,
    )


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "видео 感.mkv", frames=25)


class TestStandardStreams:
    def test_output_is_utf8_whatever_the_locale(self, clip: Path) -> None:
        done = emorec(clip, "-q", *FAST, PYTHONIOENCODING="latin-1")
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert len(lines) == 25
        assert '"video":"видео 感"' in lines[0]

    def test_closed_output_is_one_line(self, clip: Path) -> None:
        done = emorec(clip, "-q", *FAST, redirect=">&-")
        assert (done.returncode, done.stderr) == (
            1,
            "error: standard output: is closed; give --out FILE\n",
        )

    def test_closed_output_and_errors_harm_no_result(self, clip: Path, tmp_path: Path) -> None:
        done = emorec(clip, "-o", tmp_path / "p.csv", *FAST, redirect=">&- 2>&- <&-")
        assert done.returncode == 0
        lines = (tmp_path / "p.csv").read_text().splitlines()
        assert len(lines) == 26
        assert lines[0].startswith("frame,")

    def test_a_file_as_input_may_have_its_index_at_the_end(self, tmp_path: Path) -> None:
        clip = write_clip(tmp_path / "a.mp4", frames=25)
        done = emorec("-", "-q", *FAST, redirect=f"< {clip}")
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 25


class TestControlCharacters:
    NAME = "a\x1b]0;owned\x07\nerror: b,\x9b31m\u202e"

    def test_do_not_reach_a_terminal(self, capsys: pytest.CaptureFixture[str]) -> None:
        say(f"warning: {MediaError(self.NAME, 'is odd')}")
        tell(self.NAME)
        shown = "".join(capsys.readouterr())
        assert not {letter for letter in shown if not (letter.isprintable() or letter == "\n")}

    def test_do_not_make_lines_of_their_own(self, tmp_path: Path) -> None:
        (tmp_path / f"{self.NAME}.mkv").write_bytes(b"no media")
        done = emorec(tmp_path, "--out-dir", tmp_path / "out", *FAST)
        assert done.returncode == 1
        assert sum(line.startswith("error:") for line in done.stderr.splitlines()) == 1
        assert "\x1b" not in done.stderr

    def test_names_do_not_break_rows(self, tmp_path: Path) -> None:
        clip = write_clip(tmp_path / f"{self.NAME}.mkv", frames=5)
        done = emorec(clip, "-q", "-o", tmp_path / "p.txt", *FAST)
        assert done.returncode == 0, done.stderr
        header, *rows = (tmp_path / "p.txt").read_text(encoding="utf-8").splitlines()
        assert header.startswith("image_location,")
        assert len(rows) == 5
        assert all(row.count(",") == 1 for row in rows)


def test_a_long_name_has_results(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / ("感" * 80 + ".mkv"), frames=5)
    done = emorec(clip, "-q", "--out-dir", tmp_path / "out", *FAST)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["感" * 80 + ".csv"]


class TestWords:
    def test_a_misspelt_command_is_told(self) -> None:
        with pytest.raises(UsageError, match=r"doctr is neither a file nor a command; .* emorec-rt doctor"):
            refuse_misspelt("doctr", list(cli.commands))

    @pytest.mark.parametrize("word", ["talk.mp4", "webcam", "-", "runs", "@list", "a/doctr"])
    def test_other_words_are_inputs(self, word: str) -> None:
        refuse_misspelt(word, list(cli.commands))

    def test_a_file_may_be_named_like_that(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "doctr").touch()
        monkeypatch.chdir(tmp_path)
        refuse_misspelt("doctr", list(cli.commands))

    @pytest.mark.parametrize(
        ("word", "hint"),
        [("tlak.mkv", "; did you mean talk.mkv?"), ("webcam", "; a camera is /dev/video0"), ("x.mp4", "")],
    )
    def test_missing_files_are_told_before_anything_is_loaded(
        self, tmp_path: Path, word: str, hint: str
    ) -> None:
        write_clip(tmp_path / "talk.mkv", frames=5)
        done = emorec(word, "--backend", "tensorrt", folder=tmp_path)
        assert done.returncode == 1
        assert f"error: {word}: no such file{hint}" in done.stderr

    def test_the_other_inputs_are_done(self, tmp_path: Path) -> None:
        write_clip(tmp_path / "talk.mkv", frames=5)
        done = emorec("gone.mkv", "talk.mkv", "--out-dir", "out", *FAST, folder=tmp_path)
        assert done.returncode == 1
        assert "1 of 2 inputs done, 1 failed: 5 rows" in done.stderr


class TestSummaryFile:
    @pytest.mark.parametrize(
        ("summary", "reason"),
        [("out/a.mkv.csv", "a result"), ("a.json", "an input"), ("list.csv", "a list of inputs")],
    )
    def test_overwrites_nothing_of_the_call(self, tmp_path: Path, summary: str, reason: str) -> None:
        for name in ("a.mkv", "a.json"):
            (tmp_path / name).write_bytes(b"precious")
        (tmp_path / "list.csv").write_text("a.json\n")
        done = emorec("a.mkv", "@list.csv", "--out-dir", "out", "--summary", summary, folder=tmp_path)
        assert done.returncode == 2
        assert f"--summary {summary} is {reason}" in done.stderr
        assert (tmp_path / "a.json").read_bytes() == b"precious"

    def test_a_list_is_no_result_either(self, tmp_path: Path) -> None:
        write_clip(tmp_path / "a.mkv", frames=5)
        (tmp_path / "list.csv").write_text("a.mkv\n")
        done = emorec("--list", "list.csv", "--out", "list.csv", folder=tmp_path)
        assert (done.returncode, (tmp_path / "list.csv").read_text()) == (2, "a.mkv\n")


class TestHelp:
    def test_every_option_has_a_heading(self) -> None:
        grouped = {name for names in GROUPS.values() for name in names}
        options = {str(param.name) for param in run.params if isinstance(param, click.Option)}
        assert options - grouped == set(), "add them to GROUPS in cli/run.py"
        assert grouped - options == set(), "GROUPS in cli/run.py names what is no option"

    def test_headings_commands_and_version_are_shown(self) -> None:
        shown = CliRunner().invoke(cli, ["-h"]).output
        assert all(f"\n{heading}:\n" in shown for heading in (*GROUPS, "Other", "Commands"))
        assert "-h, --help" in shown
        assert "--version" in shown
        assert "Results:" in CliRunner().invoke(cli, ["talk.mp4", "-h"]).output


class TestCompletion:
    @pytest.mark.parametrize(
        ("before", "incomplete", "offered"),
        [
            ([], "doc", {"doctor"}),
            ([], "--out", {"--out", "--out-dir"}),
            (["talk.mp4"], "--summ", {"--summary"}),
            (["talk.mp4", "--backend"], "onnx", {"onnxruntime", "onnxruntime-cuda"}),
            (["build", "--backend"], "openv", {"openvino"}),
        ],
    )
    def test_commands_options_and_backends(
        self, before: list[str], incomplete: str, offered: set[str]
    ) -> None:
        shell = ShellComplete(cli, {}, "emorec-rt", "_EMOREC_RT_COMPLETE")
        assert offered <= {item.value for item in shell.get_completions(before, incomplete)}

    @pytest.mark.parametrize("before", [[], ["talk.mp4"], ["talk.mp4", "--out"], ["info"], ["bench"]])
    def test_files(self, before: list[str]) -> None:
        shell = ShellComplete(cli, {}, "emorec-rt", "_EMOREC_RT_COMPLETE")
        assert "file" in {item.type for item in shell.get_completions(before, "ta")}


class TestBar:
    def test_time_left_is_told_once_it_can_be_known(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bar.click, "echo", lambda *_, **__: None)
        made = Bar(1000)
        made.advance(100)
        assert "left" not in made.text(1.0)
        assert made.text(10.0).rstrip().endswith("10 %  1:30 left")

    def test_loading_is_no_part_of_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        times, drawn = iter([100.0, 104.0]), []
        monkeypatch.setattr(bar.time, "monotonic", lambda: next(times))
        monkeypatch.setattr(bar.click, "echo", lambda text="", **_: drawn.append(text))
        made = Bar(1000)
        made.advance(0)
        made.advance(500)
        assert "50 %  0:04 left" in drawn[-1]


INTERRUPTED_AT = """
import os, signal, sys
module = sys.argv.pop(1)
class Interruption:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interruption())
from emorec_rt.__main__ import main
main()
"""


@pytest.mark.parametrize("module", ["click", "av", "cv2", "onnxruntime"])
def test_ctrl_c_while_loading_is_one_line_at_most(clip: Path, tmp_path: Path, module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT, module, str(clip), "-o", str(tmp_path / "p.csv"), *FAST],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode in (130, -signal.SIGINT)
    assert list(tmp_path.iterdir()) == []


def test_a_run_needs_nothing_that_linux_alone_has(clip: Path, tmp_path: Path) -> None:
    """As on macOS (no affinity) and Windows (no file locks): one call, with a journal."""
    code = (
        "import os, sys; del os.sched_getaffinity; sys.modules['fcntl'] = None\n"
        "from emorec_rt.cli import main; main()"
    )
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", code, str(clip), "-q", "--out-dir", str(out), "--resume", *FAST],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in out.iterdir()) == [".emorec-done.jsonl", f"{clip.stem}.csv"]


def test_a_system_without_affinity_counts_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS and Windows."""
    from emorec_rt.machine.cores import usable_cores

    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cores() >= 1


def test_a_terminal_gets_segments_without_a_bar_between_them(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "talk.mkv", frames=25)
    ours, theirs = os.openpty()
    command = [*COMMAND, str(clip), *FAST]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment()) as process:
        os.close(theirs)
        shown = b"".join(iter(lambda: _read(ours), b"")).decode()
    assert process.returncode == 0
    assert "{" not in shown
    assert "recognising" not in shown
    assert "talk\r\n" in shown


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end is closed
        return b""
