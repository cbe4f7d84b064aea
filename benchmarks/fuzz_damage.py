"""Ways in which a media file gets damaged, and short clips to damage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import av
import av.error
import numpy as np
from av.container import InputContainer, OutputContainer
from numpy.random import Generator

CLIP_SECONDS: Final = 1.5
"""Longer recordings are cut to about this, so that thousands of damaged copies run in minutes."""

MOST_BYTES: Final = 1_500_000
"""A clip that is larger even when cut is left out."""

_CUT_ABOVE_BYTES: Final = 300_000
_BLOCK: Final = (16, 4096)
_OTHER_SUFFIXES: Final = frozenset({".csv", ".txt", ".json", ".md", ".yuv"})

Damage = Callable[[bytearray, Generator, bytes], bytearray]
"""Takes a file's bytes, a random generator and another file's bytes; gives the damaged bytes."""


def flip_bits(data: bytearray, rng: Generator, _other: bytes) -> bytearray:
    """Turn over 1 to 64 bits, all over the file or close together."""
    span = len(data) if rng.random() < 0.5 else min(len(data), 256)
    start = int(rng.integers(0, len(data) - span + 1))
    for offset in rng.integers(start, start + span, int(rng.integers(1, 65))):
        data[offset] ^= 1 << int(rng.integers(8))
    return data


def truncate(data: bytearray, rng: Generator, _other: bytes) -> bytearray:
    """Cut the end off."""
    return data[: int(rng.integers(1, len(data)))]


def zero_blocks(data: bytearray, rng: Generator, _other: bytes) -> bytearray:
    """Set 1 to 4 blocks to zero, as lost sectors are."""
    for start, size in _blocks(data, rng, 4):
        data[start : start + size] = bytes(size)
    return data


def fill_blocks(data: bytearray, rng: Generator, _other: bytes) -> bytearray:
    """Put noise into 1 to 4 blocks."""
    for start, size in _blocks(data, rng, 4):
        data[start : start + size] = rng.bytes(size)
    return data


def swap_blocks(data: bytearray, rng: Generator, _other: bytes) -> bytearray:
    """Exchange two blocks of the same size."""
    size = int(rng.integers(1, max(len(data) // 4, 2)))
    first = int(rng.integers(0, max(len(data) - 2 * size, 1)))
    second = int(rng.integers(first + size, max(len(data) - size, first + size) + 1))
    data[first : first + size], data[second : second + size] = (
        data[second : second + size],
        data[first : first + size],
    )
    return data


def splice(data: bytearray, rng: Generator, other: bytes) -> bytearray:
    """Go on with another file from somewhere on."""
    cut = int(rng.integers(1, len(data)))
    return data[:cut] + other[int(rng.integers(0, len(other))) :]


def grow(data: bytearray, rng: Generator, other: bytes) -> bytearray:
    """Insert noise, zeros, another file or the file itself."""
    size = int(rng.integers(1, 65_536))
    insert = (rng.bytes(size), bytes(size), other[:MOST_BYTES], bytes(data))[int(rng.integers(4))]
    place = len(data) if rng.random() < 0.5 else int(rng.integers(0, len(data)))
    return data[:place] + insert + data[place:]


DAMAGES: Final[dict[str, Damage]] = {
    "bits": flip_bits,
    "truncated": truncate,
    "zeroed": zero_blocks,
    "noise": fill_blocks,
    "swapped": swap_blocks,
    "spliced": splice,
    "grown": grow,
}


def damaged(clips: Sequence[Path], seed: int, index: int, folder: Path) -> Path:
    """Write the damaged copy number ``index``; the same arguments give the same bytes.

    Returns:
        Its path; the name says which clip it was and what was done to it.
    """
    rng = np.random.default_rng([seed, index])
    clip, other = (clips[int(rng.integers(len(clips)))] for _ in range(2))
    kind = tuple(DAMAGES)[index % len(DAMAGES)]
    data = DAMAGES[kind](bytearray(clip.read_bytes()), rng, other.read_bytes())
    path = folder / f"{index:05}-{kind}-{clip.stem}{clip.suffix}"
    path.write_bytes(data)
    return path


def short_clips(media: Sequence[Path], folder: Path) -> list[Path]:
    """Every file of some folders as a short clip: small files as they are, long ones cut by their packets."""
    found = (path for root in media for path in sorted(root.rglob("*")) if path.is_file())
    clips = []
    for number, path in enumerate(found):
        if path.suffix.lower() in _OTHER_SUFFIXES or not path.stat().st_size:
            continue
        clip = folder / f"{number:03}-{path.name}"
        if not (_is_long(path) and cut(path, clip)):
            clip.write_bytes(path.read_bytes())
        if clip.stat().st_size <= MOST_BYTES:
            clips.append(clip)
    return clips


def cut(source: Path, target: Path) -> bool:
    """Copy the packets of the first seconds; say whether container and codecs can be written that way."""
    try:
        with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
            for packet in _first_packets(reader, writer):
                writer.mux(packet)
    except (av.error.FFmpegError, ValueError, OSError):
        return False
    return target.stat().st_size > 0


def _is_long(path: Path) -> bool:
    if path.stat().st_size > _CUT_ABOVE_BYTES:
        return True
    try:
        with av.open(str(path)) as container:
            return (container.duration or 0) > 2 * CLIP_SECONDS * av.time_base
    except (av.error.FFmpegError, ValueError, OSError):
        return False


def _first_packets(reader: InputContainer, writer: OutputContainer) -> Iterator[Any]:
    kept = [*reader.streams.video[:1], *reader.streams.audio[:1]]
    copies = {stream.index: writer.add_stream_from_template(stream) for stream in kept}
    start: float | None = None
    for packet in reader.demux(kept):
        if packet.dts is None:
            continue
        seconds = float(packet.dts * packet.time_base)
        start = seconds if start is None else start
        if seconds - start > CLIP_SECONDS:
            return
        packet.stream = copies[packet.stream_index]
        yield packet


def _blocks(data: bytearray, rng: Generator, most: int) -> Iterator[tuple[int, int]]:
    for _ in range(int(rng.integers(1, most + 1))):
        size = min(int(rng.integers(*_BLOCK)), len(data))
        yield int(rng.integers(0, len(data) - size + 1)), size
