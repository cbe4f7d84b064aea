"""Croppers of inputs; each has a face detector that no other input uses at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from emorec_rt.bundle.manifest import Vision
from emorec_rt.faces import FaceCropper, FaceDetector, PeopleCropper
from emorec_rt.faces.cropped import BatchCropper
from emorec_rt.media.sources import Source
from emorec_rt.recognizer.options import Options


class Croppers:
    """Make croppers; detectors that have become free are used again.

    Args:
        options: Whose faces to crop, and how they are found.
        vision: Size and margin of crops.

    Raises:
        UsageError: The face model can't be read.
    """

    def __init__(self, options: Options, vision: Vision) -> None:
        self._options = options
        self._vision = vision
        self._lock = threading.Lock()
        self._free = [] if options.face == "off" else [FaceDetector(options.face_model)]

    @contextmanager
    def of_source(self, media: Source) -> Iterator[FaceCropper | BatchCropper]:
        """Give a source's cropper, for as long as the source is read."""
        with self.of_frames() as cropper:
            if self._options.source.decoder == "dali" and not media.live:
                from emorec_rt.faces.dali_cropper import DaliCropper

                yield DaliCropper(cropper)
            else:
                yield cropper

    @contextmanager
    def of_frames(self) -> Iterator[FaceCropper]:
        """Give a cropper of single frames."""
        with self._detector() as detector:
            options, vision = self._options, self._vision
            size, margin, interpolation = vision.crop_size, vision.margin, vision.interpolation
            if options.faces != "main" and detector is not None:
                most = options.most_faces
                yield PeopleCropper(
                    options.face, detector, most, size=size, margin=margin, interpolation=interpolation
                )
            else:
                yield FaceCropper(
                    options.face, detector=detector, size=size, margin=margin, interpolation=interpolation
                )

    @contextmanager
    def _detector(self) -> Iterator[FaceDetector | None]:
        if self._options.face == "off":
            yield None
            return
        with self._lock:
            detector = self._free.pop() if self._free else None
        detector = detector or FaceDetector(self._options.face_model)
        try:
            yield detector
        finally:
            self._free.append(detector)
