"""Programs that torch-tensorrt has compiled.

``export/build_engine.py --backend torch-tensorrt`` compiles them on the machine that runs them, where torch
is installed anyway; they hold TensorRT engines and need torch to run. Nothing here is imported unless this
backend is asked for by name. Loading a program unpickles parts of it, so only programs that this machine has
compiled are loaded: each record carries this user's seal. Bundles are shipped without.

::

    plans/nvidia-h200-sm90-torch_tensorrt2.14.0/vision.fp32.pt2
                                                vision.fp32.json      what it was compiled from and for

It has not run on a GPU yet: its tests run programs of plain torch on the CPU.
"""

from __future__ import annotations

import importlib.util
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle import sha256_of
from emorec_rt.bundle.manifest import Graph, Precision, Sha256, TensorSpec
from emorec_rt.engines.base import (
    Backend,
    Engine,
    Progress,
    Tensors,
    check_feeds,
    common_batch,
)
from emorec_rt.engines.tensorrt.cuda import slug
from emorec_rt.engines.tensorrt.options import BatchRange
from emorec_rt.engines.tensorrt.plans import FOLDER
from emorec_rt.errors import BackendUnavailableError, BundleError, EngineError, NoGpuError, engine_error
from emorec_rt.machine.nvidia import no_gpu
from emorec_rt.machine.seal import Sealed

NAME: Final = "torch-tensorrt"
SUFFIX: Final = ".pt2"
_INSTALL: Final = "pip install torch-tensorrt, its minor version is torch's"
_BUILD: Final = "run export/build_engine.py --backend torch-tensorrt on this machine"


class Machine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Versions and GPU that a program is bound to.

    Attributes:
        gpu: The GPU's name.
        sm: Its compute capability, as in ``sm_87``.
        torch: torch's version.
        torch_tensorrt: torch-tensorrt's version.
    """

    gpu: str
    sm: str
    torch: str
    torch_tensorrt: str

    @property
    def folder(self) -> str:
        """Name of the folder that holds its programs."""
        return f"{slug(self.gpu, self.sm)}-torch_tensorrt{self.torch_tensorrt}"


class ProgramRecord(Sealed, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON beside a program.

    Attributes:
        schema_version: Version of this format.
        machine: What it was compiled for.
        model_sha256: Hash of the bundle's ONNX file of the same module.
        variant: Its precision.
        batch: Batch sizes that it takes.
        program_sha256: Hash of the program.
        compile_seconds: How long it took.
        verification: What the comparison with the FP32 graph found.
    """

    schema_version: Literal[1] = 1
    machine: Machine
    model_sha256: Sha256
    variant: Precision
    batch: BatchRange
    program_sha256: Sha256
    compile_seconds: float
    verification: dict[str, Any] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Libraries:
    """torch, with torch-tensorrt's operators registered.

    Attributes:
        torch: The module ``torch``.
        torch_tensorrt: The module ``torch_tensorrt``.
    """

    torch: Any
    torch_tensorrt: Any

    def machine(self) -> Machine:
        """The current GPU and the libraries' versions."""
        major, minor = self.torch.cuda.get_device_capability()
        return Machine(
            gpu=self.torch.cuda.get_device_name(),
            sm=f"{major}{minor}",
            torch=str(self.torch.__version__),
            torch_tensorrt=str(self.torch_tensorrt.__version__),
        )


def require() -> Libraries:
    """Import torch and torch-tensorrt, once it is known that there is a GPU for them.

    Raises:
        BackendUnavailableError: A library, the driver or the GPU is missing.
    """
    for module in ("torch", "torch_tensorrt"):
        if importlib.util.find_spec(module) is None:
            raise BackendUnavailableError(NAME, module, _INSTALL)
    if reason := no_gpu():
        raise NoGpuError(reason, NAME)
    libraries = import_libraries()
    if not libraries.torch.cuda.is_available():
        raise NoGpuError("this torch has no CUDA, or another than the driver's", NAME)
    return libraries


def import_libraries() -> Libraries:
    """Import both, whatever the machine.

    Raises:
        BackendUnavailableError: One is missing, or torch-tensorrt is of another torch.
    """
    try:
        import torch
        import torch_tensorrt
    except (ImportError, OSError) as error:
        raise BackendUnavailableError(NAME, f"a whole torch-tensorrt ({error})", _INSTALL) from error
    return Libraries(torch, torch_tensorrt)


def unavailable() -> str | None:
    """Reason why this backend can't run here, in one line; ``None`` when it can."""
    try:
        require()
    except BackendUnavailableError as error:
        return str(error)
    return None


