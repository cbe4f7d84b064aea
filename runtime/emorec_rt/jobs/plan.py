"""Plan of a call: its inputs, and a place for the results of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from emorec_rt.errors import UsageError
from emorec_rt.jobs.select import Found, all_lists, select
from emorec_rt.media.sources import is_endless, masked
from emorec_rt.writers import FORMATS, STDOUT, format_of


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
    paths: Sequence[Path],
    outs: Sequence[Path],
    out_dir: Path | None,
    format_names: Sequence[str],
    lists: Sequence[Path] = (),
    note: Callable[[str], None] = lambda _: None,
    *,
    terminal: bool = False,
) -> list[Job]:
    """Match inputs with outputs.

    Args:
        paths: Files, folders, patterns, lists and addresses, in the user's order; see ``select``.
        outs: Targets of a single input, among them at most one ``-``.
        out_dir: Folder for the targets of each input, named after it.
        format_names: Formats in the folder, or the format of a single target whatever its suffix says.
        lists: Files that list further inputs.
        note: Called with what to tell about the inputs, a line each.
        terminal: Standard output is a terminal: unless rows are asked for, people get segments there.

    Raises:
        UsageError: Nothing to do, or outputs that don't fit the inputs.
    """
    if outs and out_dir is not None:
        raise UsageError("--out and --out-dir exclude each other")
    for name in format_names:
        if name not in FORMATS:
            raise UsageError(f"unknown format {name}; there are {', '.join(FORMATS)}")
    sources = select(paths, lists, note)
    if not sources:
        raise UsageError("no input; name a file, a folder, a pattern, a list, a stream or a camera")
    _refuse_endless_among_others([item.source for item in sources])
    if out_dir is not None:
        jobs = _into_folder(sources, out_dir, tuple(dict.fromkeys(format_names)) or ("csv",))
    else:
        shown = ["lines"] if terminal and not outs and not format_names else format_names
        outputs = _outputs(outs or [STDOUT], shown)
        _check_many(outputs, len(sources))
        jobs = [Job(source, outputs) for source in (found.source for found in sources)]
    _refuse_overwriting(jobs, all_lists(paths, lists))
    return jobs


def _refuse_endless_among_others(sources: Sequence[Path]) -> None:
    endless = next(filter(is_endless, sources), None)
    if endless is not None and len(sources) > 1:
        raise UsageError(
            f"{masked(endless)} has no end, and the other inputs would wait for it; give it a call of its own"
        )


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
    if inputs > 1 and any(output.format not in ("jsonl", "lines") for output in outputs):
        raise UsageError("only jsonl says which input a row belongs to; use --out-dir for several inputs")


def _refuse_overwriting(jobs: Sequence[Job], lists: Sequence[Path]) -> None:
    sources = {job.source.resolve() for job in jobs} | {path.resolve() for path in lists}
    for target in (output.target for job in jobs for output in job.outputs if output.target != STDOUT):
        place = target.resolve()
        if place in sources or (place.parent in sources and place.exists()):
            raise UsageError(f"{target} is an input; write the result somewhere else")


def _into_folder(found: list[Found], out_dir: Path, format_names: tuple[str, ...]) -> list[Job]:
    stems = Counter(item.relative.with_suffix("") for item in found)
    jobs = []
    for item in found:
        # a.mp4 and a.wav side by side keep their suffixes, so that neither replaces the other's result
        alone = stems[item.relative.with_suffix("")] == 1
        name = item.relative.stem if alone else item.relative.name
        folder = out_dir / item.relative.parent
        outputs = (Output(folder / f"{name}{FORMATS[f].tag}.{f}", f) for f in format_names)
        jobs.append(Job(item.source, tuple(outputs)))
    _refuse_collisions(jobs)
    return jobs


def _refuse_collisions(jobs: Sequence[Job]) -> None:
    owners: dict[Path, Path] = {}
    for job in jobs:
        for output in job.outputs:
            other = owners.setdefault(output.target, job.source)
            if other != job.source:
                raise UsageError(
                    f"{masked(other)} and {masked(job.source)} have the same name, and would both be written "
                    f"to {output.target}; name the folder above them, or a list beside it, to keep them apart"
                )
