"""Data sets by their name on the command line: ``NAME[,OPTION=VALUE...]:PATH``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from emorec_rt.constants import EXPRESSIONS
from emorec_rt.errors import UsageError
from emorec_train.data.datasets.affwild2 import IMAGE_KINDS, AffWild2
from emorec_train.data.datasets.cremad import CremaD
from emorec_train.data.datasets.folder import ClassFolders
from emorec_train.data.datasets.manifest_csv import ManifestCsv
from emorec_train.data.datasets.meld import Meld
from emorec_train.data.datasets.protocol import DataSet
from emorec_train.data.datasets.ravdess import Ravdess

Options = Mapping[str, str]
"""Options of a data set that were given, by name."""

ANY_FILE: Final[tuple[str, ...]] = ()
"""Values of an option that takes a file."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of data set.

    Attributes:
        open: From the path, the given options and the pattern that finds speakers in file names.
        options: Allowed values of each option, or ``ANY_FILE``.
    """

    open: Callable[[Path, Options, str | None], DataSet]
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def _affwild2(path: Path, options: Options, _: str | None) -> AffWild2:
    counts = options.get("counts")
    images = options.get("images")
    return AffWild2(
        path,
        images=None if images is None else IMAGE_KINDS[images],
        counts=None if counts is None else Path(counts).expanduser(),
    )


def _ravdess(path: Path, options: Options, _: str | None) -> Ravdess:
    return Ravdess(path, calm=options.get("calm"), song=options.get("song", "yes") == "yes")


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "affwild2": Kind(_affwild2, {"images": tuple(IMAGE_KINDS), "counts": ANY_FILE}),
        "ravdess": Kind(_ravdess, {"calm": EXPRESSIONS, "song": ("yes", "no")}),
        "cremad": Kind(lambda path, *_: CremaD(path)),
        "meld": Kind(lambda path, *_: Meld(path)),
        "folder": Kind(lambda path, _, pattern: ClassFolders(path, speaker_pattern=pattern)),
        "csv": Kind(lambda path, *_: ManifestCsv(path)),
    }
)
"""Every data set that ``--data`` takes."""


def open_data_set(request: str, speaker_pattern: str | None = None) -> tuple[str, DataSet]:
    """Open a data set, given as ``ravdess:/data/ravdess`` or ``ravdess,song=no:/data/ravdess``.

    Args:
        request: ``NAME[,OPTION=VALUE...]:PATH``.
        speaker_pattern: For ``folder``, see ``ClassFolders``.

    Returns:
        Its name and the data set.

    Raises:
        UsageError: It has another form, or the name, an option or its value is unknown.
    """
    head, colon, path = request.partition(":")
    name, *pairs = head.split(",")
    if not colon or not path or name not in KINDS:
        raise UsageError(f"--data {request!r}: give NAME:PATH, with one of the names {', '.join(KINDS)}")
    options = dict(_option(request, name, pair) for pair in pairs)
    return name, KINDS[name].open(Path(path).expanduser(), options, speaker_pattern)


def _option(request: str, name: str, pair: str) -> tuple[str, str]:
    key, _, value = pair.partition("=")
    known = KINDS[name].options
    if key not in known:
        there = f"its options are {', '.join(known)}" if known else "it has none"
        raise UsageError(f"--data {request!r}: {name} has no option {key!r}; {there}")
    allowed = known[key]
    if not value or (allowed and value not in allowed):
        raise UsageError(f"--data {request!r}: {key}={value}: give {', '.join(allowed) or 'a file'}")
    return key, value
