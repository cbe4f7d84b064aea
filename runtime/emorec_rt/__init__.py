"""emorec: video with sound in, emotions over time out.

import emorec_rt

recognizer = emorec_rt.load()            # or load("engines/mine")
for p in recognizer.stream("video.mp4"):
    print(p.time_seconds, p.label, p.probabilities)
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emorec_rt.prediction import Prediction
    from emorec_rt.recognizer import Recognizer

__all__ = ["Prediction", "Recognizer", "__version__", "load"]

try:
    __version__ = version("emorec")
except PackageNotFoundError:  # run from a checkout that isn't installed
    __version__ = "0+unknown"


def load(bundle: str | Path | None = None, **options: Any) -> Recognizer:
    """Load a bundle's engines.

    Args:
        bundle: A folder that ``export/build_engine.py`` wrote; ``None`` takes the demo bundle.
        **options: Fields of ``emorec_rt.recognizer.Options``.

    Raises:
        BundleError: The bundle can't be used.
        UsageError: An option's value is wrong.
    """
    from emorec_rt.bundle import open_bundle
    from emorec_rt.recognizer import Options, Recognizer

    return Recognizer(open_bundle(bundle), Options(**options))


def __getattr__(name: str) -> Any:
    """Import the classes on first use, so that ``import emorec_rt`` costs nothing."""
    if name == "Prediction":
        from emorec_rt.prediction import Prediction

        return Prediction
    if name == "Recognizer":
        from emorec_rt.recognizer import Recognizer

        return Recognizer
    raise AttributeError(f"module emorec_rt has no attribute {name}")
