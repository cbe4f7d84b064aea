"""All that results depend on besides the input: what ``--resume`` compares."""

from __future__ import annotations

from pathlib import Path

from emorec_rt import __version__
from emorec_rt.bundle import DEMO_FOLDER, sha256_of
from emorec_rt.engines import choose_backend
from emorec_rt.manifest import FILE_NAME
from emorec_rt.recognizer import Options
from emorec_rt.resume import settings_hash


def settings_of(bundle: Path | None, options: Options, min_segment_seconds: float) -> str:
    """Hash of bundle, options and version.

    The manifest holds the hashes of all graphs. How the work is cut up (threads, batches, processes) is no
    setting: results don't depend on it beyond the last digits of a float.

    Raises:
        BackendUnavailableError: No library is installed.
        UsageError: There is no such backend.
        OSError: The manifest or the face model can't be read.
    """
    settings = {
        "version": __version__,
        "bundle": sha256_of((DEMO_FOLDER if bundle is None else bundle) / FILE_NAME),
        "backend": choose_backend(options.backend),
        "precision": options.precision,
        "faces": options.faces,
        "face_model": None if options.face_model is None else sha256_of(options.face_model),
        "vision_fps": options.thinning.vision_fps,
        "similar": options.thinning.similar,
        "decoder": options.source.decoder,
        "pictures": options.source.fps,
        "limits": repr(options.source.limits),
        "min_segment_seconds": min_segment_seconds,
    }
    return settings_hash(settings)
