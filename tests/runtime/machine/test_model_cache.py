"""Folders for compiled models: whose they are, and which ones stay."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emorec_rt.machine.model_cache import MOST, SWITCH, compiled_folder


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "emorec" / "compiled"


def test_a_folder_is_private(cache: Path) -> None:
    folder = compiled_folder("a")
    assert folder == cache / "a"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_least_recently_used_goes(cache: Path) -> None:
    for k in range(MOST):
        folder = compiled_folder(str(k))
        assert folder is not None
        (folder / "model.blob").write_bytes(b"compiled")
        os.utime(folder, (k, k))
    compiled_folder("0")
    compiled_folder("new")
    assert sorted(path.name for path in cache.iterdir()) == ["0", *map(str, range(2, MOST)), "new"]


def test_a_folder_that_others_may_write_to_is_not_taken(cache: Path) -> None:
    (cache / "a").mkdir(parents=True)
    (cache / "a").chmod(0o777)
    assert compiled_folder("a") is None


def test_a_link_is_not_taken(cache: Path, tmp_path: Path) -> None:
    cache.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (cache / "a").symlink_to(tmp_path / "elsewhere")
    assert compiled_folder("a") is None


def test_nothing_is_kept_where_the_user_says_so(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "1")
    assert compiled_folder("a") is None
    assert not cache.exists()


def test_a_place_that_cannot_be_written_stops_nothing(cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("a file")
    assert compiled_folder("a") is None
