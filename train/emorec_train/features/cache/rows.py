"""Windows taken apart into rows that occur once, and put together again, bit for bit.

Windows overlap, so most rows are in several: a row is kept where it first occurs. Masked rows aren't kept.

Shapes: ``N`` windows, ``T`` grid steps, ``S`` audio tokens, ``F`` frames of a clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from emorec_rt.windows.window import Window

MASKED = -1
"""Row of a step without a face, or of a token without sound: zeros and a mask of 0."""


@dataclass(slots=True)
class Rows:
    """Rows that occur once, in the order in which they came."""

    rows: list[NDArray[np.float32]] = field(default_factory=list)
    _places: dict[bytes, int] = field(default_factory=dict)

    def put(self, rows: NDArray[np.float32], mask: NDArray[np.float32]) -> NDArray[np.int32]:
        """Keep the rows of ``[L, D]`` whose mask is 1; int32 ``[L]`` says where each one is."""
        index = np.full(len(rows), MASKED, np.int32)
        for k in np.flatnonzero(mask).tolist():
            index[k] = self._place(rows[k])
        return index

    def _place(self, row: NDArray[np.float32]) -> int:
        place = self._places.setdefault(row.tobytes(), len(self.rows))
        if place == len(self.rows):
            self.rows.append(row.copy())
        return place

    def end_clip(self) -> None:
        """Rows of different clips are not compared."""
        self._places.clear()


@dataclass(frozen=True, slots=True)
class Index:
    """Rows of each window of some clips.

    Attributes:
        frame_rows: int32 ``[N, T]``, row of each step's embedding, or ``MASKED``.
        token_rows: int32 ``[N, S]``, likewise.
        spans: int64 ``[N, 3]``, first step, steps, and where the window settles.
        times_seconds: float64 ``[N, T]``.
    """

    frame_rows: NDArray[np.int32]
    token_rows: NDArray[np.int32]
    spans: NDArray[np.int64]
    times_seconds: NDArray[np.float64]

    def part(self, first: int, count: int) -> Index:
        """The windows of one clip."""
        own = slice(first, first + count)
        return Index(self.frame_rows[own], self.token_rows[own], self.spans[own], self.times_seconds[own])


def take_apart(windows: Sequence[Window], frames: Rows, tokens: Rows) -> Index:
    """Add a clip's rows. Returns the rows of each window."""
    index = Index(
        np.stack([frames.put(window.frame_embeddings, window.frame_mask) for window in windows]),
        np.stack([tokens.put(window.audio_tokens, window.audio_mask) for window in windows]),
        np.array([[window.first_step, window.steps, window.settles] for window in windows], np.int64),
        np.stack([window.times_seconds for window in windows]),
    )
    frames.end_clip()
    tokens.end_clip()
    return index


def gather(rows: NDArray[Any], index: NDArray[np.int32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rows ``[L, D]`` at an index ``[L]``, zeros where masked, and the mask."""
    kept = index != MASKED
    gathered = np.zeros((len(index), rows.shape[1]), np.float32)
    gathered[kept] = rows[index[kept]]
    return gathered, kept.astype(np.float32)


class RowFile(Protocol):
    """File of rows."""

    def open(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Embeddings ``[R, Dv]`` and tokens ``[R, Da]``."""
        ...


class StoredWindows(Sequence[Window]):
    """The windows of one clip, put together when they are asked for.

    Args:
        rows: The rows that the index means.
        index: The clip's part of the index.
    """

    def __init__(self, rows: RowFile, index: Index) -> None:
        self._rows = rows
        self._index = index

    def __len__(self) -> int:
        return len(self._index.spans)

    @overload
    def __getitem__(self, k: int) -> Window: ...

    @overload
    def __getitem__(self, k: slice) -> tuple[Window, ...]: ...

    def __getitem__(self, k: int | slice) -> Window | tuple[Window, ...]:
        if isinstance(k, slice):
            return tuple(self[place] for place in range(*k.indices(len(self))))
        frames, tokens = self._rows.open()
        first_step, steps, settles = self._index.spans[k].tolist()
        return Window(
            first_step,
            steps,
            settles,
            self._index.times_seconds[k],
            *gather(frames, self._index.frame_rows[k]),
            *gather(tokens, self._index.token_rows[k]),
        )


@dataclass(frozen=True, slots=True)
class StoredClip:
    """A clip of the cache.

    Attributes:
        windows: In order, read when they are asked for.
        frame_times_seconds: float64 ``[F]``, of all frames, missing ones too.
        index: Times and spans without reading features.
    """

    windows: StoredWindows
    frame_times_seconds: NDArray[np.float64]
    index: Index
