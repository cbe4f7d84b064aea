"""Every error of ours survives pickling and copying, so that pools of processes can raise it."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from emorec_rt.errors import EmorecError, MediaError


def error_classes() -> list[type[EmorecError]]:
    for name in ("emorec_rt", "emorec_calib", "emorec_train", "emorec_export", "emorec_jetson"):
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    found, waiting = [], [EmorecError]
    while waiting:
        kind = waiting.pop()
        found.append(kind)
        waiting += kind.__subclasses__()
    return sorted(
        {kind for kind in found if kind.__module__.startswith("emorec_")}, key=lambda kind: kind.__name__
    )


def make(kind: type[EmorecError]) -> EmorecError:
    """An error whose constructor gets a word for each parameter that it demands."""
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    words = [f"{p.name} é" for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    free = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return kind(*(["one line"] if free else words))


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("again", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy])  # noqa: S301
def test_errors_survive_pickling_and_copying(kind: type[EmorecError], again: Any) -> None:
    error = make(kind)
    other = again(error)
    assert type(other) is kind
    assert str(other) == str(error) != ""
    assert other.__dict__ == error.__dict__


def raise_it(path: str) -> None:
    raise MediaError(Path(path), "no such file")


def test_a_pool_of_processes_raises_it() -> None:
    with get_context("spawn").Pool(1) as pool, pytest.raises(MediaError, match=r"missing\.mp4: no such file"):
        pool.map_async(raise_it, ["missing.mp4"]).get(60)
