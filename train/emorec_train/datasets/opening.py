"""From ``NAME:PATH`` on the command line to a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from emorec_rt.errors import UsageError
from emorec_rt.signal import EXPRESSIONS
from emorec_train.datasets.affwild2 import AffWild2
from emorec_train.datasets.cremad import CremaD
from emorec_train.datasets.folder import ClassFolders
from emorec_train.datasets.manifest_csv import ManifestCsv
from emorec_train.datasets.meld import Meld
from emorec_train.datasets.protocol import DataSet
from emorec_train.datasets.ravdess import Ravdess

_Opener = Callable[[Path, dict[str, str], str | None], DataSet]


def _ravdess(path: Path, options: dict[str, str], _: str | None) -> Ravdess:
    calm, song = options.pop("calm", None), options.pop("song", "yes")
    if calm not in (None, *EXPRESSIONS):
        raise UsageError(f"calm={calm}: give one of {', '.join(EXPRESSIONS)}")
    if song not in ("yes", "no"):
        raise UsageError(f"song={song}: give yes or no")
    return Ravdess(path, calm=calm, song=song == "yes")


KINDS: Final[Mapping[str, _Opener]] = MappingProxyType(
    {
        "affwild2": lambda path, *_: AffWild2(path),
        "ravdess": _ravdess,
        "cremad": lambda path, *_: CremaD(path),
        "meld": lambda path, *_: Meld(path),
        "folder": lambda path, _, pattern: ClassFolders(path, speaker_pattern=pattern),
        "csv": lambda path, *_: ManifestCsv(path),
    }
)
"""How each name of ``--data`` is opened: the path, its own options, which it takes out, and the pattern that
finds speakers in file names."""


def open_data_set(request: str, speaker_pattern: str | None = None) -> tuple[str, DataSet]:
    """Name and data set of a request such as ``ravdess:/data/ravdess`` or ``ravdess,song=no:/data/ravdess``.

    Args:
        request: ``NAME[,OPTION=VALUE...]:PATH``.
        speaker_pattern: For ``folder``, see ``ClassFolders``.

    Raises:
        UsageError: It has another form, or nobody knows the name or an option.
    """
    head, colon, path = request.partition(":")
    name, *pairs = head.split(",")
    if not colon or not path or name not in KINDS:
        raise UsageError(f"--data {request!r}: give NAME:PATH, with one of the names {', '.join(KINDS)}")
    options = {key: value for key, _, value in (pair.partition("=") for pair in pairs)}
    try:
        data_set = KINDS[name](Path(path).expanduser(), options, speaker_pattern)
    except UsageError as error:
        raise UsageError(f"--data {request!r}: {error}") from error
    if options:
        raise UsageError(f"--data {request!r}: {name} has no option {next(iter(options))!r}")
    return name, data_set
