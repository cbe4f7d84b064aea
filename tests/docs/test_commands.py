"""No command in a page can rot unseen: it is run here, or held against its program's own options.

``emorec-rt`` runs for real on a short talk with the default bundle; ``test_training_commands.py`` runs the
calls of training. Export and calibration are run by the tests of those parts, and their calls are only read
here. A block with a mark (``<!-- needs: a gpu -->``) is read too, and not run.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from commands import Shown, check, commands, emorec_rt, lines, option_names
from pages import PAGES, ROOT, Block, all_blocks, name_of, prose

SHELL = all_blocks("sh", "bash", "shell", "console")
KNOWN_NEEDS = {
    "a camera",
    "a checkpoint",
    "a cluster",
    "a gpu",
    "a network",
    "a stream",
    "an hour",
    "hours",
    "the library",
    "data",
    "jetson",
    "minutes",
    "root",
}
"""What a mark may say. ``a network`` is for package indexes and weights, ``minutes`` for what takes long."""

MAY_FAIL = ("doctor",)
"""Exit code 1 says something about the machine."""


def _runnable(shown: Shown) -> bool:
    return shown.program == "emorec-rt" and not shown.needs and not shown.environment


CHECKED = [shown for block in SHELL for shown in commands(block)]
PIPED = {
    (shown.place, line)
    for block in SHELL
    if not block.needs
    for line in lines(block)
    for shown in commands(block)
    if any(sign in line.replace("&&", "") for sign in "|<>") and "emorec-rt" in line
}
RUN = list(
    dict.fromkeys(
        shown.words
        for shown in CHECKED
        if _runnable(shown) and (shown.place, shown.line) not in PIPED and "pip " not in shown.line
    )
)


@pytest.mark.parametrize("shown", CHECKED, ids=lambda shown: f"{shown.place} {' '.join(shown.words)[:60]}")
def test_program_and_options_exist(shown: Shown) -> None:
    check(shown)


def test_marks_say_what_is_needed() -> None:
    needs = Counter(need.strip() for block in SHELL for need in block.needs.split(",") if need)
    assert needs.keys() <= KNOWN_NEEDS, f"unknown marks: {needs.keys() - KNOWN_NEEDS}"
    for need, count in sorted(needs.items()):
        print(f"{count} blocks of commands need {need}")


INLINE = sorted(
    {
        (name_of(page), span)
        for page in PAGES
        for span in re.findall(r"`((?:emorec-rt|python \S+\.py|python -m emorec_\w+) [^`]+)`", prose(page))
    }
)


@pytest.mark.parametrize(("page", "span"), INLINE)
def test_options_in_running_text_exist(page: str, span: str) -> None:
    """Values may be placeholders there, so only the names are held against the program."""
    for shown in commands(Block(page, 0, "sh", span, "")):
        known = option_names(shown)
        unknown = [word for word in shown.words if word.startswith("--") and word not in known]
        assert not unknown, f"{page}: `{span}`: no option {', '.join(unknown)}"


@pytest.mark.parametrize("words", RUN, ids=" ".join)
def test_the_runtime_does_what_the_page_says(
    words: tuple[str, ...], stage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stage)
    result = _invoke(words[1:])
    expected = (0, 1) if words[1:2] and words[1] in MAY_FAIL else (0,)
    assert result.exit_code in expected, result.output or result.exception
    for option in ("--out", "-o"):
        for target in (b for a, b in pairwise(words) if a == option and b != "-"):
            assert (stage / target).stat().st_size > 0


def _invoke(arguments: tuple[str, ...]) -> Result:
    assert threading.current_thread() is threading.main_thread()
    return CliRunner().invoke(emorec_rt(), list(arguments))


@pytest.mark.parametrize("line", sorted({line for _, line in PIPED}))
def test_pipes(line: str, stage: Path, environment: dict[str, str]) -> None:
    for tool in ("jq", "ffmpeg"):
        if f"{tool} " in line and shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=stage,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "error:" not in done.stderr
    assert done.stdout


@pytest.mark.parametrize("block", all_blocks("python"), ids=lambda block: block.place)
def test_python_examples_run(
    block: Block, stage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = compile(block.text, block.place, "exec")
    if not block.needs:
        monkeypatch.chdir(stage)
        exec(source, {"__name__": "example"})  # noqa: S102 - our own page
        assert capsys.readouterr().out


def test_the_first_two_commands_are_those_of_the_clean_machine() -> None:
    """``.ci/run`` makes fresh environments and runs the README's two set-up commands as they stand."""
    setups = [line for block in SHELL for line in lines(block) if block.page == "README.md" and "pip" in line]
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert len(setups) == 2
    first, second = setups
    assert first.split(" && ")[1] in script
    assert "pip\" install -q '.[cpu]'" in script
    assert "pip\" install -q -e '.[dev]'" in script
    assert second.endswith("pytest")
    assert sys.version_info >= (3, 10)
