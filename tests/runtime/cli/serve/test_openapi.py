"""The interface keeps to its own description, whatever comes."""

from __future__ import annotations

import io
import wave
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies

import emorec_rt

schemathesis = pytest.importorskip("schemathesis")
app = pytest.importorskip("emorec_rt.cli.serve.app")

EXAMPLES = 40
MODES = ("POSITIVE", "NEGATIVE")
CALLS = ("get /health", "post /rows", "post /segments")


def clip() -> bytes:
    """A tenth of a second of sound: the shortest upload that can be read."""
    with io.BytesIO() as file:
        with wave.open(file, "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(16_000)
            out.writeframes(bytes(3200))
        return file.getvalue()


@pytest.fixture(scope="module")
def operations() -> dict[str, Any]:
    schemathesis.openapi.media_type("application/octet-stream", strategies.just(clip()))
    api = schemathesis.openapi.from_asgi("/openapi.json", app.create(emorec_rt.load(backend="onnxruntime")))
    return {f"{op.method} {op.path}": op for op in (found.ok() for found in api.get_all_operations())}


def test_every_call_is_tried(operations: dict[str, Any]) -> None:
    assert sorted(operations) == sorted(CALLS)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("mode", MODES)
def test_call(operations: dict[str, Any], call: str, mode: str) -> None:
    if call == "get /health" and mode == "NEGATIVE":
        return  # it takes nothing that could be wrong
    cases = operations[call].as_strategy(generation_mode=schemathesis.GenerationMode[mode])

    @given(case=cases)
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    def check(case: Any) -> None:
        case.call_and_validate()

    check()
