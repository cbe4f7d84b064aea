"""``auto`` by measurement: libraries of the CPU are timed on a bundle's own visual encoder.

The order by CPU features, see ``engines.by_speed``, is right for the machines that were measured and a guess
elsewhere. A large model takes a few seconds of timing at its first run, 5 at most; a small one takes none.
The answer is kept in the user's cache until CPU, cores, libraries or the model change; where a library took
too long, it is only kept for the next try.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from emorec_rt.bundle import Bundle
from emorec_rt.bundle.manifest import Precision
from emorec_rt.engines.base import Backend
from emorec_rt.engines.contest import TOO_LONG, rates
from emorec_rt.errors import OutputError
from emorec_rt.files import write_whole
from emorec_rt.machine.cores import usable_cores
from emorec_rt.machine.cpu import cpu_flags, cpu_name
from emorec_rt.machine.model_cache import SWITCH
from emorec_rt.machine.seal import user_cache

SMALL_BYTES: Final = 16 * 2**20
"""A smaller visual encoder has run a clip before the fastest library for it is found."""

FOLDER: Final = "auto"

MOST_TRIES: Final = 3
"""Runs that time the libraries while one of them takes too long; then one run a day does."""

DAY_SECONDS: Final = 86400.0


class Measured(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rates of a bundle's visual encoder on this machine, in the user's cache.

    Attributes:
        machine: What the rates depend on: CPU, cores, versions.
        bundle: Name of the bundle, for people.
        graph: SHA-256 of the encoder's file.
        threads: Of the library.
        rates: Pictures a second by backend; in words why there are none.
        tries: Times that they were measured until now, this one included.
        at: Seconds from 1970 to the measurement.
    """

    machine: dict[str, str]
    bundle: str
    graph: str
    threads: int
    rates: dict[str, float | str]
    tries: int = 1
    at: float = 0.0

    @property
    def settled(self) -> bool:
        """Say whether it stands: where one took too long, the machine may only have been busy."""
        if TOO_LONG not in self.rates.values():
            return True
        return self.tries >= MOST_TRIES and abs(time.time() - self.at) < DAY_SECONDS

    def reordered(self, names: Sequence[str]) -> list[str]:
        """Some backends by their rates; one that failed comes last.

        Where one took too long, nobody knows which is faster: the order stays.
        """
        rates = {name: self.rates.get(name, TOO_LONG) for name in names}
        if TOO_LONG in rates.values():
            return list(names)
        return sorted(names, key=lambda name: _speed(rates[name]), reverse=True)

    def __str__(self) -> str:
        told = (
            f"{name} {rate:.0f} pictures/s" if isinstance(rate, float) else f"{name} {rate}"
            for name, rate in self.rates.items()
        )
        return ", ".join(told)


@dataclass(frozen=True, slots=True)
class Question:
    """Question which of some libraries is the fastest with a bundle.

    Attributes:
        bundle: The bundle.
        precisions: Variant that each library would run, by backend.
        backends: Their descriptions, by name.
        threads: Threads of the library; ``None`` takes one for each core.
    """

    bundle: Bundle
    precisions: Mapping[str, Precision]
    backends: Mapping[str, Backend]
    threads: int | None = None

    @property
    def worthwhile(self) -> bool:
        """Say whether there is a choice, and the model is large enough to pay for it."""
        vision = self.bundle.manifest.graphs["vision"]
        sizes = [
            vision.variants[one].size_bytes for one in self.precisions.values() if one in vision.variants
        ]
        return len(self.backends) > 1 and len(sizes) == len(self.backends) and max(sizes) >= SMALL_BYTES

    def kept(self) -> Measured | None:
        """The answer in the user's cache; ``None`` where there is none for this machine as it is now."""
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=Measured)
        except (OSError, msgspec.DecodeError):
            return None
        fits = found.machine == self._machine and set(found.rates) == set(self.backends)
        return found if fits else None

    def measured(self) -> Measured:
        """Time every library, and keep the answer; that it can't be kept costs the next run the same time."""
        manifest, earlier = self.bundle.manifest, self.kept()
        paths = {name: self.bundle.graph_file("vision", one) for name, one in self.precisions.items()}
        answer = Measured(
            machine=self._machine,
            bundle=manifest.name,
            graph=self._graph,
            threads=self._threads,
            rates=rates(paths, manifest.graphs["vision"], self._threads),
            tries=1 + (earlier.tries if earlier else 0),
            at=time.time(),
        )
        if os.environ.get(SWITCH):
            return answer
        with contextlib.suppress(OSError, OutputError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._path, msgspec.json.format(msgspec.json.encode(answer), indent=2) + b"\n")
        return answer

    @property
    def folder(self) -> Path:
        """Folder of the answers."""
        return user_cache() / FOLDER

    @property
    def _threads(self) -> int:
        return self.threads or usable_cores()

    @property
    def _graph(self) -> str:
        variants = self.bundle.manifest.graphs["vision"].variants
        return " ".join(sorted({variants[one].sha256 for one in self.precisions.values()}))

    @property
    def _path(self) -> Path:
        """One file for a graph and its threads: another machine's answer is overwritten."""
        key = hashlib.sha256(f"{self._graph} {self._threads}".encode()).hexdigest()[:16]
        return self.folder / f"{key}.json"

    @property
    def _machine(self) -> dict[str, str]:
        packages = {known.package: _version(known.package) for known in self.backends.values()}
        flags = hashlib.sha256(" ".join(sorted(cpu_flags())).encode()).hexdigest()[:16]
        cpu = {"cpu": cpu_name(), "flags": flags, "cores": str(usable_cores()), "system": platform.machine()}
        return {**cpu, **packages}


def _speed(rate: float | str) -> float:
    return rate if isinstance(rate, float) else 0.0


def kept_answers() -> Iterator[Measured]:
    """All answers in the user's cache."""
    for path in sorted((user_cache() / FOLDER).glob("*.json")):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            yield msgspec.json.decode(path.read_bytes(), type=Measured)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
