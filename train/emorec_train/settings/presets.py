"""Presets: small TOML files in ``train/presets``, or a user's own, checked strictly.

A file may begin with ``extends = "reference"``: it then holds only what differs from that preset, or from the
file ``reference.toml`` beside it.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import msgspec

from emorec_rt.errors import EmorecError, UsageError
from emorec_train.settings.fields import Preset

FOLDER: Final = Path(__file__).resolve().parents[2] / "presets"
_BASE_KEY: Final = "extends"


def find_preset(name: str) -> Preset:
    """A preset by its name, or from a TOML file.

    Raises:
        UsageError: There is none, or the file isn't valid; the message names the field.
    """
    if name in PRESETS:
        return PRESETS[name]
    path = Path(name)
    if path.is_file():
        return read_preset(path)
    near = get_close_matches(name, PRESETS, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UsageError(f"--preset {name}: neither a preset ({', '.join(sorted(PRESETS))}) nor a file{hint}")


def preset_name(name: str) -> str:
    """Name of a preset's runs: a file's name without folder and suffix."""
    return name if name in PRESETS else Path(name).stem


def read_preset(path: Path) -> Preset:
    """Read a preset's file and those that it extends.

    Raises:
        UsageError: A file can't be read or isn't valid.
    """
    try:
        return msgspec.convert(_tables(path, ()), Preset)
    except (msgspec.ValidationError, UsageError) as error:
        raise UsageError(_named(path, error)) from error


def _tables(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in above:
        raise UsageError("extends itself")
    try:
        tables = msgspec.toml.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise UsageError(_named(path, error.strerror or "can't be read")) from error
    except (msgspec.DecodeError, ValueError) as error:
        raise UsageError(_named(path, error)) from error
    base = tables.pop(_BASE_KEY, None)
    if base is None:
        return tables
    places = (path.parent / str(base), path.parent / f"{base}.toml", FOLDER / f"{base}.toml")
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise UsageError(_named(path, f"extends {base!r}, which is neither a preset nor a file beside it"))
    return _merged(_tables(file, (*above, path.resolve())), tables)


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _named(path: Path, reason: EmorecError | Exception | str) -> str:
    text = str(reason)
    return text if text.startswith("preset ") else f"preset {path}: {text}"


PRESETS: Final = {path.stem: read_preset(path) for path in sorted(FOLDER.glob("*.toml"))}
"""By name; those of this project."""

DEMO: Final = PRESETS["demo"]
"""Small encoders of the same classes, from scratch on generated clips; made for two cores and minutes."""

REFERENCE: Final = PRESETS["reference"]
"""The paper's size: frozen CLIP ViT-B/32 and wav2vec 2.0 base, whose weights are downloaded on first use."""
