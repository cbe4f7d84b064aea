"""``ranges.json``: the range of each activation, and everything that tells whether it still holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from emorec_calib.errors import CalibrationError
from emorec_rt.bundle.manifest import GraphName, Preprocessing, Sha256
from emorec_rt.files import write_whole

SCHEMA_VERSION: Final = 1
FILE_NAME: Final = "ranges.json"

Count = Annotated[int, Meta(ge=0)]
Source = Literal["generated", "media"]
"""Clips that the project draws, or recordings."""


class Range(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Smallest and largest value of a tensor that a quantised graph has to represent."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ValueError(f"{self.low} to {self.high} is not a range")

    @property
    def magnitude(self) -> float:
        """Largest absolute value."""
        return max(abs(self.low), abs(self.high))


class GraphRanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ranges of one graph.

    Attributes:
        graph_sha256: Hash of the FP32 file that was observed.
        samples: Frames, chunks or windows that it was fed.
        tensors: Range of each observed tensor, by name.
        channels: Largest magnitude of each channel of the tensors that matrix products read, whatever the
            method. Without them a graph is quantised without smoothing.
    """

    graph_sha256: Sha256
    samples: Count
    tensors: dict[str, Range]
    channels: dict[str, tuple[float, ...]] = {}


class Ranges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file.

    Attributes:
        schema_version: Version of this format.
        method: How ranges were drawn from values, one of ``observers.METHODS``.
        source: Generated clips or recordings.
        clips: Names of the recordings, or seeds.
        data_sha256: Hash of everything that the encoders were fed, in order.
        seed: Of the choice of clips.
        preprocessing: From media to windows, as it was.
        versions: Of the libraries that took part.
        graphs: What was observed.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    method: str
    source: Source
    clips: tuple[str, ...]
    data_sha256: Sha256
    seed: int
    preprocessing: Preprocessing
    versions: dict[str, str]
    graphs: dict[GraphName, GraphRanges]


def load(path: Path) -> Ranges:
    """Read and validate ranges.

    Raises:
        CalibrationError: The file is missing, is not a ranges file, or a field is wrong.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Ranges)
    except OSError as error:
        raise CalibrationError(
            f"{path}: can't be read ({error.strerror}); calibration/collect.py writes it"
        ) from error
    except msgspec.DecodeError as error:
        raise CalibrationError(f"{path}: is not a ranges file: {error}") from error


def dump(ranges: Ranges, path: Path) -> None:
    """Write ranges as indented JSON, beside and then renamed.

    Raises:
        OutputError: The file can't be written.
    """
    write_whole(path, msgspec.json.format(msgspec.json.encode(ranges), indent=2) + b"\n")


def check_fresh(ranges: Ranges, graph_sha256: Mapping[GraphName, str], spec: Preprocessing) -> None:
    """Refuse ranges that were collected for something else.

    Args:
        ranges: What was read.
        graph_sha256: Hashes of the FP32 graphs that are to be quantised.
        spec: The preprocessing that they will run behind.

    Raises:
        CalibrationError: With the reason.
    """
    if ranges.preprocessing != spec:
        fields = [name for name in spec.__struct_fields__ if _differs(ranges.preprocessing, spec, name)]
        raise CalibrationError(
            f"the ranges are stale: they were collected with another {', '.join(fields)} preprocessing"
        )
    for name, digest in graph_sha256.items():
        if name not in ranges.graphs:
            raise CalibrationError(f"the ranges are incomplete: they have none for the {name} graph")
        if ranges.graphs[name].graph_sha256 != digest:
            raise CalibrationError(
                f"the ranges are stale: they were collected on another {name} graph; collect them again"
            )


def _differs(left: Preprocessing, right: Preprocessing, name: str) -> bool:
    return bool(getattr(left, name) != getattr(right, name))
