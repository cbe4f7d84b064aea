"""Backends changed or added for one test."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from emorec_rt.engines import BACKENDS
from emorec_rt.engines.base import Backend


def change(monkeypatch: pytest.MonkeyPatch, name: str, **changes: Any) -> None:
    """Give the description of a backend other fields."""
    module = importlib.import_module(BACKENDS[name])
    monkeypatch.setattr(module, "BACKEND", replace(module.BACKEND, **changes))


def add(monkeypatch: pytest.MonkeyPatch, name: str, backend: Backend) -> None:
    """Add a backend, behind all others."""
    monkeypatch.setitem(sys.modules, f"backend_{name}", SimpleNamespace(BACKEND=backend))
    monkeypatch.setitem(BACKENDS, name, f"backend_{name}")
