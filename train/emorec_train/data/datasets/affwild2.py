"""Aff-Wild2 with the ABAW challenge's annotations (Kollias and Zafeiriou), for each frame.

They are of expressions, of valence and arousal, and of action units; a sequence has some of the three.

Access is by signed agreement only. The data set names no persons, so the recording stands for the speaker:
its parts, and both persons in it, share sound and must stay together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray

from emorec_rt.constants import EXPRESSIONS
from emorec_train.data.datasets.affwild2_files import (
    AnnotationError,
    Layout,
    find_layout,
    images_of,
    list_frames,
    parse_name,
    read_annotation,
)
from emorec_train.data.datasets.affwild2_measures import TRACKS, joined, read_measures
from emorec_train.data.datasets.protocol import ScannedDataSet
from emorec_train.data.datasets.record import ClipRecord, Problem, Scan
from emorec_train.data.datasets.template import frame_counts, read_reference
from emorec_train.data.labels import IGNORED
from emorec_train.data.synthetic import Split

ImageKind = Literal["cropped_aligned", "cropped"]
IMAGE_KINDS: Final[dict[str, ImageKind]] = {"cropped_aligned": "cropped_aligned", "cropped": "cropped"}


@dataclass(frozen=True)
class AffWild2(ScannedDataSet):
    """Aff-Wild2 on disk.

    Attributes:
        root: Folder with annotations, images and videos, at any depth.
        images: Which face crops; the later additions are taken for either. ``None``: the aligned ones, or the
            others where there are no aligned ones.
        counts: List with a line ``<video> <frames>``; annotations of another length are reported.
        split_seed: Unused; the challenge fixes the splits.
    """

    name: ClassVar[str] = "Aff-Wild2"
    root: Path
    images: ImageKind | None = None
    counts: Path | None = None
    split_seed: int = 0

    @property
    def labels(self) -> tuple[str, ...]:
        """All of them."""
        return EXPRESSIONS

    def _scan(self) -> Scan:
        problems: list[Problem] = []
        layout = self._layout(problems)
        return Scan(tuple(self._annotated(layout, problems)), tuple(problems))

    def sequences(self, counts: Mapping[str, int]) -> Scan:
        """Sequences by name, annotated or not, without labels.

        Args:
            counts: Frames of each, by name, with ``_left`` or ``_right`` where it is one of two persons.

        Returns:
            Those that are on disk, in the order of ``counts``, and what isn't as it should be.
        """
        problems: list[Problem] = []
        layout = self._layout(problems)
        found = (
            self._record(layout, name, "test", self.root, problems, frame_count=count)
            for name, count in counts.items()
        )
        return Scan(tuple(record for record in found if record is not None), tuple(problems))

    def _layout(self, problems: list[Problem]) -> Layout:
        layout = find_layout(self.root, problems)
        if not layout.videos and not layout.sounds:
            problems.append(Problem(self.root, "no video below it: there is no sound, and no time of frames"))
        if self.images is None and _kind(layout) == "cropped":
            problems.append(Problem(self.root, "no cropped_aligned below it; the images of cropped are used"))
        return layout

    def _annotated(self, layout: Layout, problems: list[Problem]) -> Iterator[ClipRecord]:
        counts = frame_counts(read_reference(self.counts)) if self.counts else {}
        expressions = layout.annotations.get("EXPR", {})
        for name, (split, path) in sorted(expressions.items()):
            try:
                labels = read_annotation(path)
            except (AnnotationError, OSError) as error:
                problems.append(Problem(path, f"{error}; left out"))
                continue
            expected = counts.get(parse_name(name).video, len(labels))
            if expected != len(labels):
                problems.append(
                    Problem(path, f"has {_lines(len(labels), expected)}; frames go by their number")
                )
            record = self._record(layout, name, split, path, problems)
            if record is not None:
                measures = _measures(layout, name, split, problems)
                yield replace(_labelled(record, labels, path, problems), frame_measures=measures)
        yield from self._measured_only(layout, problems)

    def _measured_only(self, layout: Layout, problems: list[Problem]) -> Iterator[ClipRecord]:
        """Sequences without an annotation of expressions."""
        others = {
            name: place
            for track in reversed(TRACKS)
            for name, place in layout.annotations.get(track, {}).items()
            if name not in layout.annotations.get("EXPR", {})
        }
        for name, (split, path) in sorted(others.items()):
            measures = _measures(layout, name, split, problems)
            record = None if measures is None else self._record(layout, name, split, path, problems)
            if record is not None:
                yield replace(record, frame_measures=measures)

    def _record(
        self,
        layout: Layout,
        name: str,
        split: Split,
        path: Path,
        problems: list[Problem],
        frame_count: int | None = None,
    ) -> ClipRecord | None:
        """The sequence, or ``None`` and a problem where its person can't be seen."""
        parsed = parse_name(name)
        folder = images_of(layout, name, self.images or _kind(layout))
        video = layout.videos.get(parsed.video)
        if folder is None and (video is None or parsed.person or _two_persons(layout, parsed.video)):
            why = "the video shows two persons" if video else "nor a video"
            problems.append(Problem(path, f"{name} has no folder of images, {why}; left out"))
            return None
        if folder is None and layout.images:
            problems.append(Problem(path, f"{name} has no folder of images; the video itself is used"))
        if video is None and layout.videos:
            problems.append(
                Problem(path, f"there is no video {parsed.video}: no sound, and no time of frames")
            )
        return ClipRecord(
            clip_id=name,
            split=split,
            speaker=f"aff-wild2-{parsed.recording}",
            video=video,
            frames=list_frames(folder, problems) if folder else None,
            sound=video or layout.sounds.get(parsed.video),
            person=parsed.person,
            fps=float(parsed.fps_hint or 30),
            frame_count=frame_count,
            official_split=True,
        )


