"""The interface: rows equal to the command line's, limits, and who may come in."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from click.testing import CliRunner
from starlette.testclient import TestClient

import emorec_rt
from commands import emorec_rt as command_line
from emorec_rt.cli.serve.app import Settings, create
from emorec_rt.cli.serve.command import serve
from emorec_rt.errors import UsageError
from pages import ROOT

DEMO = ROOT / "examples" / "demo.mp4"
TOKEN = "only-for-this-test-0123"  # noqa: S105 - it guards nothing


@pytest.fixture(scope="module")
def recognizer() -> Any:
    return emorec_rt.load(backend="onnxruntime")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of the demo clip."""
    from docs.conftest import _shorten

    path = tmp_path_factory.mktemp("clips") / "talk.mp4"
    _shorten(DEMO, path)
    return path


@pytest.fixture(scope="module")
def client(recognizer: Any) -> Iterator[TestClient]:
    with TestClient(create(recognizer), raise_server_exceptions=False) as made:
        yield made


def limited(recognizer: Any, **limits: Any) -> TestClient:
    return TestClient(create(recognizer, Settings(**limits)), raise_server_exceptions=False)


def lines(answer: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.text.splitlines()]


def of_the_command_line(path: Path) -> list[dict[str, Any]]:
    done = CliRunner().invoke(command_line(), [str(path), "--quiet", "--backend", "onnxruntime", "-o", "-"])
    return [json.loads(line) for line in done.stdout.splitlines()]


def assert_same(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.pop("probabilities") == pytest.approx(other["probabilities"], abs=2e-4)
        assert one == {key: value for key, value in other.items() if key != "probabilities"}


def test_rows_are_those_of_the_command_line(client: TestClient, clip: Path) -> None:
    answer = client.post("/rows", params={"name": "talk.mp4"}, content=clip.read_bytes())
    assert answer.headers["content-type"] == "application/x-ndjson"
    *rows, last = lines(answer)
    expected = of_the_command_line(clip)
    assert last["done"]["rows"] == len(expected)
    assert last["done"]["summary"]["face"] == 1.0
    assert_same(rows, expected)


def test_eight_at_once(client: TestClient, clip: Path) -> None:
    answers: list[Any] = []

    def upload() -> None:
        answers.append(client.post("/rows?name=talk", content=clip.read_bytes()))

    threads = [threading.Thread(target=upload) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = of_the_command_line(clip)
    assert [answer.status_code for answer in answers] == [200] * 8
    for answer in answers:
        assert_same(lines(answer)[:-1], expected)
    assert client.get("/health").json()["running"] == 0


def test_segments_and_intervals(client: TestClient, clip: Path) -> None:
    *segments, last = lines(client.post("/segments?min_segment=0.2", content=clip.read_bytes()))
    assert segments[0]["start_seconds"] == 0
    assert "summary" in last["done"]
    rows = lines(client.post("/rows?every=1", content=clip.read_bytes()))[:-1]
    assert [row["time_seconds"] for row in rows] == [0, 1, 2]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("every=0", "every must be a number"),
        ("every=nan", "every must be a number"),
        ("every=1&every=2", "once each"),
        ("min_segment=1", "the query may have every, name"),
        ("name=", "name must have"),
        ("name=%0a", "name must have"),
    ],
)
def test_a_wrong_query(client: TestClient, query: str, words: str) -> None:
    answer = client.post(f"/rows?{query}", content=b"x")
    assert answer.status_code == 422
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    "body", [b"", b"no media", b"#EXTM3U\n/etc/passwd\n", b"ffconcat version 1.0\nfile /etc/passwd\n"]
)
def test_what_is_no_media_is_told_without_paths(client: TestClient, body: bytes, tmp_path: Path) -> None:
    answer = client.post("/rows?name=../../etc/passwd", content=body)
    assert answer.status_code == 422
    assert tempfile.gettempdir() not in answer.text
    assert "root:" not in answer.text


def test_nothing_is_left(
    client: TestClient, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert client.post("/rows", content=clip.read_bytes()).status_code == 200
    assert client.post("/rows", content=b"no media").status_code == 422
    assert list(tmp_path.iterdir()) == []


def test_too_much(recognizer: Any) -> None:
    with limited(recognizer, max_bytes=1 << 20) as small:
        assert small.post("/rows", content=b"x" * (1 << 20) + b"x").status_code == 413
        assert small.post("/rows", content=iter([b"x" * 600_000] * 2)).status_code == 413
    with limited(recognizer, max_at_once=0) as full:
        answer = full.post("/rows", content=b"x")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_too_long(recognizer: Any, clip: Path) -> None:
    with limited(recognizer, max_seconds=0.05) as hasty:
        answer = hasty.post("/rows", content=clip.read_bytes())
        assert "took longer" in answer.text


class TestGate:
    def test_pages_of_other_servers(self, client: TestClient) -> None:
        answer = client.post("/rows", content=b"x", headers={"Origin": "https://elsewhere.example"})
        assert answer.status_code == 403

    def test_other_names_of_this_machine(self, recognizer: Any) -> None:
        with limited(recognizer, hosts=("127.0.0.1", "localhost", "[::1]")) as local:
            assert local.get("/health", headers={"Host": "elsewhere.example"}).status_code == 403
            for name in ("127.0.0.1:8000", "localhost", "[::1]:8000"):
                assert local.get("/health", headers={"Host": name}).status_code == 200

    def test_the_token(self, recognizer: Any, clip: Path) -> None:
        with limited(recognizer, token=TOKEN) as guarded:
            assert guarded.get("/health").status_code == 200
            assert guarded.get("/").status_code == 200
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer é".encode()}):
                answer = guarded.post("/rows", content=b"x", headers=headers)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
            right = {"Authorization": f"Bearer {TOKEN}"}
            assert guarded.post("/rows", content=clip.read_bytes(), headers=right).status_code == 200

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--host", "0.0.0.0"], "give --token"),  # noqa: S104 - it is refused
            (["--token", "short"], "at least 16"),
            (["--token", "with spaces and more"], "without spaces"),
        ],
    )
    def test_a_call_that_would_be_open_to_others(self, options: list[str], words: str) -> None:
        done = CliRunner().invoke(serve, options)
        assert isinstance(done.exception, UsageError)
        assert words in str(done.exception)


def test_the_page_names_nothing_outside(client: TestClient) -> None:
    answer = client.get("/")
    assert "http" not in answer.text.replace("https:", "", 1)
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "uvicorn", None)
    done = CliRunner().invoke(serve, [])
    assert "pip install 'emorec[serve]'" in str(done.exception)
