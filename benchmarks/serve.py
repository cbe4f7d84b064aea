"""The server under load: uploads at once, and requests that are no requests.

    python benchmarks/serve.py

Starts ``emorec-rt serve`` in a process of its own, sends the demo clip eight times at once and compares the
rows with the command line's, then sends malformed requests. Writes ``benchmarks/results/serve.MACHINE.json``.
"""

from __future__ import annotations

import contextlib
import json
import random
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import click
from machine import save

DEMO: Final = Path(__file__).parents[1] / "examples" / "demo.mp4"
HOST: Final = "127.0.0.1"
ANSWER_SECONDS: Final = 10.0
UNAVAILABLE: Final = 503
WELL_FORMED: Final = 0.4
"""Share of requests that are HTTP, with content that is no media."""

METHODS: Final = (b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"TRACE", b"", b"G\x00T", b"POST /rows")
PATHS: Final = (
    b"/",
    b"/rows",
    b"/segments?min_segment=-1",
    b"/rows?every=nan",
    b"/rows?name=..%2f..%2fetc%2fpasswd",
    b"/live",
    b"/health/../rows",
    b"//rows",
    b"/%ff%fe",
    b"rows",
    b"*",
    b"/" + b"a" * 9000,
)
HEADERS: Final = (
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: x",
    b"Content-Length: 5",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip",
    b"Host: 127.0.0.1",
    b"Host: elsewhere.example",
    b"Host:",
    b"Origin: null",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    b"Sec-WebSocket-Key: x",
    b"Authorization: Bearer \xff",
    b"Content-Type: multipart/form-data; boundary=",
    b"X: " + b"y" * 70_000,
    b"no colon",
    b"\x00: \x01",
)
BODIES: Final = (
    b"",
    b"hello",
    b"zz\r\nhello\r\n",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"#EXTM3U\nfile:///etc/passwd\n",
    b"RIFF\xff\xff\xff\xffWAVE",
)


@contextlib.contextmanager
def server(*options: str) -> Iterator[int]:
    """A server in a process of its own; gives its port."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    call = [
        sys.executable,
        "-c",
        "from emorec_rt.cli import main; main()",
        "serve",
        "-q",
        "--port",
        str(port),
    ]
    process = subprocess.Popen([*call, *options])
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{HOST}:{port}/health"):
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def upload(port: int) -> list[dict[str, Any]]:
    """Rows of the demo clip from the server."""
    request = urllib.request.Request(f"http://{HOST}:{port}/rows?name=demo.mp4", DEMO.read_bytes())
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return [json.loads(line) for line in answer][:-1]


def of_the_command_line() -> list[dict[str, Any]]:
    """Rows of the demo clip from ``emorec-rt``."""
    code = "from emorec_rt.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, str(DEMO), "-q"], capture_output=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def difference(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> float:
    """Largest difference of a score; infinite where anything else differs."""
    worst = 0.0
    for one, other in zip(ours, theirs, strict=True):
        scores, others = one.pop("probabilities"), dict(other)["probabilities"]
        if one != {key: value for key, value in other.items() if key != "probabilities"}:
            return float("inf")
        worst = max(worst, *(abs(scores[label] - others[label]) for label in scores))
    return worst


def malformed(source: random.Random) -> bytes:
    """A request that is wrong in some way, most of the time."""
    if source.random() < WELL_FORMED:
        body = source.choice(BODIES) + source.randbytes(source.randint(0, 2000))
        head = source.choice(METHODS[:6]) + b" " + source.choice(PATHS[:7]) + b" HTTP/1.1"
        return b"%b\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body)
    lines = [source.choice(METHODS) + b" " + source.choice(PATHS) + b" HTTP/1.1"]
    lines += source.sample(HEADERS, source.randint(0, 4))
    text = b"\r\n".join(lines) + b"\r\n\r\n" + source.choice(BODIES)
    if source.random() < 0.3:
        flipped = bytearray(text)
        for _ in range(source.randint(1, 8)):
            flipped[source.randrange(len(flipped))] = source.randrange(256)
        text = bytes(flipped)
    return text[: source.randrange(len(text))] if source.random() < 0.1 else text


def status(port: int, request: bytes) -> int:
    """Status of the answer; 0 where the connection ends without one, -1 where nothing comes in time."""
    with socket.create_connection((HOST, port), timeout=ANSWER_SECONDS) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(64)
        except TimeoutError:
            return -1
        except OSError:
            return 0
    words = answer.split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


def attack(port: int, count: int, seed: int) -> Counter[int]:
    """Statuses of malformed requests, four at once."""
    source = random.Random(seed)  # noqa: S311 - nothing secret
    requests = [malformed(source) for _ in range(count)]
    with ThreadPoolExecutor(4) as pool:
        return Counter(pool.map(lambda request: status(port, request), requests))


@click.command()
@click.option("--requests", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--uploads", type=click.IntRange(1), default=8, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def main(requests: int, uploads: int, seed: int) -> None:
    """Measure, print and save."""
    expected = of_the_command_line()
    with server() as port:
        upload(port)
        begun = time.perf_counter()
        upload(port)
        alone = time.perf_counter() - begun
        begun = time.perf_counter()
        with ThreadPoolExecutor(uploads) as pool:
            results = list(pool.map(upload, [port] * uploads))
        together = time.perf_counter() - begun
        statuses = attack(port, requests, seed)
        after = upload(port)
    worst = max(difference(rows, expected) for rows in [*results, after])
    broken = sum(n for code, n in statuses.items() if code >= 500 and code != UNAVAILABLE)
    result = {
        "uploads": uploads,
        "rows_each": len(expected),
        "one_upload_seconds": round(alone, 2),
        "all_uploads_seconds": round(together, 2),
        "largest_score_difference": worst,
        "malformed_requests": requests,
        "statuses": {str(code): n for code, n in sorted(statuses.items())},
        "server_errors": broken,
        "unanswered_in_time": statuses[-1],
    }
    print(json.dumps(result, indent=2))
    save("serve", result, by_machine=True)
    if broken or statuses[-1] or worst > 1e-3:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