def program_path(onnx_file: Path, machine: Machine) -> Path:
    """Path of the program of an ONNX file, for a machine."""
    return onnx_file.parent / FOLDER / machine.folder / f"{onnx_file.stem}{SUFFIX}"


def open_torch_tensorrt(
    path: Path,
    graph: Graph,
    *,
    threads: int | None = None,  # noqa: ARG001 - no CPU threads
    progress: Progress | None = None,  # noqa: ARG001 - the export has compiled it
) -> TorchTensorRTEngine:
    """Run a program that this machine has compiled from the module of an ONNX file.

    Args:
        path: The ONNX file, from ``Bundle.graph_file``.
        graph: The manifest's entry.
        threads: Of no use here.
        progress: Of no use here.

    Raises:
        BackendUnavailableError: A library, the driver or the GPU is missing.
        BundleError: There is no program for this machine, or it is of another bundle.
        EngineError: The program can't be loaded.
    """
    libraries = require()
    machine = libraries.machine()
    program = program_path(path, machine)
    record = check_program(program, path, graph, machine)
    return TorchTensorRTEngine(program, graph.inputs, graph.outputs, record.batch, libraries=libraries)


def check_program(program: Path, path: Path, graph: Graph, machine: Machine) -> ProgramRecord:
    """The record of a program that fits the ONNX file and the machine.

    Raises:
        BundleError: It doesn't, or there is none.
    """
    if not program.is_file():
        raise BundleError(program, f"there is no program for this machine; {_BUILD}")
    try:
        record = msgspec.json.decode(program.with_suffix(".json").read_bytes(), type=ProgramRecord)
    except (OSError, msgspec.DecodeError) as error:
        raise BundleError(program, f"its record can't be read ({error}); {_BUILD}") from error
    if not record.is_ours():
        raise BundleError(program, f"was compiled elsewhere or by another user; {_BUILD}")
    models = {variant.sha256 for variant in graph.variants.values() if variant.file == path.name}
    if record.model_sha256 not in models or record.machine != machine:
        raise BundleError(program, f"was compiled from another bundle or for another machine; {_BUILD}")
    if sha256_of(program) != record.program_sha256:
        raise BundleError(program, f"has changed since it was compiled; {_BUILD}")
    return record


class TorchTensorRTEngine(Engine):
    """An exported program behind ``Engine``.

    Args:
        program: The file.
        inputs: What the manifest says goes in, in the order of the module's arguments.
        outputs: What the manifest says comes out.
        batch: Batch sizes that it takes; longer batches are run in pieces.
        libraries: From ``require``.
        device: Where torch puts the tensors.

    Raises:
        EngineError: The program can't be loaded.
    """

    def __init__(
        self,
        program: Path,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        batch: BatchRange,
        *,
        libraries: Libraries,
        device: str = "cuda",
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.max_batch = batch.largest
        self._torch = libraries.torch
        self._device = device
        if not zipfile.is_zipfile(program):  # torch would print its traceback, then raise
            raise EngineError(f"{program}: is no program of torch; {_BUILD}")
        try:
            self._module = self._torch.export.load(program).module()
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise engine_error(f"{program}: torch can't load it", str(error), _BUILD) from error

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        """Run one batch of any length; see ``Engine.run``.

        Raises:
            OutOfMemoryError: The GPU's memory is full; half the batch may fit.
        """
        check_feeds(self.inputs, feeds)
        batch = common_batch(feeds)
        results = {spec.name: np.empty((batch, *spec.shape[1:]), spec.dtype) for spec in self.outputs}
        for start in range(0, batch, self.max_batch):
            self._run_piece(feeds, results, slice(start, min(batch, start + self.max_batch)))
        return results

    def _run_piece(self, feeds: Tensors, results: dict[str, NDArray[Any]], piece: slice) -> None:
        torch = self._torch
        try:
            with torch.inference_mode():
                tensors = [
                    torch.from_numpy(np.array(feeds[spec.name][piece])).to(self._device)
                    for spec in self.inputs
                ]
                found = self._module(*tensors)
                found = found if isinstance(found, (tuple, list)) else (found,)
                for spec, tensor in zip(self.outputs, found, strict=True):
                    results[spec.name][piece] = tensor.cpu().numpy()
        except RuntimeError as error:
            what = f"torch-tensorrt failed on a batch of {piece.stop - piece.start}"
            raise engine_error(what, str(error), "") from error


BACKEND: Final = Backend(open=open_torch_tensorrt, unavailable=unavailable, install=_INSTALL, automatic=False)
