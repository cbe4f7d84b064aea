"""Outcome of each input of a call: a line, a table, a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import msgspec

from emorec_rt.errors import UsageError
from emorec_rt.files import write_whole
from emorec_rt.jobs.plan import Job
from emorec_rt.media.sources import masked
from emorec_rt.writers import STDOUT
from emorec_rt.writers.digest import Summary

Status = Literal["done", "failed", "skipped"]

LONGEST_TABLE: Final = 20
"""A call with more inputs than this gets a table of its failures alone."""

MOST_FAILURES: Final = 50
"""Failures in a table; each has had its line before."""

_NAME_WIDTH: Final = 48
_CAUSE_WIDTH: Final = 72
SUMMARY_SUFFIXES: Final = (".json", ".csv")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of one input.

    Attributes:
        source: The input.
        status: ``done``: all its results are there. ``failed``: at least one is missing. ``skipped``: they
            were there before.
        rows: Rows of each result.
        media_seconds: Media time of the rows, first to last.
        seconds: Time from its start to its last result; inputs that share a batch overlap.
        cause: Why it failed; empty otherwise.
        summary: What its rows say as a whole, where it was done in this call.
    """

    source: Path
    status: Status
    rows: int = 0
    media_seconds: float = 0.0
    seconds: float = 0.0
    cause: str = ""
    summary: Summary | None = None

    @property
    def name(self) -> str:
        """The input for people and files, without its passwords."""
        return masked(self.source)


@dataclass
class Totals:
    """Outcomes of a call, and sums over them.

    Attributes:
        inputs: Inputs that were named.
        outcomes: One for each input, in the order in which they ended.
        wall_seconds: Time it took, engines already loaded.
        reader_gone: Whoever read our standard output has closed it; what would have followed is missing.
    """

    inputs: int = 0
    outcomes: list[Outcome] = field(default_factory=list)
    wall_seconds: float = 0.0
    reader_gone: bool = False

    @property
    def failed(self) -> int:
        """Inputs that failed."""
        return self._count("failed")

    @property
    def done(self) -> int:
        """Inputs all of whose results were made."""
        return self._count("done")

    @property
    def skipped(self) -> int:
        """Inputs whose results were there before."""
        return self._count("skipped")

    @property
    def rows(self) -> int:
        """Rows that were made."""
        return sum(outcome.rows for outcome in self._made)

    @property
    def media_seconds(self) -> float:
        """Media time of the rows that were made."""
        return sum(outcome.media_seconds for outcome in self._made)

    def sort(self, sources: Iterable[Path]) -> None:
        """Put the outcomes into the order of the call's inputs."""
        position = {source: index for index, source in enumerate(sources)}
        self.outcomes.sort(key=lambda outcome: position[outcome.source])

    def summary(self) -> str:
        """One line for a person."""
        speed = self.media_seconds / self.wall_seconds if self.wall_seconds > 0 else 0.0
        failed = f", {self.failed} failed" if self.failed else ""
        skipped = f", {self.skipped} skipped as done before" if self.skipped else ""
        media = f"{self.media_seconds:.1f} s of media in {self.wall_seconds:.1f} s"
        return (
            f"{self.done} of {self.inputs} input{'s' * (self.inputs != 1)} done{failed}{skipped}: "
            f"{self.rows} rows, {media} ({speed:.1f}x real time)"
        )

    def table(self) -> str:
        """Lines for a person, one for each input; of a long call, its failures alone."""
        shown = self.outcomes
        if len(shown) > LONGEST_TABLE:
            shown = [outcome for outcome in shown if outcome.status == "failed"]
        lines = [_line(outcome) for outcome in shown[:MOST_FAILURES]]
        if not lines:
            return ""
        if len(shown) > MOST_FAILURES:
            lines.append(f"  ... and {len(shown) - MOST_FAILURES} more failed")
        head = f"  {'input':{_NAME_WIDTH}} {'rows':>8} {'media s':>9} {'took s':>8}  status"
        return "\n".join([head, *lines])

    @property
    def _made(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.status != "skipped"]

    def _count(self, status: Status) -> int:
        return sum(outcome.status == status for outcome in self.outcomes)


