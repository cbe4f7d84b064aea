"""A journal of finished inputs beside their results, and the inputs that are left.

Each finished input adds one line to ``.emorec-done.jsonl`` in the folder of its first result: a hash of its
content, a hash of all settings that results depend on, and each result with a hash of its own. A line is
written at once, after the results have appeared, so that a killed run leaves whole lines, or a last one that
is no JSON and counts for nothing. An input is skipped only if all of that is still true.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from emorec_rt import __version__
from emorec_rt.bundle import DEFAULT_FOLDER, sha256_of
from emorec_rt.bundle.manifest import FILE_NAME
from emorec_rt.files import append_line, explained, remove_parts
from emorec_rt.jobs.plan import Job
from emorec_rt.jobs.summary import Outcome
from emorec_rt.media.sources import is_address
from emorec_rt.recognizer.batchers import backend_of
from emorec_rt.recognizer.options import Options
from emorec_rt.writers import STDOUT, OutputOptions

JOURNAL_NAME: Final = ".emorec-done.jsonl"
WHOLE_BYTES: Final = 16 << 20
"""A file up to this size is hashed whole."""

SAMPLES: Final = 64
SAMPLE_BYTES: Final = 128 << 10
"""Of a larger one: its size, and this many blocks spread evenly from its first byte to its last."""


class Record(msgspec.Struct, frozen=True):
    """A line of the journal.

    Attributes:
        outputs: Hash of each result, by its path below the journal's folder.
        content: Hash of the input.
        settings: Hash of everything else that results depend on.
        rows: Rows of each result.
        media_seconds: Media time of the rows.
    """

    outputs: dict[str, str]
    content: str
    settings: str
    rows: int
    media_seconds: float


def fingerprint(path: Path) -> str:
    """Hash of a file's content, in hexadecimal; cheap for a large one.

    A file over ``WHOLE_BYTES`` is hashed by its size and 64 samples, 8 MiB in all: recordings are never equal
    in all of these by chance, but a change of a few bytes in the middle, at the same size, goes unnoticed. A
    folder of pictures is hashed by its files' names, sizes and times.

    Raises:
        OSError: It can't be read.
    """
    digest = hashlib.sha256()
    if path.is_dir():
        for item in sorted(path.iterdir()):
            info = item.stat()
            digest.update(f"{os.fsencode(item.name)!r} {info.st_size} {info.st_mtime_ns}\n".encode())
        return digest.hexdigest()
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        digest.update(f"{size} ".encode())
        whole = size <= WHOLE_BYTES
        for offset in [0] if whole else _sample_offsets(size):
            file.seek(offset)
            digest.update(file.read(WHOLE_BYTES if whole else SAMPLE_BYTES))
    return digest.hexdigest()


def settings_hash(settings: object) -> str:
    """Hash of anything that msgspec can encode, whatever the order of keys."""
    return hashlib.sha256(msgspec.json.encode(settings, order="deterministic")).hexdigest()


@dataclass
class Journal:
    """Journals of all folders that a call writes to.

    Args:
        settings: From ``settings_hash``.
    """

    settings: str
    _known: dict[Path, dict[str, Record]] = field(default_factory=dict)
    _stamps: dict[Path, _Stamp] = field(default_factory=dict)

    def split(self, jobs: Sequence[Job]) -> tuple[list[Job], list[Outcome]]:
        """Split jobs into those that are left, and outcomes of those that are done."""
        left, skipped = [], []
        for job in jobs:
            record = self._found(job)
            if record is None:
                left.append(job)
            else:
                skipped.append(Outcome(job.source, "skipped", record.rows, record.media_seconds))
        return left, skipped

    def add(self, job: Job, outcome: Outcome) -> None:
        """Note that an input is done; one that failed, or that can't be read twice, is not noted.

        Raises:
            OutputError: The journal can't be written.
        """
        with explained(_folder(job) / JOURNAL_NAME):
            record = self.record(job, outcome)
            if record is not None:
                self.append(job, record)

    def record(self, job: Job, outcome: Outcome) -> Record | None:
        """The line about an input that is done; ``None`` where there is nothing to note.

        Raises:
            OSError: The input or a result can't be read.
        """
        stamp = self._stamps.get(job.source)
        if outcome.status != "done" or stamp is None:
            return None
        folder = _folder(job)
        content = fingerprint(job.source)
        if _stamp(job.source) != stamp:
            return None  # it has grown or changed while it was read
        outputs = {key: fingerprint(folder / key) for key in _keys(job, folder)}
        return Record(outputs, content, self.settings, outcome.rows, outcome.media_seconds)

    def append(self, job: Job, record: Record) -> None:
        """Write a line about an input.

        Raises:
            OutputError: The journal can't be written.
        """
        path = _folder(job) / JOURNAL_NAME
        with explained(path):
            append_line(path, msgspec.json.encode(record) + b"\n")

    def recorded(self, job: Job) -> Record | None:
        """The line about an input, whether or not it still holds."""
        if not _is_noted(job):
            return None
        folder = _folder(job)
        return self._records(folder).get(_keys(job, folder)[0])

    def know(self, job: Job, record: Record | None) -> None:
        """Take this for all that is written about an input's folder, in the place of its file."""
        self._known[_folder(job)] = {} if record is None else dict.fromkeys(record.outputs, record)

    def _found(self, job: Job) -> Record | None:
        if not _is_noted(job):
            return None
        folder = _folder(job)
        record = self.recorded(job)
        try:
            self._stamps[job.source] = _stamp(job.source)
            # Reading takes time: only what may be done already is read before the work begins.
            if record is None or record.settings != self.settings:
                return None
            if record.content != fingerprint(job.source):
                return None
        except (OSError, ValueError):
            return None  # whoever reads it says what is wrong
        return record if all(_unchanged(folder, key, record) for key in _keys(job, folder)) else None

    def _records(self, folder: Path) -> dict[str, Record]:
        if folder not in self._known:
            records = {}
            for record in _read(folder / JOURNAL_NAME):
                records.update(dict.fromkeys(record.outputs, record))  # a later line replaces an earlier one
            self._known[folder] = records
        return self._known[folder]


