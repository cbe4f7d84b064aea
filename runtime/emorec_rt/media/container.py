"""Open a local file and nothing else: no network, no playlist, no second file.

FFmpeg opens addresses, follows playlists and expands patterns in names. Three locks stop that, each alone
enough for the cases known: FFmpeg never gets a name, only a Python file object; whatever a container asks to
open beside it is refused; only formats that carry their own media are accepted, and no protocol is.
"""

from __future__ import annotations

import io
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Final

import av
import av.error
import av.logging
from av.container import InputContainer

from emorec_rt.errors import MediaError
from emorec_rt.media.limits import MediaLimits
from emorec_rt.media.pyav import UNDECODABLE_TAGS, probe_options

SELF_CONTAINED_FORMATS: Final = (
    # containers
    "mov,matroska,avi,mpegts,mpeg,asf,flv,live_flv,mxf,gxf,nut,rm,wtv,ogg,ivf,dhav,dv,"
    # elementary video streams
    "h264,hevc,vvc,av1,obu,m4v,mpegvideo,mjpeg,h261,h263,vc1,dirac,cavsvideo,yuv4mpegpipe,"
    # sound
    "wav,w64,aiff,au,caf,flac,mp3,aac,loas,ac3,eac3,dts,truehd,mlp,amr,amrnb,amrwb,ape,tta,tak,wv,mpc,mpc8,voc,"
    # pictures
    "png_pipe,jpeg_pipe,jpegls_pipe,jpegxl_pipe,webp_pipe,bmp_pipe,tiff_pipe,ppm_pipe,pgm_pipe,gif,apng,"
    # pictures one after the other, as network cameras send them
    "mpjpeg"
)
"""FFmpeg's names of the demuxers that are accepted: none of them reads another file."""

READ_BYTES: Final = 64 * 1024
OPEN_ERRORS: Final = (av.error.FFmpegError, OSError, ValueError, RuntimeError)
"""Errors of opening a container."""

PICTURE_SUFFIXES: Final = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)
_HEADERLESS: Final = frozenset({".yuv", ".rgb", ".raw", ".pcm"})
_MPEG4_BOX: Final = b"ftyp"


class ByteSource(ABC):
    """A file object for FFmpeg, which keeps its errors to itself.

    No exception passes through FFmpeg: PyAV keeps one for the thread's next call, whatever container that is
    for, and prints the others. So a failure ends the file, and who reads the container raises it.

    Attributes:
        name: Name that FFmpeg sees.
        failure: Error of a read; ``None`` as long as all goes well.
    """

    name = ""
    failure: BaseException | None = None

    def read(self, size: int, /) -> bytes:
        """Read up to ``size`` bytes; none at the end and after a failure."""
        if self.failure is not None:
            return b""
        try:
            return self._fetch(size)
        except (OSError, ValueError, KeyboardInterrupt, SystemExit) as error:
            self.failure = error
            return b""

    @abstractmethod
    def _fetch(self, size: int) -> bytes: ...

    @abstractmethod
    def close(self) -> None:
        """Close the file."""


class LocalFile(ByteSource):
    """A file on disk, whose real name FFmpeg doesn't see.

    The name that FFmpeg sees is ``media`` and the suffix: some formats are told apart by it.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self.name = neutral_name(path.suffix)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a byte; -1 where there can be none."""
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError):
            return -1

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _fetch(self, size: int) -> bytes:
        return self._file.read(size) or b""


class _Refusal:
    """Gives an empty file for each that a container points to, and notes that it did."""

    def __init__(self) -> None:
        self.error: PermissionError | None = None

    def __call__(self, url: str, _flags: int, _options: object) -> io.BytesIO:
        self.error = PermissionError(f"the file points to another one: {url}")
        return io.BytesIO()


def neutral_name(suffix: str) -> str:
    """Name for FFmpeg that tells nothing but a plain suffix.

    Pictures lose theirs: by it FFmpeg would take them for a numbered sequence of files.
    """
    plain = re.fullmatch(r"\.[A-Za-z0-9]{1,5}", suffix) and suffix.lower() not in PICTURE_SUFFIXES
    return f"media{suffix if plain else ''}"


def open_container(path: Path, limits: MediaLimits) -> InputContainer:
    """Open ``path`` with FFmpeg, closed to everything else.

    Raises:
        MediaError: It is not a readable local file, or not media of an accepted format.
    """
    return open_file(path, limits)[0]


def open_file(path: Path, limits: MediaLimits) -> tuple[InputContainer, LocalFile]:
    """Open ``path`` like ``open_container``; the file comes along, for its failure.

    Raises:
        MediaError: It is not a readable local file, or not media of an accepted format.
    """
    check_local_file(path)
    try:
        file = LocalFile(path)
        return open_bytes(file, limits), file
    except OPEN_ERRORS as error:
        raise MediaError(path, _reason(path, error)) from error


def open_bytes(
    file: ByteSource, limits: MediaLimits, container_options: Mapping[str, str] = MappingProxyType({})
) -> InputContainer:
    """Open a file object with FFmpeg, closed to everything else.

    Args:
        file: Where bytes come from; without ``seek`` and ``tell`` it is read once, front to back.
        limits: What is refused before memory is taken.
        container_options: Further options of the demuxer.

    Raises:
        OPEN_ERRORS: It is not media of an accepted format, or can't be read.
    """
    av.logging.set_level(None)  # a log callback into Python can deadlock with decoding threads
    refusal = _Refusal()
    locks = {"protocol_whitelist": "none", "format_whitelist": SELF_CONTAINED_FORMATS}
    try:
        container: InputContainer = av.open(
            file,
            mode="r",
            options=probe_options(limits),
            container_options={**container_options, **locks},
            buffer_size=READ_BYTES,
            io_open=refusal,
            **UNDECODABLE_TAGS,
        )
    except OPEN_ERRORS as error:
        raise (file.failure or refusal.error or error) from error
    failure = file.failure or refusal.error
    if failure is not None:
        container.close()
        raise failure
    return container


def check_local_file(path: Path) -> None:
    """Raise a MediaError unless ``path`` is a regular file with something in it."""
    try:
        info = path.stat()
    except FileNotFoundError:
        address = re.match(r"\w+:/", str(path))
        reason = "this is an address, not a local file; download it first" if address else "no such file"
        raise MediaError(path, reason) from None
    except (OSError, ValueError) as error:
        raise MediaError(path, _system_reason(error)) from error
    if stat.S_ISDIR(info.st_mode):
        raise MediaError(path, "this is a folder, not a media file")
    if not stat.S_ISREG(info.st_mode):
        raise MediaError(path, "this is a device or a pipe, not a media file")
    if info.st_size == 0:
        raise MediaError(path, "the file is empty")


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, PermissionError | IsADirectoryError):
        return _system_reason(error)
    if path.suffix.lower() in _HEADERLESS:
        return (
            "raw media without a header: picture size and format are unknown; convert it, for example to mp4"
        )
    damaged = isinstance(error, av.error.InvalidDataError | av.error.EOFError)
    if damaged and _head(path)[4:8] == _MPEG4_BOX:
        return "the file's index is missing or damaged; the recording was cut off or not finished"
    if damaged or isinstance(error, ValueError):
        return "not a media file of a known format, or damaged from its start"
    return _system_reason(error)


def _system_reason(error: Exception) -> str:
    return f"can't be read: {getattr(error, 'strerror', None) or error}"


def _head(path: Path) -> bytes:
    with closing(path.open("rb")) as file:
        return file.read(12)
