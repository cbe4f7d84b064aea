"""The engines of a bundle behind batchers, which all inputs of a recognizer share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emorec_rt.bundle import Bundle, open_bundle
from emorec_rt.bundle.manifest import GraphName
from emorec_rt.constants import AUDIO_BATCH, FUSION_BATCH
from emorec_rt.engines import choose_backend, open_engines
from emorec_rt.engines.base import Engine
from emorec_rt.engines.batching import Batcher
from emorec_rt.recognizer.options import Options

if TYPE_CHECKING:
    from emorec_rt.engines.base import Progress


def backend_of(bundle: Path | None, options: Options) -> str:
    """Name of the backend that a recognizer with these options takes first.

    Raises:
        BundleError: The bundle can't be used.
        BackendUnavailableError: No library is installed.
    """
    return choose_backend(
        options.backend,
        open_bundle(bundle),
        precision=options.precision,
        threads=options.threads,
        measure=options.measure,
    )


@dataclass(frozen=True, slots=True)
class Batchers:
    """Loaded engines, each behind its batcher.

    Attributes:
        backend: Library that runs them.
        engines: By graph.
        vision: Batcher of the vision encoder.
        audio: Batcher of the audio encoder.
        fusion: Batcher of the fusion.
    """

    backend: str
    engines: dict[GraphName, Engine]
    vision: Batcher
    audio: Batcher
    fusion: Batcher

    @classmethod
    def load(cls, bundle: Bundle, options: Options, progress: Progress | None = None) -> Batchers:
        """Load the engines of a bundle.

        Raises:
            EmorecError: A graph can't be loaded.
        """
        backend, engines = open_engines(
            bundle,
            backend=options.backend,
            precision=options.precision,
            threads=options.threads,
            progress=progress,
            measure=options.measure,
        )
        vision = engines["vision"]
        return cls(
            backend,
            engines,
            Batcher(vision, options.batch_size or vision.best_batch),
            Batcher(engines["audio"], AUDIO_BATCH),
            Batcher(engines["fusion"], FUSION_BATCH),
        )

    def poll(self) -> None:
        """Hand out what has ended."""
        for batcher in (self.vision, self.audio, self.fusion):
            batcher.poll()

    def flush_encoders(self) -> None:
        """Run what waits for the encoders, however little."""
        self.vision.flush()
        self.audio.flush()
