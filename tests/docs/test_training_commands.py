"""The calls of ``train/`` that docs/train.md shows, run on small data in the layouts that it shows.

A small preset with random weights stands in for ``reference``, whose encoders have to be downloaded.
Everything else of a call is as the page has it.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest

from commands import Shown, commands
from emorec_train.data.synthetic import SPLITS
from layouts import write_affwild2, write_cremad, write_meld, write_ravdess, write_wave
from pages import ROOT, blocks
from tiny_commands import call

STAND_IN = ("--preset", "tiny", "--random-encoders", "--workers", "1")
LABELS = ("happy", "sad", "neutral")


def shown() -> list[Shown]:
    """Calls without published weights of their own choice; those that differ in ``--out`` alone once."""
    found = [
        command
        for page in ("train.md", "quickstart.md")
        for block in blocks(ROOT / "docs" / page, "sh")
        for command in commands(block)
    ]
    ours = [
        command
        for command in found
        if command.words[:2] == ("python", "train/evaluate.py")
        or (
            command.words[:2] in {("python", "train/cache.py"), ("python", "train/run.py")}
            and "--data" in command.words
            and not {"--vision", "--audio"} & set(command.words)
        )
    ]
    first: dict[tuple[str, ...], Shown] = {}
    for command in ours:
        first.setdefault(tuple(_without(command.words, "--out")), command)
    return list(first.values())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``/data`` is in the page."""
    folder = tmp_path_factory.mktemp("data")
    write_ravdess(folder / "ravdess")
    write_cremad(folder / "cremad")
    write_affwild2(folder / "affwild2")
    write_meld(folder / "meld")
    for number, label in enumerate(LABELS * 3):
        speaker = ("anna", "ben", "cleo")[number // 3]
        write_wave(folder / "mine" / label / f"{speaker}-{number:02d}.wav", seed=number)
    with (folder / "mine" / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "split", "speaker"])
        for number, label in enumerate(LABELS * 3):
            speaker = ("anna", "ben", "cleo")[number // 3]
            table.writerow([f"{label}/{speaker}-{number:02d}.wav", label, SPLITS[number // 3], speaker])
    return folder


def test_calls_run_one_after_the_other(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    calls = shown()
    assert {Path(command.words[1]).name for command in calls} == {"cache.py", "run.py", "evaluate.py"}
    for number, command in enumerate(calls):
        _, program, *arguments = command.words
        given = [word.replace(":/data/", f":{data}/") for word in _without(arguments, "--preset")]
        given = ["1/3" if word == "1/5" else word for word in given]  # of three speakers
        given = [
            "3" if before == "--folds" else word for before, word in zip(["", *given], given, strict=False)
        ]
        if program == "train/evaluate.py":
            trained = Path(given[0]).is_dir()  # runs/demo isn't: it is made with no data
            given = [given[0] if trained else "runs/ravdess", *given[1:], "--workers", "1"]
        else:
            given += STAND_IN if "--out" in given else [*STAND_IN, "--out", f"runs/{number}"]
        assert call(Path(program).name, *given) == 0, f"{command.place}: {command.line}"
    runs = [command.words for command in calls if command.words[1] == "train/run.py"]
    ablations = sum("--ablate" in words for words in runs)
    folds = sum("--folds" in words for words in runs)
    assert len(list(tmp_path.glob("runs/*/checkpoint.json"))) == len(runs) - ablations - folds
    assert len(list(tmp_path.glob("runs/*/folds.json"))) == folds
    assert len(list(tmp_path.glob("runs/*/ablation.json"))) == ablations


def _without(arguments: Sequence[str], option: str) -> list[str]:
    """The arguments without an option and its value."""
    if option not in arguments:
        return list(arguments)
    place = arguments.index(option)
    return [*arguments[:place], *arguments[place + 2 :]]
