"""Plans beside a bundle: where they lie, what each was built for, and whether it still fits.

::

    plans/nvidia-h200-sm90-trt10.13.3.9/vision.fp16.plan
                                        vision.fp16.json      what the plan was built from and for
                                        timings.cache         kernel timings, for the next build
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import logging
import os
import re
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from emorec_rt.bundle import sha256_of
from emorec_rt.bundle.manifest import Precision, Sha256
from emorec_rt.engines.tensorrt.cuda import Device
from emorec_rt.engines.tensorrt.layers import Inspection
from emorec_rt.engines.tensorrt.options import BuildOptions
from emorec_rt.errors import BundleError, OutputError
from emorec_rt.files import explained, write_whole
from emorec_rt.machine.seal import Sealed, user_cache

SIDECAR_VERSION: Final = 2
FOLDER: Final = "plans"
TIMINGS: Final = "timings.cache"
_logger = logging.getLogger(__name__)


class Identity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Identity of a plan; two that are equal give the same plan.

    Attributes:
        model_sha256: Hash of the ONNX file.
        variant: Its precision.
        shapes: Smallest, best and largest shape of each input.
        tensorrt: Version of TensorRT, or of TensorRT for RTX.
        cuda: Major version of the CUDA runtime; 0 where no GPU took part.
        gpu: The GPU's name; empty where no GPU took part.
        sm: Its compute capability, as in ``sm_87``; likewise.
        options: How it was built.
    """

    model_sha256: Sha256
    variant: Precision
    shapes: dict[str, tuple[tuple[int, ...], ...]]
    tensorrt: str
    cuda: int
    gpu: str
    sm: str
    options: BuildOptions

    def differences(self, wanted: Identity, ignored: Collection[str] = ()) -> list[str]:
        """One phrase for each field in which the plan at hand differs from what is wanted."""
        return [
            f"{name} {getattr(self, name)} instead of {getattr(wanted, name)}"
            for name in self.__struct_fields__
            if name not in ignored and getattr(self, name) != getattr(wanted, name)
        ]


