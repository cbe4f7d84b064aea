"""An upload from its bytes to its lines.

It is received into a file of a name that no client knows, and recognised in a thread; each row is a line as
soon as it is final.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from emorec_rt.errors import EmorecError, MediaError
from emorec_rt.recognizer.events import Done, Failed, Row
from emorec_rt.recognizer.recognizer import Recognizer
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers.digest import Digest
from emorec_rt.writers.every import Every
from emorec_rt.writers.jsonl import JsonlFormat
from emorec_rt.writers.segment_formats import segment_record
from emorec_rt.writers.segments import PeopleSegmenter

TAKE_SECONDS: Final = 0.1
"""Lines that come within this time travel together."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Wishes of a client about its upload.

    Attributes:
        kind: ``rows`` or ``segments``.
        video: The name that rows carry.
        every_seconds: Length of the interval of a row; ``None`` gives a row for each frame.
        min_segment_seconds: Shortest segment.
    """

    kind: str
    video: str
    every_seconds: float | None
    min_segment_seconds: float


async def receive(request: Request, most_bytes: int, most_seconds: float) -> Path:
    """Write the body into a new file, which the caller removes.

    Raises:
        HTTPException: It is too large (413), too slow (408), or the disk is full (503).
    """
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told) > most_bytes:
        raise too_large(most_bytes)
    with tempfile.NamedTemporaryFile(prefix="emorec-upload-", delete=False) as file:
        path = Path(file.name)
        try:
            with anyio.fail_after(most_seconds):
                await _fill(file, request, most_bytes)
        except BaseException as error:
            path.unlink(missing_ok=True)
            if isinstance(error, TimeoutError):
                raise HTTPException(408, f"the upload took longer than {most_seconds:g} s") from error
            if isinstance(error, ClientDisconnect):
                raise HTTPException(400, "the upload ended before its end") from error
            if isinstance(error, OSError):
                raise HTTPException(503, "there is no room for the upload at the moment") from error
            raise
    return path


async def _fill(file: Any, request: Request, most_bytes: int) -> None:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most_bytes:
            raise too_large(most_bytes)
        file.write(chunk)


def too_large(most_bytes: int) -> HTTPException:
    """The refusal of an upload that is too large."""
    return HTTPException(
        413, f"an upload may have {most_bytes >> 20} MiB; start the server with --max-mb for more"
    )


@dataclass
class Lines:
    """Lines of one upload, made as they are taken; not to be taken by two threads at once.

    Args:
        recognizer: Loaded engines, which other uploads may use at the same time.
        path: The upload.
        asked: What is wanted of it.
        most_seconds: How long the recognition may take.
    """

    recognizer: Recognizer
    path: Path
    asked: Asked
    most_seconds: float
    _lines: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self._lines = self._made()

    def first(self) -> str:
        """The first line.

        Raises:
            MediaError: There is none, because the upload can't be read.
        """
        return next(self._lines, "")

    def take(self) -> str:
        """Take the lines that come within a moment; empty at the end."""
        until, lines = time.monotonic() + TAKE_SECONDS, []
        for line in self._lines:
            lines.append(line)
            if time.monotonic() >= until:
                break
        return "".join(lines)

    def close(self) -> None:
        """End the recognition, and remove the upload."""
        self._lines.close()  # type: ignore[attr-defined]  # it is a generator
        self.path.unlink(missing_ok=True)

    def _made(self) -> Iterator[str]:
        begun, rows, given = time.monotonic(), _maker(self.recognizer.labels, self.asked), False
        digest = Digest(self.recognizer.labels, self.asked.min_segment_seconds)
        for event in self.recognizer.run([self.path]):
            if time.monotonic() - begun > self.most_seconds:
                yield _line({"error": f"stopped: it took longer than {self.most_seconds:g} s"})
                return
            if isinstance(event, Row):
                digest.add(event.prediction)
                for line in rows.add(event.prediction):
                    given = True
                    yield line
            elif isinstance(event, Failed):
                if not given:
                    raise MediaError("upload", event.error.reason)
                yield _line({"error": event.error.reason})
            elif isinstance(event, Done):
                yield from rows.finish()
                yield _line({"done": _account(event, digest)})


def _account(event: Done, digest: Digest) -> dict[str, Any]:
    return {"rows": event.rows, "warnings": event.warnings, "summary": digest.finish().to_dict()}


def _line(record: Any) -> str:
    return msgspec.json.encode(record).decode() + "\n"


class _Rows:
    def __init__(self, labels: tuple[str, ...], asked: Asked) -> None:
        self._format = JsonlFormat(labels, asked.video)
        self._every = None if asked.every_seconds is None else Every(asked.every_seconds)

    def add(self, row: Prediction) -> Iterator[str]:
        return map(self._format.row, [row] if self._every is None else self._every.add(row))

    def finish(self) -> Iterator[str]:
        return map(self._format.row, [] if self._every is None else self._every.finish())


class _Segments:
    def __init__(self, labels: tuple[str, ...], asked: Asked) -> None:
        self._segmenter = PeopleSegmenter(labels, asked.min_segment_seconds)

    def add(self, row: Prediction) -> Iterator[str]:
        return (_line(segment_record(item)) for item in self._segmenter.add(row))

    def finish(self) -> Iterator[str]:
        return (_line(segment_record(item)) for item in self._segmenter.finish())


_MAKERS: Final[dict[str, Callable[[tuple[str, ...], Asked], _Rows | _Segments]]] = {
    "rows": _Rows,
    "segments": _Segments,
}


def _maker(labels: tuple[str, ...], asked: Asked) -> _Rows | _Segments:
    return _MAKERS[asked.kind](labels, asked)


def explained(error: EmorecError) -> HTTPException:
    """The answer to an upload that can't be recognised; the server's own paths stay out of it."""
    if isinstance(error, MediaError):
        return HTTPException(422, error.reason)
    return HTTPException(503, "the engines have failed; try again")
