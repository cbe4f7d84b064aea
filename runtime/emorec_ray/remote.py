"""Folders that are no path: results are made in a scratch folder, and uploaded when they are whole.

Objects of a store can't be appended to: in the place of the journal's lines, an object each in the folder
``.emorec-done`` beside the results says what was made from what. It is uploaded last.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from emorec_rt.errors import OutputError, UsageError
from emorec_rt.jobs.journal import Record
from emorec_rt.jobs.plan import Job

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

RECORDS: Final = ".emorec-done"
_MARK: Final = "://"


def is_remote(folder: str | Path) -> bool:
    """Say whether a folder is an address."""
    return _MARK in str(folder)


def moved(job: Job, old: Path, new: Path) -> Job:
    """A job whose results go to the same places below another folder."""
    outputs = (replace(output, target=new / output.target.relative_to(old)) for output in job.outputs)
    return Job(job.source, tuple(outputs))


@dataclass(frozen=True)
class RemoteFolder:
    """A folder in a store that pyarrow can reach.

    Attributes:
        url: ``s3://bucket/folder``, ``gs://``, ``hdfs://``, ``file:///``.
    """

    url: str

    def check(self) -> None:
        """Make sure that it can be written, before any work is done.

        Raises:
            UsageError: There is no such store, or it takes nothing.
        """
        try:
            files, base = self._place
            files.create_dir(base, recursive=True)
        except (OSError, ValueError) as error:
            raise UsageError(f"--out-dir {self.url}: can't be written ({error})") from error

    def fetch(self, job: Job, scratch: Path) -> Record | None:
        """Download what is there of a job: its results, and the record about them.

        Args:
            job: Its results lie below ``scratch``.
            scratch: An empty folder.

        Returns:
            The record; ``None`` where nothing is there, or not all.
        """
        try:
            record = msgspec.json.decode(self._read(_record_key(job, scratch)), type=Record)
            for output in job.outputs:
                output.target.parent.mkdir(parents=True, exist_ok=True)
                self._download(_key(output.target, scratch), output.target)
        except (OSError, msgspec.MsgspecError):
            return None
        return record

    def store(self, job: Job, scratch: Path, record: Record | None) -> None:
        """Upload the results that a job has made, and what is to be known of them.

        Raises:
            OutputError: It takes nothing.
        """
        for path in sorted(path for path in scratch.rglob("*") if path.is_file()):
            with self._writing(_key(path, scratch)) as key:
                self._upload(path, key)
        if record is not None:
            with self._writing(_record_key(job, scratch)) as key:
                self._write(key, msgspec.json.encode(record))

    @cached_property
    def _place(self) -> tuple[FileSystem, str]:
        from pyarrow.fs import FileSystem

        files, base = FileSystem.from_uri(self.url)
        return files, base.rstrip("/")

    def _full(self, key: str) -> str:
        return f"{self._place[1]}/{key}"

    @contextmanager
    def _writing(self, key: str) -> Iterator[str]:
        """Give a key, its folder being there; errors are about its address."""
        try:
            self._place[0].create_dir(self._full(key).rpartition("/")[0], recursive=True)
            yield key
        except OSError as error:
            raise OutputError(f"{self.url.rstrip('/')}/{key}", f"can't be written ({error})") from error

    def _read(self, key: str) -> bytes:
        with self._place[0].open_input_stream(self._full(key)) as source:
            return bytes(source.read())

    def _write(self, key: str, data: bytes) -> None:
        with self._place[0].open_output_stream(self._full(key)) as target:
            target.write(data)

    def _download(self, key: str, path: Path) -> None:
        with self._place[0].open_input_stream(self._full(key)) as source, path.open("wb") as target:
            shutil.copyfileobj(source, target)

    def _upload(self, path: Path, key: str) -> None:
        with path.open("rb") as source, self._place[0].open_output_stream(self._full(key)) as target:
            shutil.copyfileobj(source, target)


def _key(path: Path, scratch: Path) -> str:
    return path.relative_to(scratch).as_posix()


def _record_key(job: Job, scratch: Path) -> str:
    target = job.outputs[0].target
    return f"{_key(target.parent / RECORDS / target.name, scratch)}.json"
