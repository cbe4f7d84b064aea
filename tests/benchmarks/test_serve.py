"""A short attack on the server, of the kind of ``benchmarks/serve.py``."""

from __future__ import annotations

import urllib.request

import pytest
from serve import UNAVAILABLE, attack, difference, server

pytest.importorskip("uvicorn")


def test_malformed_requests_break_nothing() -> None:
    with server("--backend", "onnxruntime") as port:
        statuses = attack(port, 250, seed=1)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
            assert answer.status == 200
    assert {code for code in statuses if code >= 500} <= {UNAVAILABLE}
    assert statuses[-1] == 0
    assert statuses[422] > 5
    assert statuses[400] > 50


def test_another_label_is_a_difference() -> None:
    row = {"label": "Fear", "probabilities": {"Fear": 0.5}}
    assert difference([dict(row)], [row]) == 0
    assert difference([{**row, "label": "Anger"}], [row]) == float("inf")
