"""A collection put aside on disk after each clip, so that a killed one goes on where it stood.

One ``.npz`` beside the ranges: arrays only, nothing is ever unpickled.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection as Container
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from emorec_calib.collect import Collection, Progress
from emorec_rt.files import write_whole

_KEY: Final = "key"
_PROGRESS: Final = "progress"


def partial_path(out: Path) -> Path:
    """The file in which a collection for ``out`` is put aside."""
    return out.with_name(f"{out.name}.partial")


def put_aside(collection: Collection, path: Path) -> None:
    """Write everything that ``take_up`` needs, beside and then renamed.

    Raises:
        OutputError: The file can't be written.
    """
    record = {
        _KEY: np.frombuffer(collection.key.encode(), np.uint8),
        _PROGRESS: np.frombuffer(msgspec.json.encode(collection.progress), np.uint8),
    }
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **record, **collection.state())
    write_whole(path, content.getvalue())


def take_up(collection: Collection, path: Path, identities: Container[str]) -> str:
    """Bring a new collection to where the one that was put aside stood.

    Args:
        collection: A new one; it stays as it is when there is nothing to take up.
        path: Where another was put aside, if any was.
        identities: Of the clips that are asked for now; all clips so far have to be among them.

    Returns:
        A line for the person who waits: what was taken up, or why not. Empty if nothing was put aside.
    """
    if not path.exists():
        return ""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            state = {name: arrays[name] for name in arrays.files}
        key = state.pop(_KEY).tobytes().decode()
        progress = msgspec.json.decode(state.pop(_PROGRESS).tobytes(), type=Progress)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return f"{path} is damaged; starting anew"
    if key != collection.key:
        return f"{path} was collected with other graphs or another method; starting anew"
    if not all(identity in identities for identity in progress.identities):
        return f"{path} has clips that are not asked for; starting anew"
    collection.restore(progress, state)
    return f"going on after {len(progress.clips)} clips that were done before"
