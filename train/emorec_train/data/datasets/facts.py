"""Hashes of media: what a clip is, whatever it is called, and whether its sound is somewhere else too."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from emorec_rt.errors import OutputError
from emorec_rt.files import write_whole
from emorec_train.console import tracked
from emorec_train.data.datasets.disjoint import sound_hash
from emorec_train.data.workers import map_ahead

_READ_BYTES: Final = 1 << 20


class MediaFacts(msgspec.Struct, frozen=True):
    """Facts about a file, or about a folder of pictures.

    Attributes:
        content: SHA-256 over its bytes.
        sound: ``sound_hash`` of it; ``None`` where it is silent, or nobody asked.
        heard: Whether somebody asked.
    """

    content: str
    sound: str | None = None
    heard: bool = False


class _Known(msgspec.Struct, frozen=True):
    signature: str
    facts: MediaFacts


def media_facts(
    paths: Iterable[Path], sounds: Iterable[Path], *, workers: int, memo: Path | None = None
) -> dict[Path, MediaFacts]:
    """Look at files and folders of pictures.

    Args:
        paths: All of them.
        sounds: Those whose sound is to be hashed too.
        workers: Processes.
        memo: A file that remembers what was found for files that haven't changed since.
    """
    known, heard = _remembered(memo), frozenset(sounds)
    found: dict[Path, _Known] = {}
    unknown: list[tuple[Path, bool]] = []
    for path in paths:
        old = known.get(str(path.absolute()))
        wanted = path in heard
        if old is None or old.signature != signature(path) or (wanted and not old.facts.heard):
            unknown.append((path, wanted))
        else:
            found[path] = old
    if unknown:
        looked = map_ahead(_look, unknown, workers=workers)
        for (path, _), fact in zip(unknown, tracked(looked, "checking media", len(unknown)), strict=True):
            found[path] = fact
        _remember(memo, known | {str(path.absolute()): fact for path, fact in found.items()})
    return {path: fact.facts for path, fact in found.items()}


def signature(path: Path) -> str:
    """Names, sizes and times of a file or of a folder's files: a key that changes when they do."""
    digest = hashlib.sha256()
    try:
        if not path.is_dir():
            return _stamp(path.name, path.stat())
        with os.scandir(path) as entries:
            for line in sorted(_stamp(entry.name, entry.stat()) for entry in entries):
                digest.update(line.encode())
    except OSError as error:
        return f"unreadable: {error.strerror}"
    return digest.hexdigest()


def _stamp(name: str, stat: os.stat_result) -> str:
    return f"{name} {stat.st_size} {stat.st_mtime_ns}"


def _look(task: tuple[Path, bool]) -> _Known:
    path, wanted = task
    before = signature(path)  # a file that changes while it is read is looked at again next time
    sound = sound_hash(path) if wanted else None
    return _Known(before, MediaFacts(content_of(path), sound, wanted))


def content_of(path: Path) -> str:
    """Hash of a file, or of all files of a folder, in hex; of its name where it can't be read."""
    digest = hashlib.sha256()
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        for file in files:
            if path.is_dir():
                digest.update(f"{file.name} {file.stat().st_size} ".encode())
            with file.open("rb") as opened:
                while block := opened.read(_READ_BYTES):
                    digest.update(block)
    except OSError:
        return f"unreadable: {path}"
    return digest.hexdigest()


def _remembered(memo: Path | None) -> dict[str, _Known]:
    try:
        return msgspec.json.decode(memo.read_bytes(), type=dict[str, _Known]) if memo else {}
    except (OSError, msgspec.DecodeError):
        return {}


def _remember(memo: Path | None, known: dict[str, _Known]) -> None:
    """Losing it costs time alone, so a disk that can't take it is not an error."""
    if memo is None:
        return
    with contextlib.suppress(OutputError):
        write_whole(memo, msgspec.json.encode(known))
