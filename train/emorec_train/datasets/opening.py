"""From ``NAME:PATH`` on the command line to a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from emorec_rt.errors import UsageError
from emorec_train.datasets.affwild2 import AffWild2
from emorec_train.datasets.cremad import CremaD
from emorec_train.datasets.folder import ClassFolders
from emorec_train.datasets.manifest_csv import ManifestCsv
from emorec_train.datasets.meld import Meld
from emorec_train.datasets.protocol import DataSet
from emorec_train.datasets.ravdess import Ravdess

_Opener = Callable[[Path, str | None], DataSet]

KINDS: Final[Mapping[str, _Opener]] = MappingProxyType(
    {
        "affwild2": lambda path, _: AffWild2(path),
        "ravdess": lambda path, _: Ravdess(path),
        "cremad": lambda path, _: CremaD(path),
        "meld": lambda path, _: Meld(path),
        "folder": lambda path, pattern: ClassFolders(path, speaker_pattern=pattern),
        "csv": lambda path, _: ManifestCsv(path),
    }
)
"""How each name of ``--data`` is opened: the path, and the pattern that finds speakers in file names."""


def open_data_set(request: str, speaker_pattern: str | None = None) -> tuple[str, DataSet]:
    """Name and data set of a request such as ``ravdess:/data/ravdess``.

    Args:
        request: ``NAME:PATH``.
        speaker_pattern: For ``folder``, see ``ClassFolders``.

    Raises:
        UsageError: It has another form, or nobody knows the name.
    """
    name, colon, path = request.partition(":")
    if not colon or not path or name not in KINDS:
        raise UsageError(f"--data {request!r}: give NAME:PATH, with one of the names {', '.join(KINDS)}")
    return name, KINDS[name](Path(path).expanduser(), speaker_pattern)
