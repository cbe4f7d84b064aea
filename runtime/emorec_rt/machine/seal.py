"""Seals on what this user's machine has built.

A plan or a compiled program is code. What lies in a bundle may have come from anywhere, its record too, so a
record counts only with a seal: a keyed hash whose key never leaves the user's own cache folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import stat
import tempfile
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from emorec_rt.errors import OutputError

KEY_BYTES: Final = 32
KEY_NAME: Final = "seal.key"


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """A record with a seal.

    Attributes:
        seal: Of all the rest of it, by the user whose machine has built what it describes.
    """

    seal: str = ""

    def sealed(self: Record) -> Record:
        """The record with this user's seal.

        Raises:
            OutputError: There is no place for the user's key.
        """
        return msgspec.structs.replace(self, seal=seal(_content(self)))

    def is_ours(self) -> bool:
        """Say whether this user has sealed it. What others built is as foreign as a program from the web."""
        return is_sealed(_content(self), self.seal)


Record = TypeVar("Record", bound=Sealed)


def _content(record: Sealed) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(record, seal=""))


def user_cache() -> Path:
    """``$XDG_CACHE_HOME/emorec``, by default ``~/.cache/emorec``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "emorec"


def seal(data: bytes) -> str:
    """The seal of some bytes, in hexadecimal; the key is made where there is none yet.

    Raises:
        OutputError: The key can't be made or read, or others can read it.
    """
    return hmac.new(_key(), data, hashlib.sha256).hexdigest()


def is_sealed(data: bytes, found: str) -> bool:
    """Say whether this user has sealed these bytes. Without a key that can be trusted, nobody has."""
    try:
        key = _read_key(user_cache() / KEY_NAME)
    except OSError:
        return False
    return hmac.compare_digest(hmac.new(key, data, hashlib.sha256).hexdigest(), found)


def _key() -> bytes:
    path = user_cache() / KEY_NAME
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make_key(path)
        return _read_key(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            path, f"can't keep the key of this user's plans ({reason}); set XDG_CACHE_HOME"
        ) from error


def _make_key(path: Path) -> None:
    """A key appears whole; of two processes, the first one's counts."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{KEY_NAME}.")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def _read_key(path: Path) -> bytes:
    """The key, if it is a file that nobody else can read.

    Raises:
        OSError: It isn't, or it can't be read.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(file.fileno())
        private = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
        key = file.read(KEY_BYTES + 1)
    if not private or len(key) != KEY_BYTES:
        raise OSError(f"{path} is not a private key; delete it")
    return key
