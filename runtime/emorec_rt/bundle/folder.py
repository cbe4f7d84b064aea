"""A bundle on disk: its manifest, and files that are what the manifest says they are."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from types import NoneType

from emorec_rt.bundle import manifest as manifest_file
from emorec_rt.bundle.manifest import GraphName, Manifest, Precision, Variant
from emorec_rt.bundle.weights import has_external_weights
from emorec_rt.errors import BundleError, UsageError

DEFAULT_FOLDER = Path(__file__).parents[1] / "default"
"""The bundle that ships with the package: small encoders trained on faces and voices of people."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle.

    Attributes:
        folder: Where it lies.
        manifest: Its validated contract.
    """

    folder: Path
    manifest: Manifest

    def graph_file(self, graph: GraphName, precision: Precision) -> Path:
        """Path of a graph in a precision, after comparing its hash with the manifest's.

        Raises:
            UsageError: The bundle holds no such variant.
            BundleError: The file is missing or has changed.
        """
        variants = self.manifest.graphs[graph].variants
        if precision not in variants:
            raise UsageError(
                f"{self.folder}: {graph} has no {precision} variant, only {', '.join(sorted(variants))}"
            )
        path = self.folder / variants[precision].file
        _check_file(path, variants[precision])
        if has_external_weights(path):
            raise BundleError(
                path, "takes weights from other files, which have no hash; export the bundle again"
            )
        return path


def open_bundle(folder: str | os.PathLike[str] | None = None) -> Bundle:
    """Open a bundle; ``None`` opens the default bundle.

    Raises:
        UsageError: It is not a path.
        BundleError: It is not a bundle, or its manifest is wrong.
    """
    if not isinstance(folder, (str, os.PathLike, NoneType)):
        raise UsageError(f"bundle is {folder!r}; it must be a path")
    folder = DEFAULT_FOLDER if folder is None else Path(folder)
    if not _is_folder(folder):
        raise BundleError(folder, "is not a folder; --bundle takes what export/build_engine.py wrote")
    return Bundle(folder, manifest_file.load(folder / manifest_file.FILE_NAME))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name too long, or one with a zero byte
        return False


def _check_file(path: Path, variant: Variant) -> None:
    try:
        if not path.is_file():
            raise BundleError(path, "is missing, though the manifest names it; copy the whole bundle")
        # Sizes first: reading a file that has grown may take an hour.
        same = path.stat().st_size == variant.size_bytes and sha256_of(path) == variant.sha256
    except OSError as error:
        raise BundleError(path, f"can't be read ({error.strerror})") from error
    if not same:
        raise BundleError(
            path, "has changed since the bundle was built (its hash differs); copy the bundle again"
        )
