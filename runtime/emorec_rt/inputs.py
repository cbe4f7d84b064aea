"""Which files a call means, and where each one's results go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emorec_rt.errors import UsageError
from emorec_rt.sources import is_address, is_picture_folder, output_stem
from emorec_rt.writers import FORMATS, STDOUT, format_of

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
class Output:
    """One result of an input.

    Attributes:
        target: The file to write; ``-`` is standard output.
        format: Name of the output format.
    """

    target: Path
    format: str


@dataclass(frozen=True, slots=True)
class Job:
    """One input and its results.

    Attributes:
        source: The media file.
        outputs: What is written about it, in one pass.
    """

    source: Path
    outputs: tuple[Output, ...]


def plan(
    paths: Sequence[Path], outs: Sequence[Path], out_dir: Path | None, format_names: Sequence[str]
) -> list[Job]:
    """Match inputs with outputs.

    Args:
        paths: Files and folders, in the user's order; folders are searched, in sorted order.
        outs: Targets of a single input, among them at most one ``-``.
        out_dir: Folder for the targets of each input, named after it.
        format_names: Formats in the folder, or the format of a single target whatever its suffix says.

    Raises:
        UsageError: Nothing to do, or outputs that don't fit the inputs.
    """
    if outs and out_dir is not None:
        raise UsageError("--out and --out-dir exclude each other")
    for name in format_names:
        if name not in FORMATS:
            raise UsageError(f"unknown format {name}; there are {', '.join(FORMATS)}")
    sources = _expand(paths)
    if out_dir is not None:
        jobs = _into_folder(sources, out_dir, tuple(dict.fromkeys(format_names)) or ("csv",))
    else:
        outputs = _outputs(outs or [STDOUT], format_names)
        _check_many(outputs, len(sources))
        jobs = [Job(source, outputs) for source, _ in sources]
    _refuse_overwriting(jobs)
    return jobs


def _outputs(outs: Sequence[Path], format_names: Sequence[str]) -> tuple[Output, ...]:
    if format_names and (len(outs) > 1 or len(format_names) > 1):
        raise UsageError("--format goes with a single --out, or with --out-dir; else each suffix sets it")
    name = format_names[0] if format_names else None
    outputs = tuple(Output(out, (name or "jsonl") if out == STDOUT else format_of(out, name)) for out in outs)
    for output in outputs:
        if output.target == STDOUT and not FORMATS[output.format].text:
            raise UsageError(f"{output.format} can't go to standard output; give it a file with --out")
    return outputs


def _check_many(outputs: tuple[Output, ...], inputs: int) -> None:
    if len({output.target for output in outputs}) < len(outputs):
        raise UsageError("two results have the same name")
    if inputs > 1 and any(output.target != STDOUT for output in outputs):
        raise UsageError(f"{inputs} inputs need --out-dir FOLDER rather than --out")
    if inputs > 1 and any(output.format != "jsonl" for output in outputs):
        raise UsageError("only jsonl says which input a row belongs to; use --out-dir for several inputs")


def _refuse_overwriting(jobs: Sequence[Job]) -> None:
    sources = {job.source.resolve() for job in jobs}
    for job in jobs:
        for output in job.outputs:
            if output.target != STDOUT and output.target.resolve() in sources:
                raise UsageError(f"{output.target} is an input; write the result somewhere else")


def _expand(paths: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Each file, and its path relative to the folder it was found in."""
    sources: dict[Path, Path] = {}
    for path in paths:
        if is_address(path):
            sources[path] = Path(output_stem(path))
        elif is_picture_folder(path):
            sources[path] = Path(path.name)
        elif path.is_dir():
            found = _media_in(path)
            if not found:
                raise UsageError(f"{path}: no media file in this folder")
            sources.update({file: file.relative_to(path) for file in found})
        else:
            sources[path] = Path(path.name)
    return list(sources.items())


def _media_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if _is_media(path))


def _is_media(path: Path) -> bool:
    result = any(format_.tag and path.stem.endswith(format_.tag) for format_ in FORMATS.values())
    return path.suffix.lower() in MEDIA_SUFFIXES and path.is_file() and not result


def _into_folder(sources: list[tuple[Path, Path]], out_dir: Path, format_names: tuple[str, ...]) -> list[Job]:
    stems = Counter(relative.with_suffix("") for _, relative in sources)
    jobs = []
    for source, relative in sources:
        # a.mp4 and a.wav side by side keep their suffixes, so that neither replaces the other's result
        name = relative.stem if stems[relative.with_suffix("")] == 1 else relative.name
        folder = out_dir / relative.parent
        outputs = (Output(folder / f"{name}{FORMATS[f].tag}.{f}", f) for f in format_names)
        jobs.append(Job(source, tuple(outputs)))
    targets = [output.target for job in jobs for output in job.outputs]
    if len(set(targets)) < len(targets):
        raise UsageError("two inputs have the same name; run them into different folders")
    return jobs
