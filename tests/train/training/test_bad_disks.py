"""Folders that can't be read or written end in a line that names them, never in a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from emorec_rt.errors import OutputError
from emorec_train.data.datasets import AffWild2, ClassFolders
from emorec_train.evaluation.plots import plot_confusion
from emorec_train.features.cache import CacheSettings, FeatureCache
from emorec_train.training import run as recipe
from emorec_train.training.board import open_board
from emorec_train.training.state import Epoch
from layouts import write_affwild2
from small_model import config
from tiny_commands import call

FULL = OSError(28, os.strerror(28))
DENIED = f"can't be read ({os.strerror(13)})"
SETTINGS = CacheSettings(preprocessing=config().preprocessing, vision="v", audio="a")


@pytest.fixture
def forbid(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Make a folder one that may not be looked into, for root as well."""
    look, forbidden = os.scandir, set[str]()

    def scandir(path: Any = ".") -> Iterator[os.DirEntry[str]]:
        if os.fspath(path) in forbidden:
            raise PermissionError(13, os.strerror(13), os.fspath(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", scandir)
    return lambda folder: forbidden.add(str(folder))


@pytest.mark.parametrize("taken", ["lock", "scratch"])
def test_a_cache_that_takes_no_scratch(taken: str, tmp_path: Path) -> None:
    with FeatureCache(tmp_path / "c", SETTINGS) as cache:
        (tmp_path / "c" / taken).mkdir() if taken == "lock" else (tmp_path / "c" / taken).touch()
        with pytest.raises(OutputError, match=f"^{tmp_path / 'c'}: can't be written: "):
            cache.scratch()


def test_a_cache_whose_shards_are_no_folder(tmp_path: Path) -> None:
    with FeatureCache(tmp_path / "c", SETTINGS):
        pass
    (tmp_path / "c" / "shards").rmdir()
    (tmp_path / "c" / "shards").touch()
    with pytest.raises(OutputError, match="can't be written"):
        FeatureCache(tmp_path / "c", SETTINGS)


def test_a_board_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Writer:
        def __init__(self, folder: str) -> None:
            if folder == "full":
                raise FULL

        def add_scalar(self, *_: object) -> None:
            raise FULL

        def close(self) -> None: ...

    tensorboard = ModuleType("torch.utils.tensorboard")
    tensorboard.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", tensorboard)
    with pytest.raises(OutputError, match=r"^full: can't be written: No space"), open_board(Path("full")):
        pass
    epoch = Epoch(mode="both", epoch=1, loss=1.0, learning_rate=1.0, macro_f1=0.0)
    with pytest.raises(OutputError, match="No space left"), open_board(tmp_path) as board:
        board(epoch)


def test_a_picture_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OutputError, match=r"a\.png: is a folder"):
        plot_confusion(np.eye(2, dtype=np.int64), ["a", "b"], "t", tmp_path / "a.png")
    plot_confusion(np.eye(2, dtype=np.int64), ["a", "b"], "t", tmp_path / "new" / "b.png")
    assert [path.name for path in tmp_path.rglob("*")] == ["a.png", "new", "b.png"]


def test_metrics_that_can_not_be_written_are_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save = recipe.save_checkpoint

    def save_and_break(folder: Path, *arguments: Any, **keywords: Any) -> None:
        save(folder, *arguments, **keywords)
        (folder / "metrics.json").mkdir()

    monkeypatch.setattr(recipe, "save_checkpoint", save_and_break)
    options = ("--preset", "tiny", "--random-encoders", "--workers", "1", "--set", "fusion.epochs=1")
    assert call("run.py", *options, "--out", str(tmp_path / "run")) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert str(tmp_path / "run" / "metrics.json") in errors[0]


def test_unreadable_class_folders_are_problems(tmp_path: Path, forbid: Callable[[Path], None]) -> None:
    for name in ("happy", "sad", "val/happy"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.mp4").touch()
    forbid(tmp_path / "val")
    records, problems = ClassFolders(tmp_path).scan()
    assert not records
    assert [str(problem) for problem in problems] == [f"{tmp_path / 'val'}: {DENIED}"]
    forbid(tmp_path)
    assert [str(problem) for problem in ClassFolders(tmp_path).scan().problems] == [f"{tmp_path}: {DENIED}"]
    assert ClassFolders(tmp_path).labels == ()


def test_unreadable_image_folders_are_problems(tmp_path: Path, forbid: Callable[[Path], None]) -> None:
    root = write_affwild2(tmp_path / "aff")
    images = AffWild2(root).scan().records[0].frames
    assert images is not None
    forbid(images.path)
    records, problems = AffWild2(root).scan()
    assert records[0].frames is not None
    assert not len(records[0].frames.numbers)
    assert f"{images.path}: {DENIED}; no frame has a picture" in map(str, problems)
    forbid(images.path.parent)
    assert f"{images.path.parent}: {DENIED}" in map(str, AffWild2(root).scan().problems)
