"""Seals: made by this user, believed by this user, with a key that nobody else can read."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from emorec_rt.errors import OutputError
from emorec_rt.machine.seal import KEY_NAME, Sealed, is_sealed, seal, user_cache


class Note(Sealed, frozen=True, kw_only=True):
    text: str


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return user_cache() / KEY_NAME


def test_a_record_is_ours_as_it_was_sealed(key: Path) -> None:
    note = Note(text="built here")
    assert not note.is_ours()
    sealed = note.sealed()
    assert sealed.is_ours()
    assert sealed.sealed() == sealed
    assert not Note(text="built there", seal=sealed.seal).is_ours()
    assert key.stat().st_mode & 0o777 == 0o600
    assert list(key.parent.iterdir()) == [key], "nothing is left beside the key"


def test_another_key_is_another_user(key: Path) -> None:
    mark = seal(b"x")
    assert is_sealed(b"x", mark)
    key.unlink()
    assert not is_sealed(b"x", mark)
    seal(b"y")
    assert not is_sealed(b"x", mark)


@pytest.mark.parametrize("damage", ["open", "short", "link", "folder"])
def test_a_key_that_others_may_know_is_refused(key: Path, damage: str, tmp_path: Path) -> None:
    mark = seal(b"x")
    if damage == "open":
        key.chmod(0o644)
    elif damage == "short":
        key.write_bytes(b"short")
    else:
        key.rename(tmp_path / "elsewhere")
        key.symlink_to(tmp_path / "elsewhere") if damage == "link" else key.mkdir()
    assert not is_sealed(b"x", mark)
    with pytest.raises(OutputError, match="can't keep the key of this user's plans"):
        seal(b"x")


def test_no_place_for_a_key_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="set XDG_CACHE_HOME"):
        seal(b"x")


def test_of_many_that_start_at_once_all_take_one_key() -> None:
    seals: list[str] = []
    threads = [threading.Thread(target=lambda: seals.append(seal(b"x"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seals) == 8
    assert len(set(seals)) == 1
