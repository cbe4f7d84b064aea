"""Folders in the user's cache for models as a library has compiled them; the least recently used ones go."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

from emorec_rt.machine.seal import user_cache

SWITCH: Final = "EMOREC_NO_CACHE"
"""Environment variable: with any value, nothing is cached that only saves time."""

FOLDER: Final = "compiled"
MOST: Final = 6
"""Folders that stay: the encoders of three bundles."""


def compiled_folder(key: str) -> Path | None:
    """Folder for one model; ``None`` where nothing may be kept, or where others could put something there.

    Args:
        key: Name of the folder: hash of the model, and all that its compiled form depends on.
    """
    if os.environ.get(SWITCH):
        return None
    every = user_cache() / FOLDER
    folder = every / key
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _ours(every) or not _ours(folder):
            return None
        os.utime(folder)  # it was used now
        _forget(every)
    except OSError:
        return None
    return folder


def _ours(folder: Path) -> bool:
    """Say whether a folder is this user's and nobody else may write to it."""
    found = folder.stat(follow_symlinks=False)
    mine = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
    return mine and folder.is_dir() and not found.st_mode & 0o022


def _forget(every: Path) -> None:
    """Remove what has not been used for longest."""
    by_use = sorted(every.iterdir(), key=lambda folder: folder.lstat().st_mtime, reverse=True)
    for folder in by_use[MOST:]:
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
