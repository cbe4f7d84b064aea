"""The examples run, from a folder of their own."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys

import pytest

from pages import ROOT

DEMO = ROOT / "examples" / "demo.mp4"


def run(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=True
    )
    return done.stdout


def test_webcam() -> None:
    rows = run("examples/webcam.py", str(DEMO), "--headless").splitlines()
    assert len(rows) == 500
    assert "Neutral" in rows[10]


def test_data_frame() -> None:
    pytest.importorskip("pandas")
    said = run("examples/frame.py")
    assert "Happiness" in said
    assert said.count("Surprise") >= 3


def test_upload() -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("multipart")
    client = pytest.importorskip("starlette.testclient").TestClient
    app = client(runpy.run_path(str(ROOT / "examples" / "upload.py"))["app"])
    with DEMO.open("rb") as file:
        answer = app.post("/emotions", files={"file": file}).json()
    assert answer["frames"] == 500
    assert sum(answer["shares"].values()) == pytest.approx(1.0)
    assert len(answer["labels"]) == 20
    assert app.post("/emotions", files={"file": b"no media"}).status_code == 422
