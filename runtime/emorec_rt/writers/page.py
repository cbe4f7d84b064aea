"""``html``: one page to look through, with the video in step; it needs nothing from elsewhere.

The script is our own, a few hundred lines on canvas: a charting library would be several times the size of
the whole page, and its licence and its updates would come with every result.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any, Final
from urllib.parse import quote

import cv2
import msgspec
import numpy as np

from emorec_rt.errors import MediaError, OutputError
from emorec_rt.files import WholeFile
from emorec_rt.media import Frame, open_media
from emorec_rt.media.sources import is_address, masked
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers.base import Target
from emorec_rt.writers.digest import Digest, Summary
from emorec_rt.writers.packing import UNKNOWN, Lane, Packed, pack
from emorec_rt.writers.palette import colours
from emorec_rt.writers.row_buffer import RowBuffer
from emorec_rt.writers.segments import PeopleSegmenter, Segment
from emorec_rt.writers.source import start_seconds

MOST_EMBEDDED_BYTES: Final = 256 << 20
THUMBNAIL_PIXELS: Final = 72
THUMBNAIL_FRAMES: Final = 250
"""Frames from the start among which the thumbnails are looked for."""


class PageWriter:
    """Keep rows, and make the page when they are complete.

    Args:
        target: What to write.

    Raises:
        OutputError: There are too many classes, the video is to be embedded and can't be, or the target
            can't be written.
    """

    def __init__(self, target: Target) -> None:
        if len(target.labels) >= UNKNOWN:
            raise OutputError(
                target.path, f"a page shows fewer than {UNKNOWN} classes, not {len(target.labels)}"
            )
        if target.options.embed:
            _check_embeddable(target)
        self._target = target
        self._lanes: dict[int | None, RowBuffer] = {}
        self._segmenter = PeopleSegmenter(target.labels, target.options.min_segment_seconds)
        self._segments: list[Segment] = []
        self._digest = Digest(target.labels, target.options.min_segment_seconds)
        self._seen: dict[int | None, Prediction] = {}
        self._file = WholeFile(target.path)

    def go_live(self) -> None:
        """Nothing to show before the end."""

    def write(self, prediction: Prediction) -> None:
        """Keep the next row."""
        person = prediction.person
        if person not in self._lanes:
            self._lanes[person] = RowBuffer(self._target.labels)
        self._lanes[person].append(prediction)
        self._digest.add(prediction)
        self._segments.extend(self._segmenter.add(prediction))
        self._keep_best(person, prediction)

    def commit(self) -> None:
        """Make the page appear."""
        if not self._lanes:
            raise OutputError(self._target.path, f"{masked(self._target.source)} gave no rows to show")
        self._segments.extend(self._segmenter.finish())
        summary = self._digest.finish()
        if len(self._lanes) > 1:  # frames that show none of the people
            self._lanes.pop(None, None)
        lanes = [
            Lane(person, rows, [item for item in self._segments if item.person == person])
            for person, rows in self._lanes.items()
        ]
        packed = pack(lanes, self._target.labels, summary.seconds / len(lanes))
        picture, thumbnails = _pictures(self._target, self._seen)
        self._file.write(page(self._target, summary, packed, picture, thumbnails))
        self._file.commit()
        self._close()

    def discard(self) -> None:
        """Leave nothing."""
        self._file.discard()
        self._close()

    def _close(self) -> None:
        for rows in self._lanes.values():
            rows.close()

    def _keep_best(self, person: int | None, row: Prediction) -> None:
        """The largest face of the first frames stands for its person."""
        best = self._seen.get(person)
        if row.box is None or row.index >= THUMBNAIL_FRAMES:
            return
        if best is None or best.box is None or row.box.size > 1.1 * best.box.size:
            self._seen[person] = row


def page(
    target: Target,
    summary: Summary,
    packed: Packed,
    picture: tuple[int, int] | None = None,
    thumbnails: Mapping[int | None, str] | None = None,
) -> str:
    """The whole document.

    Args:
        target: What it is about, and where it will lie.
        summary: Of all rows.
        packed: The rows.
        picture: Width and height in pixels of the upright frame; ``None`` without video.
        thumbnails: A picture for each person, as an address that holds it.
    """
    faces = thumbnails or {}
    data = {
        "video": target.video,
        "labels": target.labels,
        "colours": ["#{:02x}{:02x}{:02x}".format(*colour) for colour in colours(target.labels)],
        "origin": start_seconds(target.source),
        "picture": picture,
        "lanes": [{**lane, "face": faces.get(lane["person"])} for lane in packed.lanes],
        "arrays": packed.arrays,
        "scoreStep": packed.level.score_step,
        "boxStep": packed.level.box_step,
    }
    parts = {
        "title": escape(target.video),
        "about": escape(_about(summary)),
        "player": _player(target),
        "summary": _summary_table(target.labels, summary),
        "notice": f"<p class='notice'>{escape(target.notice)}</p>" if target.notice else "",
        "precision": escape(_precision(packed)),
        "data": _for_script(data),
        "rows": packed.text,
        "embedded": _embedded(target),
        "style": asset("base.css") + asset("page.css"),
        "script": asset("page.js"),
    }
    return fill(asset("page.html"), parts)


def fill(template: str, parts: Mapping[str, str]) -> str:
    """Put parts in the places of ``{{name}}``; what a part holds is not looked at again."""
    pieces = template.split("{{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        filled += [parts[name], rest]
    return "".join(filled)


def asset(name: str) -> str:
    """A file that pages are made from: ``base.css`` is every page's, the others are this one's."""
    return (files("emorec_rt.writers") / "assets" / name).read_text(encoding="utf-8")


def _for_script(data: Any) -> str:
    """JSON that ends no script element, whatever a label holds."""
    return msgspec.json.encode(data).decode().replace("<", "\\u003c")


def _about(summary: Summary) -> str:
    minutes, seconds = divmod(round(summary.seconds / max(summary.people, 1)), 60)
    people = f"{summary.people} people · " if summary.people > 1 else ""
    return (
        f"{minutes}:{seconds:02d} min · {people}face in {summary.face:.0%}, sound in {summary.sound:.0%} "
        f"of the time · {summary.changes_per_minute:.1f} changes a minute"
    )


def _precision(packed: Packed) -> str:
    level = packed.level
    rows = "every frame" if level.row_stride == 1 else f"one frame in {level.row_stride}"
    return f"{rows}; scores to ±{_plain(level.score_error)}, boxes to ±{_plain(1.5 * level.box_step)} pixels"


def _plain(value: float) -> str:
    return f"{value:.5f}".rstrip("0").rstrip(".")


def _summary_table(labels: tuple[str, ...], summary: Summary) -> str:
    longest = max(summary.shares.values()) or 1.0
    rows = (
        f'<tr data-class="{index}"><td><i style="background:{_css(index, labels)}"></i>{escape(label)}</td>'
        f'<td class="bar"><b style="width:{100 * summary.shares[label] / longest:.1f}%;'
        f'background:{_css(index, labels)}"></b></td>'
        f"<td>{summary.shares[label]:.1%}</td><td>{summary.mean_scores[label]:.3f}</td></tr>"
        for index, label in enumerate(labels)
    )
    head = "<tr><th>class</th><th></th><th>share of time</th><th>mean score</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _css(index: int, labels: tuple[str, ...]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colours(labels)[index])


def _has_file(target: Target) -> bool:
    return not is_address(target.source) and target.source.is_file()


def _player(target: Target) -> str:
    if not _has_file(target):
        return ""
    if target.options.embed:
        return '<video id="video" controls playsinline preload="metadata"></video>'
    place = os.path.relpath(target.source.resolve(), target.path.resolve().parent)
    address = escape(quote(place.encode("utf-8", "surrogateescape")), quote=True)
    return f'<video id="video" controls playsinline preload="metadata" src="./{address}"></video>'


def _check_embeddable(target: Target) -> None:
    if not _has_file(target):
        raise OutputError(target.path, "--embed needs an input that is a file")
    size = target.source.stat().st_size
    if size > MOST_EMBEDDED_BYTES:
        most = MOST_EMBEDDED_BYTES >> 20
        raise OutputError(
            target.path, f"--embed takes files up to {most} MiB, this one has {size >> 20}; leave it beside"
        )


def _embedded(target: Target) -> str:
    if not target.options.embed:
        return ""
    try:
        return base64.b64encode(target.source.read_bytes()).decode()
    except OSError as error:
        raise OutputError(target.path, f"the video can't be embedded ({error.strerror})") from error


def _pictures(
    target: Target, seen: Mapping[int | None, Prediction]
) -> tuple[tuple[int, int] | None, dict[int | None, str]]:
    """Size of the upright frame, and each person's face; what can't be read again is left out."""
    size, found = None, dict[int | None, str]()
    if not _has_file(target):
        return size, found
    last = max((row.index for row in seen.values()), default=0)
    try:
        with open_media(target.source, sound=False, limits=target.limits, threads=1) as media:
            for frame in media:
                if not isinstance(frame, Frame):
                    continue
                size = size or (frame.pixels.shape[1], frame.pixels.shape[0])
                found.update(
                    {person: _face(frame, row) for person, row in seen.items() if row.index == frame.index}
                )
                if frame.index >= last:
                    break
    except MediaError:
        pass  # the rows are there all the same
    return size, found


def _face(frame: Frame, row: Prediction) -> str:
    assert row.box is not None  # noqa: S101 - only rows with a box are kept
    side = 1.3 * max(row.box.width, row.box.height)
    x, y = row.box.center
    patch = cv2.getRectSubPix(frame.pixels, (max(round(side), 1),) * 2, (x, y))
    small = cv2.resize(patch, (THUMBNAIL_PIXELS,) * 2, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(small[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"