def check_summary_file(path: Path, jobs: Iterable[Job], lists: Iterable[Path]) -> None:
    """Refuse a name with an unknown suffix, and one that something else of the call has.

    Raises:
        UsageError: It is neither ``.json`` nor ``.csv``, or it is an input, a result or a list of inputs.
    """
    if path.suffix.lower() not in SUMMARY_SUFFIXES:
        raise UsageError(f"--summary {path}: the name must end in {' or '.join(SUMMARY_SUFFIXES)}")
    place = path.resolve()
    for job in jobs:
        if place == job.source.resolve():
            raise UsageError(f"--summary {path} is an input; write the summary somewhere else")
        if any(place == output.target.resolve() for output in job.outputs if output.target != STDOUT):
            raise UsageError(
                f"--summary {path} is a result of {job.source}; write the summary somewhere else"
            )
    if any(place == listed.resolve() for listed in lists):
        raise UsageError(f"--summary {path} is a list of inputs; write the summary somewhere else")


def write_summary(totals: Totals, path: Path) -> None:
    """Write the outcomes, as the suffix says: JSON with totals, or CSV with one row for each input.

    Raises:
        OutputError: It can't be written.
    """
    text = _as_csv(totals.outcomes) if path.suffix.lower() == ".csv" else _as_json(totals)
    write_whole(path, text)


def _as_json(totals: Totals) -> bytes:
    sums = {
        "inputs": totals.inputs,
        "done": totals.done,
        "failed": totals.failed,
        "skipped": totals.skipped,
        "rows": totals.rows,
        "media_seconds": round(totals.media_seconds, 3),
        "wall_seconds": round(totals.wall_seconds, 3),
    }
    record = {"totals": sums, "inputs": [_full_record(outcome) for outcome in totals.outcomes]}
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def _as_csv(outcomes: Sequence[Outcome]) -> str:
    text = io.StringIO()
    records = [{**_record(outcome), **_flat(outcome.summary)} for outcome in outcomes]
    fields = dict.fromkeys(
        [*_record(Outcome(Path(), "done")), *(name for record in records for name in record)]
    )
    writer = csv.DictWriter(text, list(fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def _record(outcome: Outcome) -> dict[str, str | int | float]:
    return {
        "input": outcome.name.encode("utf-8", "replace").decode(),
        "status": outcome.status,
        "rows": outcome.rows,
        "media_seconds": round(outcome.media_seconds, 3),
        "seconds": round(outcome.seconds, 3),
        "cause": outcome.cause.encode("utf-8", "replace").decode(),
    }


def _full_record(outcome: Outcome) -> dict[str, object]:
    summary = {} if outcome.summary is None else {"summary": outcome.summary.to_dict()}
    return {**_record(outcome), **summary}


def _flat(summary: Summary | None) -> dict[str, str | int | float]:
    """The summary's columns of a table: a share and a mean score for each label, and the rest."""
    if summary is None:
        return {}
    record = summary.to_dict()
    shares, means = record.pop("shares"), record.pop("mean_scores")
    del record["seconds"], record["unknown_rows"]
    return {
        **{f"share {label}": share for label, share in shares.items()},
        **{f"mean {label}": mean for label, mean in means.items()},
        **record,
    }


def _line(outcome: Outcome) -> str:
    name = _shortened(outcome.name, _NAME_WIDTH, keep_end=True)
    cause = outcome.cause.removeprefix(f"{outcome.name}: ")
    status = outcome.status + (f": {_shortened(cause, _CAUSE_WIDTH)}" if cause else "")
    if outcome.summary is not None:
        status = f"{status}: {outcome.summary.most()}"
    figures = f"{outcome.rows:8d} {outcome.media_seconds:9.1f} {outcome.seconds:8.1f}"
    return f"  {name:{_NAME_WIDTH}} {figures}  {status}"


def _shortened(text: str, width: int, *, keep_end: bool = False) -> str:
    if len(text) <= width:
        return text
    return f"...{text[3 - width :]}" if keep_end else f"{text[: width - 3]}..."