def _kind(layout: Layout) -> str:
    return next((kind for kind in ("cropped_aligned", "cropped") if kind in layout.images), "cropped_aligned")


def _two_persons(layout: Layout, video: str) -> bool:
    known: list[Collection[str]] = [*layout.annotations.values(), *layout.images.values()]
    return any(f"{video}_{side}" in names for side in ("left", "right") for names in known)


def _measures(layout: Layout, name: str, split: Split, problems: list[Problem]) -> NDArray[np.float32] | None:
    """Valence, arousal and action units of a sequence, as far as they are annotated in the same split.

    The tracks are split each in its own way: what one tests on must not be learnt from another.
    """
    found: list[NDArray[np.float32]] = []
    for track in TRACKS:
        own_split, path = layout.annotations.get(track, {}).get(name, (split, None))
        if path is None:
            continue
        if own_split != split:
            problems.append(Problem(path, f"the sequence is in {split} by another track; left out"))
            continue
        try:
            found.append(read_measures(path, track))
        except (AnnotationError, OSError) as error:
            problems.append(Problem(path, f"{error}; left out"))
    return joined(found)


def _labelled(
    record: ClipRecord, labels: NDArray[np.int64], path: Path, problems: list[Problem]
) -> ClipRecord:
    last = int(record.frames.numbers[-1]) if record.frames and len(record.frames.numbers) else 0
    if last > len(labels):
        folder = record.frames.path if record.frames else path
        problems.append(
            Problem(path, f"has {_lines(len(labels), last)} in {folder}; frames without a line are ignored")
        )
    padding = np.full(max(0, last - len(labels)), IGNORED, np.int64)
    return replace(record, frame_labels=np.concatenate([labels, padding]))


def _lines(labels: int, frames: int) -> str:
    kind = "missing" if labels < frames else "extra"
    return f"{abs(frames - labels)} {kind} lines: {labels} labels for {frames} frames"
