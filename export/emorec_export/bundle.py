"""A bundle on disk: as a whole, or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from emorec_export.page import PAGE_FILE_NAME, write_page
from emorec_export.report import EngineReport, Report
from emorec_rt.bundle import manifest as manifest_file
from emorec_rt.bundle import sha256_of
from emorec_rt.bundle.manifest import (
    SCHEMA_VERSION,
    TASKS_VERSION,
    Decoding,
    Graph,
    GraphName,
    Manifest,
    Precision,
    Preprocessing,
    Variant,
    expected_tensors,
)
from emorec_rt.bundle.tasks import NO_TASKS, Tasks
from emorec_rt.engines.tensorrt.plans import FOLDER as PLANS
from emorec_rt.engines.tensorrt.plans import TIMINGS
from emorec_rt.errors import OutputError
from emorec_rt.files import explained, whole_folder

Files = Mapping[Precision, Mapping[GraphName, Path]]
"""The ONNX file of each graph in each precision."""


@contextmanager
def new_bundle(folder: Path) -> Iterator[Path]:
    """Give a hidden folder beside ``folder`` to write into; it takes that name when the block ends well.

    An older bundle of that name is replaced then, and not before; TensorRT's kernel timings, which hold for
    any model, are taken over from it. Whatever goes wrong leaves nothing.

    Raises:
        OutputError: The folder can't be written, or holds something else than a bundle.
    """
    check_target(folder)
    with whole_folder(folder) as fresh:
        yield fresh
        with explained(folder):
            _take_over_timings(folder, fresh)


def _take_over_timings(old: Path, fresh: Path) -> None:
    """One file for each GPU and TensorRT."""
    for timings in (old / PLANS).glob(f"*/{TIMINGS}"):
        place = fresh / timings.relative_to(old)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(timings, place)


def check_target(folder: Path) -> None:
    """Refuse to replace anything but a bundle or an empty folder.

    Raises:
        OutputError: There is something else.
    """
    if folder.is_dir():
        taken = any(folder.iterdir()) and not (folder / manifest_file.FILE_NAME).is_file()
    else:
        taken = folder.exists() or folder.is_symlink()
    if taken:
        raise OutputError(folder, "exists and is not a bundle, so it is not replaced; give another --out")


def write_manifest(
    folder: Path,
    files: Files,
    *,
    name: str,
    labels: tuple[str, ...],
    preprocessing: Preprocessing,
    notice: str,
    provenance: dict[str, Any],
    report: Report,
    tasks: Tasks = NO_TASKS,
    decoding: Decoding = Decoding(),  # noqa: B008 - frozen
    precision: Precision = "fp32",
) -> Manifest:
    """Describe the files of a bundle in its ``manifest.json``.

    ``precision`` is the variant that runs unless another is asked for.

    Raises:
        BundleError: The description would be wrong.
    """
    tensors = expected_tensors(preprocessing, len(labels), tasks)
    graphs: dict[GraphName, Graph] = {
        graph: Graph(
            inputs=inputs,
            outputs=outputs,
            variants={precision: _variant(paths[graph]) for precision, paths in files.items()},
        )
        for graph, (inputs, outputs) in tensors.items()
    }
    manifest = Manifest(
        schema_version=TASKS_VERSION if tasks else SCHEMA_VERSION,
        name=name,
        labels=labels,
        tasks=tasks or msgspec.UNSET,
        preprocessing=preprocessing,
        decoding=decoding,
        graphs=graphs,
        precision=precision,
        notice=notice,
        provenance=provenance,
        parity=msgspec.to_builtins(report),
    )
    path = folder / manifest_file.FILE_NAME
    manifest_file.dump(manifest, path)
    return manifest_file.load(path)


def add_engines(folder: Path, engines: Sequence[EngineReport]) -> None:
    """Put what builders have made of a bundle's graphs into its manifest and page; none changes nothing.

    Raises:
        BundleError: It is no bundle.
        OutputError: It can't be written.
    """
    if not engines:
        return
    manifest = manifest_file.load(folder / manifest_file.FILE_NAME)
    report = msgspec.structs.replace(msgspec.convert(manifest.parity, Report), engines=tuple(engines))
    manifest = msgspec.structs.replace(manifest, parity=msgspec.to_builtins(report))
    manifest_file.dump(manifest, folder / manifest_file.FILE_NAME)
    write_page(manifest, report, folder / PAGE_FILE_NAME)


def _variant(path: Path) -> Variant:
    return Variant(file=path.name, sha256=sha256_of(path), size_bytes=path.stat().st_size)
