"""``manifest.json``: everything the runtime has to know about a bundle, strictly validated.

Unknown fields, unknown versions, values out of range and inconsistent shapes are refused with one line that
names the field. The structs are the format; ``docs/manifest.md`` explains it field by field.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from emorec_rt.bundle.tasks import NO_TASKS, Tasks
from emorec_rt.constants import CROP_SIZE, SAMPLE_RATE_HZ, TOKEN_HOP_SAMPLES, chunk_samples
from emorec_rt.constants import Precision as Precision
from emorec_rt.errors import BundleError
from emorec_rt.files import write_whole

SCHEMA_VERSION: Final = 1
"""Of bundles that tell classes alone, which every emorec reads."""

TASKS_VERSION: Final = 2
"""Of bundles that tell more: an emorec that knows the classes alone refuses them, in one line."""

FILE_NAME = "manifest.json"

GraphName = Literal["vision", "audio", "fusion"]
GRAPH_NAMES: tuple[GraphName, ...] = ("vision", "audio", "fusion")
Positive = Annotated[int, Meta(gt=0)]
Interpolation = Literal["bilinear", "bicubic"]
Share = Annotated[float, Meta(ge=0.0, lt=1.0)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
PlainFileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=128)]
"""A file directly inside the bundle: no folder, no parent, nothing hidden."""

_UNPRINTABLE = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
Label = Annotated[str, Meta(pattern=rf"^[^=+@{_UNPRINTABLE}-][^{_UNPRINTABLE}]*$", max_length=64)]
"""A class's name: on one line, since every text format puts it there, and no formula, since tables open in
spreadsheets."""

MOST_LABELS: Final = 1000

Line = Annotated[str, Meta(pattern=rf"^[^{_UNPRINTABLE}]*$", max_length=1000)]
"""Text for a person: nothing in it drives the terminal that shows it."""

Bias = Annotated[float, Meta(ge=-1000.0, le=1000.0)]

MAX_BYTES: Final = 16 * 2**20
"""A larger file is not a manifest."""


class Grid(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The time grid on which windows lie.

    Attributes:
        rate_hz: Steps a second; ``None`` takes the video's own frames as the steps (native).
    """

    rate_hz: Annotated[float, Meta(gt=0.0, le=240.0)] | None = 25.0


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Windows of grid steps that the fusion graph sees.

    Attributes:
        steps: Steps in one window, ``T`` (the paper's 60 frames).
        stride: Steps from one window to the next; overlaps are averaged.
        tokens_per_step: Audio tokens for each step, so ``S = steps * tokens_per_step``.
    """

    steps: Positive = 60
    stride: Positive = 30
    tokens_per_step: Positive = 2


class Vision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Input and output of the vision graph.

    Attributes:
        crop_size: Side of the square crop in pixels.
        margin: Margin around the face box, as a share of the box's longer side on each side.
        interpolation: How a crop is enlarged; shrunk ones are halved and interpolated whatever it says.
        mean: Channel means in [0, 1], RGB; the graph's first node applies them (here for the record).
        std: Channel standard deviations, likewise.
        embedding_dim: Width of a frame's embedding.
    """

    crop_size: Positive = CROP_SIZE
    margin: Share = 0.2
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    embedding_dim: Positive


class Gate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Gate of audio tokens: those near the loudest of the track so far count as sound; the rest are masked.

    Attributes:
        range_db: A token further than this below the loudest is a pause.
        floor_dbfs: A token below this level is silence, whatever the loudest.
        quiet_dbfs: Least that the loudest is taken for.
        decay_db_per_second: How fast the loudest is forgotten: a shout and a whisper are seconds apart.
    """

    range_db: Annotated[float, Meta(gt=0.0, le=120.0)] = 30.0
    floor_dbfs: Annotated[float, Meta(ge=-120.0, le=0.0)] = -75.0
    quiet_dbfs: Annotated[float, Meta(ge=-120.0, le=0.0)] = -45.0
    decay_db_per_second: Annotated[float, Meta(ge=0.0, le=60.0)] = 3.0


class Audio(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Input and output of the audio graph.

    Attributes:
        sample_rate_hz: Samples a second, mono.
        token_hop_samples: Samples from one token to the next.
        chunk_tokens: Tokens of one chunk, context included.
        context_tokens: Tokens of context on each side of a chunk that are computed and thrown away.
        normalize: Whether the graph brings each chunk to zero mean and unit variance (wav2vec 2.0 does).
        embedding_dim: Width of a token.
        gate: Which tokens count as sound; ``None`` takes all for which there are samples.
    """

    sample_rate_hz: Literal[16000] = SAMPLE_RATE_HZ
    token_hop_samples: Literal[320] = TOKEN_HOP_SAMPLES
    chunk_tokens: Positive = 200
    context_tokens: Annotated[int, Meta(ge=0)] = 25
    normalize: bool = True
    embedding_dim: Positive
    gate: Gate | None = None

    @property
    def chunk_samples(self) -> int:
        """Samples that the audio graph takes for one chunk."""
        return chunk_samples(self.chunk_tokens)


Deviation = Annotated[float, Meta(gt=0.0)]
Evidence = Annotated[float, Meta(ge=1.0, le=1e9)]


class Statistics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Statistics of a stream's vectors in training, and how fast a voice or face of its own takes over.

    Attributes:
        mean: Of each dimension, over many people.
        deviation: Likewise.
        prior_count: Vectors that weigh as much as the training's statistics do.
        memory_count: Vectors that the running statistics reach back, at most; older ones fade.
    """

    mean: Annotated[tuple[float, ...], Meta(min_length=1)]
    deviation: Annotated[tuple[Deviation, ...], Meta(min_length=1)]
    prior_count: Evidence
    memory_count: Evidence


class Normalization(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Running normalisation between the encoders and the fusion.

    Attributes:
        audio: Of the audio tokens that count as sound, by track; ``None`` leaves them as they are.
        vision: Of the frames' embeddings, by person; likewise.
    """

    audio: Statistics | None = None
    vision: Statistics | None = None


class Preprocessing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From media to windows: what training and serving must do alike. Checkpoints carry the same struct.

    Attributes:
        grid: The time grid.
        window: Windows on the grid.
        vision: Crops, and the vision encoder's width.
        audio: Chunks, and the audio encoder's width.
        normalization: Running normalisation by voice and face; none by default.
    """

    grid: Grid
    window: Window
    vision: Vision
    audio: Audio
    normalization: Normalization = Normalization()

    def __post_init__(self) -> None:
        """Refuse statistics of another width."""
        for name in ("vision", "audio"):
            statistics, width = getattr(self.normalization, name), getattr(self, name).embedding_dim
            if statistics and {len(statistics.mean), len(statistics.deviation)} != {width}:
                raise ValueError(f"normalization.{name} needs {width} means and deviations")

    @property
    def window_tokens(self) -> int:
        """Audio tokens of one window, ``S``."""
        return self.window.steps * self.window.tokens_per_step


class Decoding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From logits to labels.

    Attributes:
        smoothing_seconds: Length of the centred moving average over logits; 0 turns it off.
        logit_bias: Added to the logits of each class (prior correction); empty for none.
    """

    smoothing_seconds: Annotated[float, Meta(ge=0.0, le=60.0)] = 0.0
    logit_bias: tuple[Bias, ...] = ()


class TensorSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input or output of a graph.

    Attributes:
        name: The tensor's name in the graph.
        dtype: NumPy's name of its element type.
        shape: Its dimensions; ``-1`` is the batch.
    """

    name: str
    dtype: Literal["uint8", "float32"]
    shape: tuple[int, ...]


class Variant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file that holds a graph in one precision."""

    file: PlainFileName
    sha256: Sha256
    size_bytes: Positive


class Graph(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One graph: the same inputs and outputs in every precision."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    variants: dict[Precision, Variant]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The contract between export and runtime.

    Attributes:
        schema_version: Version of this format.
        name: The bundle's name.
        labels: Class names in the order of the logits.
        tasks: What the fusion tells beside the classes; left out where that is nothing.
        preprocessing: From media to windows.
        decoding: From logits to labels.
        graphs: ``vision``, ``audio`` and ``fusion``.
        precision: Precision that runs unless another is asked for.
        notice: A line for the person who runs it, such as "a default model"; may be empty.
        provenance: How the bundle was made: commands, seeds, versions, hashes.
        parity: The report of the build: each variant against FP32.
    """

    schema_version: Literal[1, 2] = SCHEMA_VERSION
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=64)]
    labels: Annotated[tuple[Label, ...], Meta(min_length=2, max_length=MOST_LABELS)]
    tasks: Tasks | msgspec.UnsetType = msgspec.UNSET
    preprocessing: Preprocessing
    decoding: Decoding
    graphs: dict[GraphName, Graph]
    precision: Precision = "fp32"
    notice: Line = ""
    provenance: dict[str, Any] = {}
    parity: dict[str, Any] = {}


def expected_tensors(
    preprocessing: Preprocessing, classes: int, tasks: Tasks = NO_TASKS
) -> dict[GraphName, tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]]:
    """Inputs and outputs that each graph must have, derived from the preprocessing.

    Masks are float32, 1 where the stream is there and 0 where it is not: boolean graph inputs are where
    backends differ most.
    """
    T, S, C = preprocessing.window.steps, preprocessing.window_tokens, classes
    vision, audio = preprocessing.vision, preprocessing.audio
    side, Dv, Da = vision.crop_size, vision.embedding_dim, audio.embedding_dim
    f32: Literal["float32"] = "float32"
    return {
        "vision": (
            (TensorSpec(name="frames", dtype="uint8", shape=(-1, side, side, 3)),),
            (TensorSpec(name="embeddings", dtype=f32, shape=(-1, Dv)),),
        ),
        "audio": (
            (TensorSpec(name="samples", dtype=f32, shape=(-1, audio.chunk_samples)),),
            (TensorSpec(name="tokens", dtype=f32, shape=(-1, audio.chunk_tokens, Da)),),
        ),
        "fusion": (
            (
                TensorSpec(name="frame_embeddings", dtype=f32, shape=(-1, T, Dv)),
                TensorSpec(name="frame_mask", dtype=f32, shape=(-1, T)),
                TensorSpec(name="audio_tokens", dtype=f32, shape=(-1, S, Da)),
                TensorSpec(name="audio_mask", dtype=f32, shape=(-1, S)),
            ),
            (
                TensorSpec(name="logits", dtype=f32, shape=(-1, T, C)),
                *(
                    TensorSpec(name=name, dtype=f32, shape=(-1, T, width))
                    for name, width in tasks.outputs.items()
                ),
            ),
        ),
    }


def tasks_of(manifest: Manifest) -> Tasks:
    """What the bundle's fusion tells beside the classes."""
    return manifest.tasks if isinstance(manifest.tasks, Tasks) else NO_TASKS


def load(path: Path) -> Manifest:
    """Read and validate a manifest.

    Args:
        path: The ``manifest.json``.

    Raises:
        BundleError: It is missing, is no JSON, or a field is wrong; the message names the field.
    """
    raw = _read(path)
    _check_version(path, raw)
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except _DECODE_ERRORS as error:
        raise BundleError(path, f"{error}") from error
    _check_consistency(path, manifest)
    return manifest


def dump(manifest: Manifest, path: Path) -> None:
    """Write a manifest as indented JSON, after the checks that ``load`` would make."""
    _check_consistency(path, manifest)
    write_whole(path, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")


_DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _read(path: Path) -> bytes:
    """The file's bytes; a pipe or a device would never end, so nothing but a file of some size is read."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise BundleError(path, "is not a file")
        if size > MAX_BYTES:
            raise BundleError(path, f"has {size} bytes, far too many for a manifest")
        return path.read_bytes()
    except OSError as error:
        raise BundleError(
            path, f"can't be read ({error.strerror}); a bundle is a folder with {FILE_NAME}"
        ) from error


class _Versioned(msgspec.Struct):
    schema_version: int


def _check_version(path: Path, raw: bytes) -> None:
    """A version from the future is the more useful complaint than its first unknown field."""
    try:
        version = msgspec.json.decode(raw, type=_Versioned).schema_version
    except _DECODE_ERRORS as error:
        raise BundleError(path, f"is not a manifest: {error}") from error
    if version not in {SCHEMA_VERSION, TASKS_VERSION}:
        raise BundleError(
            path,
            f"has schema version {version}, this emorec reads {SCHEMA_VERSION} and {TASKS_VERSION};"
            " export the bundle again",
        )


def _check_consistency(path: Path, manifest: Manifest) -> None:
    if missing := [name for name in GRAPH_NAMES if name not in manifest.graphs]:
        raise BundleError(path, f"names no graph {', '.join(missing)}")
    if len(set(manifest.labels)) != len(manifest.labels):
        raise BundleError(path, "names a label twice")
    if clash := sorted(set(manifest.labels) & set(tasks_of(manifest).measures)):
        raise BundleError(path, f"has a label and a measure of one name, {clash[0]}")
    if manifest.preprocessing.window.stride > manifest.preprocessing.window.steps:
        raise BundleError(path, "has a window stride longer than the window, which would leave gaps")
    if 2 * manifest.preprocessing.audio.context_tokens >= manifest.preprocessing.audio.chunk_tokens:
        raise BundleError(path, "has audio chunks that are all context")
    if len(manifest.decoding.logit_bias) not in {0, len(manifest.labels)}:
        raise BundleError(path, "has a logit_bias that doesn't match the labels")
    tasks = tasks_of(manifest)
    if bool(tasks) != (manifest.schema_version == TASKS_VERSION):
        raise BundleError(path, f"schema version {manifest.schema_version} doesn't go with its tasks")
    tensors = expected_tensors(manifest.preprocessing, len(manifest.labels), tasks)
    for name, (inputs, outputs) in tensors.items():
        _check_graph(path, name, manifest.graphs[name], inputs, outputs, manifest.precision)


def _check_graph(
    path: Path,
    name: GraphName,
    graph: Graph,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    precision: Precision,
) -> None:
    for expected, actual in zip((*inputs, *outputs), (*graph.inputs, *graph.outputs), strict=False):
        if expected != actual:
            raise BundleError(path, f"graph {name}: expected {_show(expected)}, found {_show(actual)}")
    if (len(graph.inputs), len(graph.outputs)) != (len(inputs), len(outputs)):
        raise BundleError(path, f"graph {name}: wrong number of inputs or outputs")
    if precision not in graph.variants:
        raise BundleError(path, f"graph {name}: has no {precision} variant, which is the bundle's own choice")


def _show(spec: TensorSpec) -> str:
    return f"{spec.name} {spec.dtype}{list(spec.shape)}"