class Sidecar(Sealed, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON beside a plan.

    Attributes:
        schema_version: Version of this format.
        identity: What the plan depends on.
        plan_sha256: Hash of the plan, so that a torn or exchanged file is never loaded.
        driver: Driver's CUDA version at the build, for the record only: plans outlive driver updates. 0 where
            no GPU took part.
        runtime: CUDA runtime's version at the build, likewise.
        build_seconds: How long the build took.
        verification: How far its outputs were from the ONNX graph's, and how long a batch takes; empty when
            that was not asked for, or there was no GPU.
        inspection: What became of the layers; ``None`` where the builder doesn't say.
    """

    schema_version: Literal[2] = SIDECAR_VERSION
    identity: Identity
    plan_sha256: Sha256
    driver: int
    runtime: int
    build_seconds: float
    verification: dict[str, Any] = msgspec.field(default_factory=dict)
    inspection: Inspection | None = None


@dataclass(frozen=True, slots=True)
class PlanFile:
    """One place where a plan may lie.

    Attributes:
        path: The plan.
    """

    path: Path

    @property
    def sidecar_path(self) -> Path:
        """The JSON beside it."""
        return self.path.with_suffix(".json")

    @property
    def timings_path(self) -> Path:
        """Kernel timings of all builds for this GPU and TensorRT."""
        return self.path.with_name(TIMINGS)

    def record(self) -> Sidecar:
        """Graph and options that the plan was built from.

        Raises:
            BundleError: There is no record, or it can't be read.
        """
        try:
            return msgspec.json.decode(self.sidecar_path.read_bytes(), type=Sidecar)
        except (OSError, msgspec.DecodeError) as error:
            raise BundleError(self.path, f"its record can't be read ({error})") from error

    def misfit(self, wanted: Identity, ignored: Collection[str] = (), *, foreign: bool = False) -> str | None:
        """Reason why the plan can't be used as it is, in one phrase; ``None`` when it can.

        Args:
            wanted: What it should have been built from and for.
            ignored: Fields of it that may differ.
            foreign: Whether somebody else may have built it.
        """
        if not self.path.is_file():
            return "there is none yet"
        try:
            record = self.record()
        except BundleError as error:
            return error.reason
        if not (foreign or record.is_ours()):
            return "it was built elsewhere or by another user"
        if not record.identity.options.version_compatible:
            ignored = set(ignored) - {"tensorrt"}
        if differences := record.identity.differences(wanted, ignored):
            return f"it was built for {', '.join(differences)}"
        if sha256_of(self.path) != record.plan_sha256:
            return "it has changed since it was built"
        return None

    def store(self, plan: Path, sidecar: Sidecar) -> None:
        """Move a finished plan here. The old record goes first: a plan without one is never loaded.

        Args:
            plan: The file to move, in the same folder.
            sidecar: Its record.

        Raises:
            OutputError: Disk full, no permission.
        """
        sealed = sidecar.sealed()
        with explained(self.path):
            self.sidecar_path.unlink(missing_ok=True)
            plan.replace(self.path)
        self._write(sealed)

    def amend(self, **changes: Any) -> None:
        """Write the record anew with other fields.

        Raises:
            BundleError: There is no record.
            OutputError: Disk full, no permission.
        """
        self._write(msgspec.structs.replace(self.record(), **changes).sealed())

    def _write(self, sidecar: Sidecar) -> None:
        text = msgspec.json.format(msgspec.json.encode(sidecar), indent=2) + b"\n"
        write_whole(self.sidecar_path, text)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold others back that would build the same plan.

        Raises:
            OutputError: The lock can't be made.
        """
        name = hashlib.sha256(os.fsencode(self.path.resolve())).hexdigest()[:16]
        path = user_cache() / "locks" / f"{name}.lock"
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with os.fdopen(handle, "rb"):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                _logger.warning("waiting for another process that builds %s", self.path)
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield  # closing the file gives the lock back


def places(onnx_file: Path, model_sha256: str, folder: str) -> tuple[PlanFile, PlanFile]:
    """Places of a plan: beside its bundle, and in the user's cache when the bundle can't be written to.

    Args:
        onnx_file: The graph, inside the bundle.
        model_sha256: Its hash; in the cache, bundles are told apart by it.
        folder: Of plans that are built alike, from ``Library.folder``.
    """
    beside, cached = _roots(onnx_file, model_sha256)
    return PlanFile(beside[0] / folder / beside[1]), PlanFile(cached[0] / folder / cached[1])


def earlier_places(onnx_file: Path, model_sha256: str, device: Device, tensorrt: str) -> list[PlanFile]:
    """Plans that earlier releases of the same major TensorRT have left, newest first.

    A version-compatible plan among them runs on this release too. Arguments are those of ``places``.
    """
    found: list[tuple[tuple[int, ...], Path]] = []
    prefix, present = f"{device.slug}-trt", release(tensorrt)
    for root, name in _roots(onnx_file, model_sha256):
        for path in root.glob(f"{glob.escape(prefix)}*/{glob.escape(name)}"):
            past = release(path.parent.name.removeprefix(prefix))
            if past[:1] == present[:1] and past < present:
                found.append((past, path))
    return [PlanFile(path) for _, path in sorted(found, reverse=True)]


def _roots(onnx_file: Path, model_sha256: str) -> tuple[tuple[Path, str], ...]:
    """Folders of plans, and a graph's name in each."""
    return (
        (onnx_file.parent / FOLDER, f"{onnx_file.stem}.plan"),
        (user_cache() / FOLDER, f"{onnx_file.stem}.{model_sha256[:16]}.plan"),
    )


def release(version: str) -> tuple[int, ...]:
    """A version's numbers, to compare."""
    return tuple(map(int, re.findall(r"\d+", version)))


def first_writable(candidates: tuple[PlanFile, ...]) -> PlanFile:
    """The first place that takes files; its folder is made.

    Raises:
        OutputError: None does.
    """
    refusals = []
    for candidate in candidates:
        if (refusal := _refusal(candidate.path.parent)) is None:
            return candidate
        refusals.append(refusal)
    folders = " and ".join(str(candidate.path.parent) for candidate in candidates)
    reasons = ", ".join(sorted(set(refusals)))
    raise OutputError(folders, f"no plan can be written there ({reasons}); set XDG_CACHE_HOME")


def _refusal(folder: Path) -> str | None:
    """Reason why no file can be made in a folder. Permission bits don't tell (root, read-only mounts)."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return str(error.strerror)


def sha256_of_bytes(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
