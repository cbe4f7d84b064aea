"""Files of published weights: from the Hugging Face hub's cache, or from the network where that may be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from emorec_rt.errors import EmorecError

OFFLINE: Final = "are not on this machine, and --offline keeps it from the network"


class WeightsError(EmorecError, ValueError):
    """Published weights that can't be had, or aren't what they should be."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        super().__init__(f"weights {name}: {reason}")


class UnavailableError(EmorecError, ValueError):
    """A file that can't be had; its text says why.

    Attributes:
        lacking: Whether the repository was asked, and has no such file.
    """

    def __init__(self, reason: str, *, lacking: bool = False) -> None:
        self.lacking = lacking
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file on this machine, and the commit that it is from; empty where it is unknown."""

    path: Path
    revision: str


def configuration(pretrained: str, path: Path) -> dict[str, Any]:
    """A JSON file of transformers.

    Raises:
        WeightsError: It can't be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(pretrained, f"{path} can't be read: {error}") from error
    if not isinstance(content, dict):
        raise WeightsError(pretrained, f"{path} is not a configuration of transformers")
    return content


def hub_file(repository: str, names: Sequence[str], revision: str, *, offline: bool) -> HubFile:
    """The first of some files that a repository has.

    Args:
        repository: Its id.
        names: Files, in order of preference.
        revision: Commit, tag or branch; empty takes the newest.
        offline: Take what is on this machine, and don't touch the network.

    Raises:
        UnavailableError: None of them can be had.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    # The bases of its error are those of its HTTP library, which differs by version: timeouts are of them.
    expected: tuple[type[Exception], ...] = (
        *HfHubHTTPError.__bases__,
        EntryNotFoundError,
        OSError,
        ValueError,
    )
    why = ""
    for name in names:
        try:
            path = hf_hub_download(repository, name, revision=revision or None, local_files_only=offline)
        except expected as error:
            lacking = isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError)
            why = why or ("" if lacking else _reason(error, repository, revision, offline))
            continue
        return HubFile(Path(path), commit_of(Path(path)))
    raise UnavailableError(why or f"{repository} has no {' or '.join(names)}", lacking=not why)


def _reason(error: Exception, repository: str, revision: str, offline: bool) -> str:
    """Reason why a file can't be had, in a line."""
    from huggingface_hub import errors

    if isinstance(error, errors.HFValidationError):
        return f"{repository} is neither a folder nor the id of a repository, as in org/name"
    if offline:
        return OFFLINE
    if isinstance(error, errors.GatedRepoError):
        return f"can't be had: {repository} is gated; accept its terms on its page and run `hf auth login`"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"can't be had: the hub has no {repository}, or it is private (then run `hf auth login`)"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"can't be had: {repository} has no revision {revision}"
    if isinstance(error, OSError) and error.errno and error.strerror:
        return f"can't be had: {error.filename or 'the hub cache'}: {error.strerror}"
    # LocalEntryNotFoundError says that it has no copy; why it couldn't ask is its cause.
    return f"can't be had: {short(error.__cause__ or error)}"


def short(error: BaseException) -> str:
    """The first line of what a library says, or the error's name."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def commit_of(path: Path) -> str:
    """Commit of a file in the hub's cache, ``snapshots/<commit>/<file>``."""
    return path.parent.name if path.parent.parent.name == "snapshots" else ""


def fetch_command(repository: str, names: Sequence[str], revision: str, folder: str) -> str:
    """Command that downloads the files, for a machine with a network."""
    parts = ["hf download", repository, *names, *(["--revision", revision] if revision else [])]
    return " ".join([*parts, "--local-dir", folder])


def absent(name: str, why: object, command: str, made: str, option: str) -> WeightsError:
    """Weights that can't be had, and how to bring them.

    Args:
        name: As the user gave it.
        why: They can't be had.
        command: Fetches them on another machine.
        made: File or folder that the command makes.
        option: Takes them from there.
    """
    return WeightsError(
        name, f"{why}; on a machine with a network run `{command}`, copy {made} here and give {option}"
    )
