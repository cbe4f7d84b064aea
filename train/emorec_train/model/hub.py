"""Files of published weights: from the Hugging Face hub's cache, or from the network where that may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emorec_rt.errors import EmorecError


class WeightsError(EmorecError, ValueError):
    """Published weights that can't be had, or aren't what they should be."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        super().__init__(f"weights {name}: {reason}")


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file on this machine, and the commit that it is from; empty where nobody can say."""

    path: Path
    revision: str


def hub_file(repository: str, names: Sequence[str], revision: str, *, offline: bool) -> HubFile | None:
    """The first of some files that a repository has; ``None`` if it can't be had.

    Args:
        repository: Its id.
        names: Files, in order of preference.
        revision: Commit, tag or branch; empty takes the newest.
        offline: Take what is on this machine, and don't touch the network.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    for name in names:
        try:
            path = hf_hub_download(repository, name, revision=revision or None, local_files_only=offline)
        except (EntryNotFoundError, OSError, ValueError):
            continue
        return HubFile(Path(path), commit_of(Path(path)))
    return None


def commit_of(path: Path) -> str:
    """Commit of a file in the hub's cache, ``snapshots/<commit>/<file>``."""
    return path.parent.name if path.parent.parent.name == "snapshots" else ""


def fetch_command(repository: str, names: Sequence[str], revision: str, folder: str) -> str:
    """What to run on a machine with a network."""
    parts = ["hf download", repository, *names, *(["--revision", revision] if revision else [])]
    return " ".join([*parts, "--local-dir", folder])
