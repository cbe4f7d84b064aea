"""The cache as a whole: lookup, growth, locking."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from emorec_rt.errors import EmorecError, OutputError
from emorec_rt.files import remove_parts, write_whole
from emorec_rt.windows.window import Window
from emorec_train.console import say, tracked
from emorec_train.features.cache.rows import StoredClip
from emorec_train.features.cache.settings import CacheSettings, Storage, difference
from emorec_train.features.cache.shards import Pending, ShardError, read_shard, remove_shard, write_shard

SETTINGS_FILE: Final = "settings.json"
MEDIA_FILE: Final = "media.json"
SHARD_BYTES: Final = 256 << 20
"""A shard is written when it has this much."""

SHARD_SECONDS: Final = 60.0
"""Or after this long: what a killed process loses."""


DISK_FULL: Final = "the disk is full; free some room and run the same command again: finished clips are kept"


class CacheError(EmorecError, ValueError):
    """A cache that can't be used: it has other settings, is in use, or is not a cache."""

    def __init__(self, path: str | Path, reason: str) -> None:
        self.path = str(path)
        super().__init__(f"{path}: {reason}")


class FeatureCache:
    """Features of clips by key. Use it in a ``with`` block, which writes what is pending at its end.

    Args:
        folder: The cache; made if it isn't there.
        settings: What its features are to be.
        remake: Throw away a cache of other settings.

    Raises:
        CacheError: It is a cache of other settings, or a folder of other things.
        OutputError: It can't be made.
    """

    def __init__(self, folder: Path, settings: CacheSettings, *, remake: bool = False) -> None:
        self.folder = folder
        self._settings = settings
        self._lock: IO[bytes] | None = None
        self._pending = Pending()
        self._written = time.monotonic()
        require_cache_folder(folder)
        self._claim(remake)
        self._clips = self._read()

    def __enter__(self) -> FeatureCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if not isinstance(error, OutputError):
                self.flush()
        finally:
            self._unlock()

    def __contains__(self, key: str) -> bool:
        return key in self._clips or any(clip.key == key for clip in self._pending.clips)

    def load(self, key: str) -> StoredClip:
        """A clip that has been written."""
        return self._clips[key]

    def scratch(self) -> Path:
        """A folder for files on the way to features; emptied when a process starts to write.

        Raises:
            OutputError: There is no room, or no permission.
            CacheError: Another process is writing to the cache.
        """
        self._lock_for_writing()
        folder = self.folder / "scratch"
        with _explained(self.folder):
            folder.mkdir(exist_ok=True)
        return folder

    def add(self, key: str, windows: Sequence[Window], frame_times_seconds: NDArray[np.float64]) -> None:
        """Take in a clip's windows, at least one; they are on disk after ``flush``, at the latest.

        Raises:
            OutputError: There is no room, or no permission.
            CacheError: Another process is writing to the cache.
        """
        if key in self:
            return
        self._lock_for_writing()
        self._pending.add(key, windows, frame_times_seconds)
        waited = time.monotonic() - self._written
        if self._pending.bytes >= SHARD_BYTES or waited >= SHARD_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is pending as a shard."""
        pending, self._pending = self._pending, Pending()
        self._written = time.monotonic()
        if not pending.clips:
            return
        name = hashlib.sha256("".join(clip.key for clip in pending.clips).encode()).hexdigest()[:16]
        target = self._shards / name
        spec = self._settings.preprocessing
        widths = spec.vision.embedding_dim, spec.audio.embedding_dim
        try:
            with _explained(self.folder):
                write_shard(pending, target, widths, self._settings.storage)
            self._clips.update(read_shard(target))
        except ShardError as error:
            raise CacheError(self.folder, str(error)) from error

    @property
    def _shards(self) -> Path:
        return self.folder / "shards"

    def _claim(self, remake: bool) -> None:
        """Make the folder a cache of these settings, or check that it is one."""
        path = self.folder / SETTINGS_FILE
        with _explained(self.folder):
            found = path.read_bytes() if path.is_file() else None
            why = "" if found is None else self._mismatch(found)
            if why and not remake:
                raise CacheError(self.folder, f"{why}; give another folder, or --remake to throw it away")
            if why:
                shutil.rmtree(self._shards, ignore_errors=True)
            if found is None or why:
                self._shards.mkdir(parents=True, exist_ok=True)
                write_whole(path, msgspec.json.format(msgspec.json.encode(self._settings), indent=2) + b"\n")

    def _mismatch(self, found: bytes) -> str:
        """Reason why the settings on disk differ from these; empty if they don't."""
        try:
            return difference(self._settings, msgspec.json.decode(found, type=CacheSettings))
        except msgspec.DecodeError as error:
            return f"is not a cache that this version reads ({error})"

    def _read(self) -> dict[str, StoredClip]:
        with _explained(self.folder):
            self._shards.mkdir(exist_ok=True)
            shards = sorted(path for path in self._shards.iterdir() if not path.name.startswith("."))
        clips: dict[str, StoredClip] = {}
        for shard in tracked(shards, "checking cache", len(shards)) if shards else ():
            clips.update(self._read_or_remove(shard))
        return clips

    def _read_or_remove(self, shard: Path) -> dict[str, StoredClip]:
        try:
            return read_shard(shard)
        except ShardError as error:
            say(f"{shard}: {error}; its clips are made again")
            self._lock_for_writing()
            remove_shard(shard)
            return {}

    def _lock_for_writing(self) -> None:
        """Only one process writes; the system lets go of the lock when it is killed."""
        if self._lock is not None:
            return
        with _explained(self.folder):
            lock = (self.folder / "lock").open("wb")
        try:
            with _explained(self.folder):
                _take(lock, self.folder)
        except EmorecError:
            lock.close()
            raise
        self._lock = lock
        remove_parts(self._shards)
        shutil.rmtree(self.folder / "scratch", ignore_errors=True)

    def _unlock(self) -> None:
        if self._lock is not None:
            shutil.rmtree(self.folder / "scratch", ignore_errors=True)
            self._lock.close()
            self._lock = None


def require_cache_folder(folder: Path) -> None:
    """Make a folder for a cache, or check that an existing one is empty or a cache.

    Raises:
        CacheError: It holds other files.
        OutputError: It can't be made.
    """
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in folder.iterdir()}
    if SETTINGS_FILE not in names and names - {MEDIA_FILE, "lock"}:
        raise CacheError(folder, f"has files in it, but no {SETTINGS_FILE}; give another folder")


def storage_of(folder: Path) -> Storage:
    """Storage of an existing cache; ``float32`` where there is none yet."""
    try:
        return msgspec.json.decode((folder / SETTINGS_FILE).read_bytes(), type=CacheSettings).storage
    except (OSError, msgspec.DecodeError):
        return "float32"


def _take(lock: IO[bytes], folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise CacheError(
            folder, "another process is writing to it; wait for it, or give another folder"
        ) from error


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = DISK_FULL if full else f"can't be written: {error.strerror or error}"
        raise OutputError(folder, reason) from error