_Stamp = tuple[int, int, int]
"""Size, time of the last change to the content, and to anything (which no program can set)."""


def _stamp(path: Path) -> _Stamp:
    info = path.stat()
    return info.st_size, info.st_mtime_ns, info.st_ctime_ns


def remove_leftovers(jobs: Sequence[Job]) -> None:
    """Remove what killed processes have left in the folders of these results."""
    for folder in {output.target.parent for job in jobs for output in job.outputs if output.target != STDOUT}:
        remove_parts(folder)


def _is_noted(job: Job) -> bool:
    """Say whether an input can be read twice and has results that stay."""
    return not is_address(job.source) and all(output.target != STDOUT for output in job.outputs)


def _folder(job: Job) -> Path:
    return job.outputs[0].target.parent


def _keys(job: Job, folder: Path) -> list[str]:
    return [os.path.relpath(output.target, folder) for output in job.outputs]


def _unchanged(folder: Path, key: str, record: Record) -> bool:
    try:
        return key in record.outputs and fingerprint(folder / key) == record.outputs[key]
    except OSError:
        return False


def _sample_offsets(size: int) -> list[int]:
    return [index * (size - SAMPLE_BYTES) // (SAMPLES - 1) for index in range(SAMPLES)]


def _read(path: Path) -> Iterable[Record]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return
    decoder = msgspec.json.Decoder(Record)
    for line in lines:
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            yield decoder.decode(line)


def settings_of(bundle: Path | None, options: Options, output: OutputOptions) -> str:
    """Hash of bundle, options and version.

    The manifest holds the hashes of all graphs. How the work is cut up (threads, batches, processes) is no
    setting: results don't depend on it beyond the last digits of a float.

    Raises:
        BackendUnavailableError: No library is installed.
        UsageError: There is no such backend.
        OSError: The manifest or the face model can't be read.
    """
    settings = {
        "version": __version__,
        "bundle": sha256_of((DEFAULT_FOLDER if bundle is None else bundle) / FILE_NAME),
        "backend": backend_of(bundle, options),
        "precision": options.precision,
        "face": options.face,
        "face_model": None if options.face_model is None else sha256_of(options.face_model),
        "faces": options.faces,
        "speakers": None if options.speakers is None else sha256_of(options.speakers),
        "vision_fps": options.vision_fps,
        "keep_up": options.keep_up,
        "decoder": options.source.decoder,
        "pictures": options.source.fps,
        "limits": repr(options.source.limits),
        "part": (options.source.start_seconds, options.source.end_seconds, options.source.region),
        "output": repr(output),
    }
    return settings_hash(settings)
