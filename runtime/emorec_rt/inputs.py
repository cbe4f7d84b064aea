"""Which files a call means, and where each one's result goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emorec_rt.errors import UsageError
from emorec_rt.writers import FORMATS, format_of

STDOUT: Final = Path("-")

MEDIA_SUFFIXES: Final = frozenset(
    {
        *(
            ".3gp",
            ".avi",
            ".flv",
            ".m4v",
            ".mkv",
            ".mov",
            ".mp4",
            ".mpeg",
            ".mpg",
            ".mts",
            ".ts",
            ".webm",
            ".wmv",
        ),
        *(".aac", ".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav"),
    }
)
"""What counts as media inside a folder; a file that is named outright may have any suffix."""


@dataclass(frozen=True, slots=True)
class Job:
    """One input and its result.

    Attributes:
        source: The media file.
        target: The file to write; ``-`` is standard output.
        format: Name of the output format.
    """

    source: Path
    target: Path
    format: str


def plan(paths: Sequence[Path], out: Path | None, out_dir: Path | None, format_name: str | None) -> list[Job]:
    """Match inputs with outputs.

    Args:
        paths: Files and folders, in the user's order; folders are searched, in sorted order.
        out: Target of a single input, or ``-``.
        out_dir: Folder for one target an input, named after it.
        format_name: Format where the suffix doesn't say it.

    Raises:
        UsageError: Nothing to do, or outputs that don't fit the inputs.
    """
    if out is not None and out_dir is not None:
        raise UsageError("--out and --out-dir exclude each other")
    sources = _expand(paths)
    if out_dir is not None:
        return _into_folder(sources, out_dir, format_name or "csv")
    out = out or STDOUT
    if out == STDOUT:
        return [Job(source, STDOUT, format_name or "jsonl") for source, _ in sources]
    if len(sources) > 1:
        raise UsageError(f"{len(sources)} inputs need --out-dir FOLDER rather than --out")
    return [Job(sources[0][0], out, format_of(out, format_name))]


def _expand(paths: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Each file, and its path relative to the folder it was found in."""
    sources: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            found = _media_in(path)
            if not found:
                raise UsageError(f"{path}: no media file in this folder")
            sources.update({file: file.relative_to(path) for file in found})
        else:
            sources[path] = Path(path.name)
    return list(sources.items())


def _media_in(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in MEDIA_SUFFIXES and path.is_file()
    )


def _into_folder(sources: list[tuple[Path, Path]], out_dir: Path, format_name: str) -> list[Job]:
    if format_name not in FORMATS:
        raise UsageError(f"unknown format {format_name}; there are {', '.join(FORMATS)}")
    stems = Counter(relative.with_suffix("") for _, relative in sources)
    jobs = []
    for source, relative in sources:
        # a.mp4 and a.wav side by side keep their suffixes, so that neither replaces the other's result
        name = relative.stem if stems[relative.with_suffix("")] == 1 else relative.name
        jobs.append(Job(source, out_dir / relative.parent / f"{name}.{format_name}", format_name))
    if len({job.target for job in jobs}) < len(jobs):
        raise UsageError("two inputs have the same name; run them into different folders")
    return jobs
