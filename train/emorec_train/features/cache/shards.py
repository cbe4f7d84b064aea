"""One shard on disk: a folder that appears whole, with checksums."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from emorec_rt.files import whole_folder
from emorec_rt.windows.window import Window
from emorec_train.features.cache.rows import Index, Rows, StoredClip, StoredWindows, take_apart

FILE_NAME: Final = "shard.json"
FEATURES: Final = "features.npy"
WINDOWS: Final = "windows.npz"
OPEN_SHARDS: Final = 256
"""Shards that are mapped at once; each takes a file descriptor."""

_READ_BYTES: Final = 1 << 24


class ShardError(ValueError):
    """A shard that isn't what was written."""


class ShardClip(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A clip in a shard: its key, how many windows and how many frames it has."""

    key: str
    windows: int
    frames: int


class ShardFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``shard.json``.

    Attributes:
        clips: In order.
        shapes: Of embeddings and of tokens, one after the other in ``features.npy``.
        checksums: CRC-32 of the files beside it.
    """

    clips: tuple[ShardClip, ...]
    shapes: tuple[tuple[int, int], tuple[int, int]]
    checksums: dict[str, int]


@dataclass(slots=True)
class Pending:
    """Clips that will be one shard."""

    clips: list[ShardClip] = field(default_factory=list)
    indices: list[Index] = field(default_factory=list)
    frame_times: list[NDArray[np.float64]] = field(default_factory=list)
    frames: Rows = field(default_factory=Rows)
    tokens: Rows = field(default_factory=Rows)

    def add(self, key: str, windows: Sequence[Window], frame_times_seconds: NDArray[np.float64]) -> None:
        """Take in a clip."""
        self.clips.append(ShardClip(key=key, windows=len(windows), frames=len(frame_times_seconds)))
        self.indices.append(take_apart(windows, self.frames, self.tokens))
        self.frame_times.append(frame_times_seconds)

    @property
    def bytes(self) -> int:
        """About what it takes in memory."""
        both = (self.frames.rows, self.tokens.rows)
        return sum(len(rows) * rows[0].nbytes for rows in both if rows)


def write_shard(pending: Pending, target: Path, widths: tuple[int, int], dtype: str) -> None:
    """Write a shard beside its place and move it there.

    Args:
        pending: Its clips.
        target: Its folder.
        widths: Of an embedding and of a token.
        dtype: On disk.

    Raises:
        OSError: There is no room, or no permission; nothing is left behind.
        ShardError: A feature is too large for ``dtype``.
    """
    _mapped.cache_clear()
    with whole_folder(target) as folder:
        frames, tokens = (
            _matrix(rows.rows, width, dtype)
            for rows, width in zip((pending.frames, pending.tokens), widths, strict=True)
        )
        np.save(folder / FEATURES, np.concatenate([frames.ravel(), tokens.ravel()]))
        np.savez(folder / WINDOWS, **_arrays(pending))  # type: ignore[arg-type]
        file = ShardFile(
            clips=tuple(pending.clips),
            shapes=(frames.shape, tokens.shape),
            checksums={name: checksum(folder / name) for name in (FEATURES, WINDOWS)},
        )
        (folder / FILE_NAME).write_bytes(msgspec.json.encode(file))


def _matrix(rows: list[NDArray[np.float32]], width: int, dtype: str) -> NDArray[Any]:
    stacked = np.stack(rows) if rows else np.zeros((0, width), np.float32)
    with np.errstate(over="ignore"):
        stored = stacked.astype(dtype)
    if not np.isfinite(stored).all() and np.isfinite(stacked).all():
        raise ShardError(f"a feature is too large for {dtype}; store float32")
    return stored


def _arrays(pending: Pending) -> dict[str, NDArray[Any]]:
    return {
        "frame_rows": np.concatenate([index.frame_rows for index in pending.indices]),
        "token_rows": np.concatenate([index.token_rows for index in pending.indices]),
        "spans": np.concatenate([index.spans for index in pending.indices]),
        "times_seconds": np.concatenate([index.times_seconds for index in pending.indices]),
        "frame_times_seconds": np.concatenate(pending.frame_times),
    }


@dataclass(frozen=True, slots=True)
class ShardRows:
    """The rows of a shard, mapped into memory."""

    path: Path
    shapes: tuple[tuple[int, int], tuple[int, int]]

    def open(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Embeddings and tokens."""
        flat = _mapped(self.path)
        split = self.shapes[0][0] * self.shapes[0][1]
        return flat[:split].reshape(self.shapes[0]), flat[split:].reshape(self.shapes[1])


@lru_cache(OPEN_SHARDS)
def _mapped(path: Path) -> NDArray[Any]:
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def read_shard(folder: Path) -> dict[str, StoredClip]:
    """Check a shard and open it.

    Raises:
        ShardError: A file is missing, or isn't what was written; the message says which.
    """
    try:
        file = msgspec.json.decode((folder / FILE_NAME).read_bytes(), type=ShardFile)
        for name, expected in file.checksums.items():
            if checksum(folder / name) != expected:
                raise ShardError(f"{name} is damaged")
        with np.load(folder / WINDOWS, allow_pickle=False) as arrays:
            return dict(_clips(file, folder, {name: arrays[name] for name in arrays.files}))
    except ShardError:
        raise
    except (OSError, KeyError, TypeError, ValueError) as error:  # msgspec's are ValueErrors
        raise ShardError(str(error)) from error


def _clips(
    file: ShardFile, folder: Path, arrays: dict[str, NDArray[Any]]
) -> Iterator[tuple[str, StoredClip]]:
    frame_times = arrays.pop("frame_times_seconds")
    index, rows = Index(**arrays), ShardRows(folder / FEATURES, file.shapes)
    first_window, first_frame = 0, 0
    for clip in file.clips:
        own = index.part(first_window, clip.windows)
        times = frame_times[first_frame : first_frame + clip.frames]
        yield clip.key, StoredClip(StoredWindows(rows, own), times, own)
        first_window += clip.windows
        first_frame += clip.frames


def remove_shard(folder: Path) -> None:
    """Delete a shard, or what is left of one."""
    _mapped.cache_clear()
    shutil.rmtree(folder, ignore_errors=True)


def checksum(path: Path) -> int:
    """CRC-32 of a file: what finds damage, at the speed of the disk."""
    value = 0
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            value = zlib.crc32(block, value)
    return value
