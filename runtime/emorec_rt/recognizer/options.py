"""Options of a recognizer, checked the same way for Python and for the command line."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from emorec_rt.bundle.manifest import Precision
from emorec_rt.engines import AUTO, BACKENDS, is_backend
from emorec_rt.errors import UsageError
from emorec_rt.faces import FaceMode, Faces
from emorec_rt.media.sources import SourceOptions


@dataclass(frozen=True, slots=True)
class Options:
    """Keywords of ``emorec_rt.load``, which documents them.

    Raises:
        UsageError: A value is of the wrong type, or not among those that there are.
    """

    backend: str = AUTO
    precision: Precision | None = None
    threads: int | None = None
    batch_size: int | None = None
    face: FaceMode = "auto"
    face_model: Path | None = None
    faces: Faces = "main"
    speakers: Path | None = None
    vision_fps: float | None = None
    keep_up: float | None = None
    measure: bool = True
    source: SourceOptions = field(default_factory=SourceOptions)

    def __post_init__(self) -> None:
        if not (isinstance(self.backend, str) and is_backend(self.backend)):
            _one_of("backend", self.backend, (AUTO, *BACKENDS))
        _one_of("face", self.face, get_args(FaceMode))
        if self.precision is not None:
            _one_of("precision", self.precision, get_args(Precision))
        if self.faces not in ("main", "all"):
            if isinstance(self.faces, str):
                raise UsageError(f"unknown faces {self.faces!r}; there are main, all, or a number")
            _whole("faces", self.faces)
        if self.faces != "main" and self.face == "off":
            raise UsageError(f"faces {self.faces} needs a face detector; face must be auto or require")
        if self.faces != "main" and isinstance(self.source, SourceOptions) and self.source.decoder == "dali":
            raise UsageError(f"faces {self.faces} is not possible with decoder dali; take pyav")
        if not isinstance(self.measure, bool):
            raise _wrong("measure", self.measure, "True or False")
        _whole("threads", self.threads)
        _whole("batch_size", self.batch_size)
        _above_zero("vision_fps", self.vision_fps)
        _above_zero("keep_up", self.keep_up)
        for name in ("face_model", "speakers"):
            value = getattr(self, name)
            if value is not None:
                if not isinstance(value, (str, os.PathLike)):
                    raise _wrong(name, value, "a path")
                object.__setattr__(self, name, Path(value))
        if self.speakers is not None and self.faces == "main":
            raise UsageError("speakers needs faces all, or a number: one face gets all of the sound")
        if not isinstance(self.source, SourceOptions):
            raise _wrong("source", self.source, "a SourceOptions")

    @property
    def most_faces(self) -> int | None:
        """Faces to follow at once; ``None`` follows all."""
        return self.faces if isinstance(self.faces, int) else None


def refuse_unknown(keywords: Mapping[str, Any]) -> None:
    """Refuse keywords that no option has.

    Raises:
        UsageError: There is one; the message names the nearest option.
    """
    known = [option.name for option in fields(Options)]
    for name in keywords:
        raise UsageError(f"there is no option {name}{_nearest(name, known)}")


def _nearest(word: str, known: Iterable[str]) -> str:
    """Words that name the nearest option, or all of them."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(known)}"


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in known:
        raise UsageError(f"unknown {name} {value!r}; there are {', '.join(known)}")


def _whole(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(name, value, "a whole number")
    if value < 1:
        raise UsageError(f"{name} is {value}; it must be 1 or more")


def _above_zero(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise _wrong(name, value, "a number")
    if not value > 0.0:
        raise UsageError(f"{name} is {value}; it must be above 0")


def _wrong(name: str, value: object, wanted: str) -> UsageError:
    return UsageError(f"{name} is {value!r}; it must be {wanted}")
