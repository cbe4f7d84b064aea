"""Inputs that are not paths: a camera's number, bytes, a binary file object."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from emorec_rt.errors import MediaError, UsageError

Readable = str | os.PathLike[str] | int | bytes | bytearray | memoryview | BinaryIO


@contextmanager
def as_path(source: Readable) -> Iterator[Path]:
    """Give an input a path for as long as it is read; bytes go into a temporary file.

    Raises:
        UsageError: It is nothing that can be read.
        MediaError: There is no room for the temporary file.
    """
    if isinstance(source, (str, os.PathLike)):
        yield Path(source)
    elif isinstance(source, int):
        if isinstance(source, bool) or source < 0:
            raise UsageError(f"camera {source}: numbers start at 0")
        yield Path(f"/dev/video{source}")
    elif isinstance(source, (bytes, bytearray, memoryview)) or hasattr(source, "read"):
        with tempfile.TemporaryDirectory(prefix="emorec-") as folder:
            path = Path(folder) / "media"
            _copy(source, path)
            yield path
    else:
        kind = type(source).__name__
        raise UsageError(
            f"an input is a path, an address, the number of a camera, bytes or a file; this is {kind}"
        )


def renamed(error: MediaError, source: Readable) -> MediaError:
    """The error with words for an input that has no path of its own."""
    if isinstance(source, (str, os.PathLike, int)):
        return error
    name = getattr(source, "name", None)
    return type(error)(name if isinstance(name, str) else "the bytes given", error.reason)


def _copy(source: bytes | bytearray | memoryview | BinaryIO, path: Path) -> None:
    try:
        with path.open("wb") as file:
            if isinstance(source, (bytes, bytearray, memoryview)):
                file.write(source)
            else:
                shutil.copyfileobj(source, file)
    except TypeError:
        raise UsageError('the file object gives text; open it in binary mode ("rb")') from None
    except OSError as error:
        raise MediaError(tempfile.gettempdir(), f"no room for the input ({error.strerror})") from error
