"""The model's own modules, compiled by torch-tensorrt and saved as exported programs.

The calls differ between releases (2.8 to 2.14 were read for this), so each option is given where the
function's signature has it. No program has been compiled on a GPU yet: the tests put plain torch in
torch-tensorrt's place.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import torch
from torch import Tensor, nn

from emorec_export.eager import plain
from emorec_rt.bundle import Bundle, sha256_of
from emorec_rt.bundle.manifest import Graph, GraphName, TensorSpec
from emorec_rt.engines.compare import Verification, compare
from emorec_rt.engines.ort import OrtEngine
from emorec_rt.engines.tensorrt.options import DEFAULTS, BatchRange, BuildOptions
from emorec_rt.errors import OutputError, engine_error
from emorec_rt.files import explained, write_whole
from emorec_torch.tensorrt import (
    Libraries,
    ProgramRecord,
    TorchTensorRTEngine,
    program_path,
    require,
)

PRECISION: Final = "fp32"
"""Settings of the compiler: products round to TF32 where the GPU has it."""


def compile_program(
    name: GraphName,
    module: nn.Module,
    bundle: Bundle,
    *,
    options: BuildOptions = DEFAULTS,
    libraries: Libraries | None = None,
    device: str = "cuda",
) -> tuple[Path, Verification]:
    """Compile a module for this machine, compare it with its FP32 graph, and keep it beside the bundle.

    Args:
        name: Which part of the model.
        module: The trained module. It is not changed.
        bundle: The bundle that was exported from it.
        options: Batch sizes, workspace, effort; as for plans.
        libraries: torch and torch-tensorrt; ``None`` asks for them and for a GPU.
        device: Where torch compiles and runs.

    Returns:
        The program's path, and what the comparison found.

    Raises:
        BackendUnavailableError: A library, the driver or the GPU is missing.
        EngineError: It can't be compiled.
        MismatchError: The program computes something else than the graph; it is deleted.
        OutputError: It can't be written.
    """
    libraries = libraries or require()
    onnx_file, graph = bundle.graph_file(name, PRECISION), bundle.manifest.graphs[name]
    machine, batch = libraries.machine(), options.batch_for(graph)
    target = program_path(onnx_file, machine)
    draft = _draft(target)
    started = time.monotonic()
    try:
        _compile(libraries.torch_tensorrt, plain(module).to(device), graph, batch, options, device, draft)
        seconds = time.monotonic() - started
        found = _compare(draft, onnx_file, graph, batch, libraries, device)
        record = ProgramRecord(
            machine=machine,
            model_sha256=graph.variants[PRECISION].sha256,
            variant=PRECISION,
            batch=batch,
            program_sha256=sha256_of(draft),
            compile_seconds=round(seconds, 1),
            verification=found.as_dict(),
        )
        _store(draft, target, record.sealed())
    finally:
        draft.unlink(missing_ok=True)
    return target, found


def _compile(
    torch_tensorrt: Any,
    module: nn.Module,
    graph: Graph,
    batch: BatchRange,
    options: BuildOptions,
    device: str,
    draft: Path,
) -> None:
    examples = tuple(_example(spec, batch.best, device) for spec in graph.inputs)
    try:
        shapes = _shapes(graph, batch)
        with torch.no_grad():
            program = torch.export.export(module, examples, dynamic_shapes=shapes)
        inputs = [_input(torch_tensorrt, spec, batch) for spec in graph.inputs]
        compiler = torch_tensorrt.dynamo.compile
        compiled = compiler(program, arg_inputs=inputs, **accepted(compiler, _compile_options(options)))
        torch_tensorrt.save(compiled, str(draft), **_save_options(torch_tensorrt.save, examples, shapes))
    except (RuntimeError, ValueError, TypeError, AssertionError, OSError) as error:
        raise engine_error(
            f"{draft.name}: compiling with torch-tensorrt {torch_tensorrt.__version__}",
            str(error),
            "take the tensorrt backend, or another torch-tensorrt",
        ) from error


def _shapes(graph: Graph, batch: BatchRange) -> tuple[dict[int, Any], ...]:
    """Dimensions that vary; for torch.export, a batch that can only be 1 is none."""
    if batch.largest == batch.smallest:
        return tuple({} for _ in graph.inputs)
    dimension = torch.export.Dim("batch", min=batch.smallest, max=batch.largest)
    return tuple({0: dimension} for _ in graph.inputs)


def _compile_options(options: BuildOptions) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        # Precision lives in the module; later releases know nothing else and have dropped the option.
        "use_explicit_typing": True,
        "disable_tf32": not options.tf32,
        "optimization_level": options.optimization_level,
        "version_compatible": options.version_compatible,
        "hardware_compatible": options.ampere_plus,
        "immutable_weights": not options.refit,
        # Later releases take a mask for a causal one unless they are told; no attention here is causal.
        "attn_bias_is_causal": False,
    }
    if options.workspace_bytes:
        wanted["workspace_size"] = options.workspace_bytes
    return wanted


def _save_options(
    save: Callable[..., None], examples: tuple[Tensor, ...], shapes: tuple[dict[int, Any], ...]
) -> dict[str, Any]:
    """Arguments that save with the batch still dynamic.

    Since 2.12 ``save`` takes the shapes; before, retracing would freeze the batch of the examples, while the
    compiled module's own symbolic shapes are kept without it.
    """
    if "dynamic_shapes" in inspect.signature(save).parameters:
        tensors = list(examples)
        return {
            "output_format": "exported_program",
            "arg_inputs": tensors,
            "retrace": True,
            "dynamic_shapes": shapes,
        }
    return {"output_format": "exported_program", "retrace": False}


def accepted(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a function names in its signature; ``**kwargs`` take none."""
    named = inspect.signature(function).parameters
    return {name: value for name, value in options.items() if name in named}


def _input(torch_tensorrt: Any, spec: TensorSpec, batch: BatchRange) -> Any:
    smallest, best, largest = batch.shapes(spec)
    dtype = getattr(torch, spec.dtype)
    return torch_tensorrt.Input(min_shape=smallest, opt_shape=best, max_shape=largest, dtype=dtype)


def _example(spec: TensorSpec, batch: int, device: str) -> Tensor:
    return torch.zeros((batch, *spec.shape[1:]), dtype=getattr(torch, spec.dtype), device=device)


def _compare(
    draft: Path, onnx_file: Path, graph: Graph, batch: BatchRange, libraries: Libraries, device: str
) -> Verification:
    tensors = (graph.inputs, graph.outputs)
    engine = TorchTensorRTEngine(draft, *tensors, batch, libraries=libraries, device=device)
    return compare(draft.name, engine, OrtEngine(onnx_file, *tensors), PRECISION, largest=batch.largest)


def _draft(target: Path) -> Path:
    """A new program under a name that nothing loads, until it has been compared."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(target, f"the program can't be written ({error.strerror})") from error
    # torch.export.save asks for this suffix.
    draft = target.with_name(f".new-{target.name}")
    draft.unlink(missing_ok=True)  # of a process that was killed, or a link
    return draft


def _store(draft: Path, target: Path, record: ProgramRecord) -> None:
    """Move a program to its place. The old record goes first: a program without one is never loaded."""
    with explained(target):
        target.with_suffix(".json").unlink(missing_ok=True)
        draft.replace(target)
    text = msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"
    write_whole(target.with_suffix(".json"), text)
