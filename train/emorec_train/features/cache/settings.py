"""Settings that shape features: preprocessing, encoder weights, storage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec
from torch import nn

from emorec_rt.bundle.manifest import Preprocessing

SCHEMA_VERSION: Final = 2
Storage = Literal["float32", "float16"]


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``settings.json``. Two caches with the same settings hold the same features of the same clips.

    Attributes:
        format: Tells the file from any other JSON.
        schema_version: Version of this format, and of the code that makes features.
        preprocessing: From media to windows.
        vision: Hash of the visual encoder's architecture and weights.
        audio: Hash of the audio encoder's.
        storage: Type on disk. ``float32`` gives back what the encoders gave, bit for bit; ``float16`` takes
            half the room and rounds.
    """

    format: Literal["emorec-features"] = "emorec-features"
    schema_version: Literal[2] = SCHEMA_VERSION
    preprocessing: Preprocessing
    vision: str
    audio: str
    storage: Storage = "float32"


def fingerprint_of(module: nn.Module) -> str:
    """SHA-256 over a module's tensors and their names, in hex."""
    digest = hashlib.sha256(repr(module).encode())
    for name, value in sorted(module.state_dict().items()):
        array = value.detach().cpu().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def difference(ours: CacheSettings, theirs: CacheSettings) -> str:
    """The first setting that isn't the same, as ``preprocessing.window.stride is 30, not 15``; or nothing."""
    own, other = dict(_flat(msgspec.to_builtins(ours))), dict(_flat(msgspec.to_builtins(theirs)))
    for name in ("vision", "audio"):
        if own[name] != other[name]:
            return f"it was made with another {name} encoder, or with other weights"
    for name in sorted(own.keys() | other.keys()):
        if own.get(name) != other.get(name):
            return f"its {name} is {other.get(name)}, not {own.get(name)}"
    return ""


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else key)
    else:
        yield name, value
