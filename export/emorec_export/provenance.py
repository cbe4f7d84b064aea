"""Origin of a bundle, for its manifest."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

from emorec_calib.ranges import Ranges
from emorec_rt import __version__
from emorec_rt.bundle import sha256_of
from emorec_train.model.checkpoint import Checkpoint

_LIBRARIES: Final = ("torch", "open_clip_torch", "transformers", "onnx", "onnxscript", "onnxruntime")


def provenance(checkpoint: Checkpoint, command: str, ranges: Ranges | None) -> dict[str, Any]:
    """Commands, seeds, versions, hashes; with ranges, where they are from."""
    training = checkpoint.training
    record: dict[str, Any] = {
        "command": command,
        "training": {"command": training.command, "seed": training.seed, "versions": training.versions},
        "checkpoint": {
            file.name: sha256_of(file)
            for file in sorted(checkpoint.folder.iterdir())
            if file.suffix in {".json", ".safetensors"}
        },
        "versions": {"emorec": __version__, **{library: version(library) for library in _LIBRARIES}},
    }
    if ranges is not None:
        record["calibration"] = _calibration(ranges)
    return record


def _calibration(ranges: Ranges) -> dict[str, Any]:
    return {
        "method": ranges.method,
        "source": ranges.source,
        "clips": len(ranges.clips),
        "data_sha256": ranges.data_sha256,
        "samples": {name: graph.samples for name, graph in ranges.graphs.items()},
    }
