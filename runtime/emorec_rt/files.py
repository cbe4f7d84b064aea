"""Files and folders that appear whole or not at all.

Everything is written under a hidden name beside its place, ``.emorec-<random>.part``, and renamed when it is
complete. The name says nothing about the result, so that nobody can guess it and a result may use all 255
bytes that a file name may have. A lock on it says that someone is still writing; what a killed process has
left has no lock, and is removed by the next one that writes to the same folder.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final

from emorec_rt.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows: nothing is locked, and nothing that was left behind is removed
    fcntl = None  # type: ignore[assignment]

_PART: Final = re.compile(r"\.emorec-[0-9a-f]{16}\.part")
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_FOLDERS_REMEMBERED: Final = 4096
_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2


class WholeFile:
    """A file that is written beside its place and renamed on success; on any error nothing is left.

    Args:
        path: Where the file shall appear; missing folders are made.

    Raises:
        OutputError: The folder is not writable, the disk is full, the path is taken by something that is not
            a file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._shown = False
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _refuse_non_files(path)
            _clean_once(path.parent)
            self._file, self.part = _new_part(path.parent)

    def write(self, data: str | bytes) -> None:
        """Append text (as UTF-8) or bytes."""
        with explained(self.path):
            self._file.write(data.encode("utf-8", "replace") if isinstance(data, str) else data)
            if self._shown:
                self._file.flush()

    def show(self) -> None:
        """Make the file appear now, and later writes at once; ``discard`` leaves it then."""
        with explained(self.path):
            self._file.flush()
            self.part.replace(self.path)
        self._shown = True

    def commit(self) -> None:
        """Make the file appear. Its content is on the disk before its name is."""
        try:
            with explained(self.path):
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
                if not self._shown:
                    self.part.replace(self.path)
        except OutputError:
            self.discard()
            raise

    def discard(self) -> None:
        """Remove what was written, except what was shown."""
        with contextlib.suppress(OSError):  # the disk is full, and what was buffered is unwanted
            self._file.close()
        with contextlib.suppress(OSError):
            self.part.unlink()

    def __enter__(self) -> WholeFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()


def write_whole(path: Path, data: str | bytes) -> None:
    """Write a file at once.

    Raises:
        OutputError: Disk full, no permission; what was there before is still there.
    """
    with WholeFile(path) as file:
        file.write(data)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give an empty hidden folder that takes the place of ``path`` when the block ends without an error.

    A folder that is there already is replaced then, and not before.

    Raises:
        OutputError: It can't be written.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _clean_once(path.parent)
        part, lock = _new_part_folder(path.parent)
    try:
        fresh = part / "new"
        fresh.mkdir()
        yield fresh
        with explained(path):
            _exchange(fresh, path, part / "old")
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def remove_parts(folder: Path) -> None:
    """Remove what killed processes of this user have left in a folder; what is being written stays."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            if _PART.fullmatch(entry.name):
                with contextlib.suppress(OSError):
                    _remove_abandoned(Path(entry.path))


def append_line(path: Path, line: bytes) -> None:
    """Append a line, its end included, in one write; a line before it that was cut off is ended first.

    Raises:
        OSError: Disk full, no permission, a symbolic link.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        if size:
            os.lseek(descriptor, size - 1, os.SEEK_SET)
            if os.read(descriptor, 1) != b"\n":
                line = b"\n" + line
        os.write(descriptor, line)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the system's errors into an ``OutputError`` about ``path``."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(path, f"can't be written ({error.strerror or error})") from error


def _refuse_non_files(path: Path) -> None:
    if path.is_dir():
        raise OutputError(path, "is a folder; give a file, or use --out-dir")
    if path.exists() and not path.is_file():
        # Renaming over it would replace the device itself.
        raise OutputError(path, "is a device or a pipe; write to - (standard output) instead")


def _part_name(folder: Path) -> Path:
    return folder / f".emorec-{secrets.token_hex(8)}.part"


def _new_part(folder: Path) -> tuple[BinaryIO, Path]:
    """A new file, locked. One that was taken for abandoned before it was locked is made again."""
    while True:
        part = _part_name(folder)
        descriptor = os.open(part, _NEW, 0o666)
        _lock(descriptor)
        if os.fstat(descriptor).st_nlink:
            return os.fdopen(descriptor, "w+b"), part
        os.close(descriptor)


def _new_part_folder(folder: Path) -> tuple[Path, int | None]:
    """A new folder, locked, and its lock."""
    if fcntl is None:
        part = _part_name(folder)
        part.mkdir()
        return part, None
    while True:
        part = _part_name(folder)
        part.mkdir()
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            _lock(descriptor)
            if part.exists():
                return part, descriptor
            os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Say that someone is writing, on whatever machine shares the disk; a disk without locks goes without."""
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)


@lru_cache(_FOLDERS_REMEMBERED)
def _clean_once(folder: Path) -> None:
    """Once in a process: a folder may get thousands of results."""
    remove_parts(folder)


def _remove_abandoned(part: Path) -> None:
    """Remove a file or folder that nobody has locked. A link is nobody's part, and stays.

    Raises:
        OSError: It is locked, or not ours.
    """
    info = part.lstat()
    if fcntl is None or info.st_uid != os.geteuid() or stat.S_ISLNK(info.st_mode):
        return
    descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if stat.S_ISDIR(info.st_mode):
            shutil.rmtree(part)
        else:
            part.unlink()
    finally:
        os.close(descriptor)


def _exchange(fresh: Path, folder: Path, old: Path) -> None:
    """Put a folder in the place of another, in one step where the system has one."""
    if not os.path.lexists(folder):
        fresh.rename(folder)
        return
    if _exchanged(fresh, folder):
        return
    folder.rename(old)
    try:
        fresh.rename(folder)
    except BaseException:
        old.rename(folder)
        raise


def _exchanged(one: Path, other: Path) -> bool:
    """Let two names change places (Linux's ``renameat2``); ``False`` where system or disk doesn't do that."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if os.name == "posix" else None
    names = os.fsencode(one), os.fsencode(other)
    return rename is not None and not rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
