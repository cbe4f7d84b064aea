"""``emorec-rt serve``: start the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from emorec_rt.cli.console import FiniteRange, say, silent
from emorec_rt.constants import PRECISIONS
from emorec_rt.machine.memory import PROGRAM_MB, require_address_space

LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost")


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen at; another one needs --token."
)
@click.option(
    "--port", type=click.IntRange(1, 65_535), default=8000, show_default=True, help="Port to listen at."
)
@click.option(
    "--token",
    envvar="EMOREC_TOKEN",
    show_envvar=True,
    help="What a client must show: at least 16 characters that nobody can guess.",
)
@click.option(
    "--camera",
    metavar="ADDRESS",
    help="A camera or stream of this machine that the page may show: /dev/video0, rtsp://...",
)
@click.option("--bundle", type=click.Path(path_type=Path), help="Folder from export/build_engine.py.")
@click.option("--backend", default="auto", show_default=True, help="Inference library.")
@click.option(
    "--measure/--no-measure",
    default=True,
    help="Whether auto may time the CPU's libraries on a large bundle, once, for 5 s at most.",
)
@click.option("--precision", type=click.Choice(PRECISIONS), help="Variant to run.")
@click.option("--threads", type=click.IntRange(1, 1024), help="Inference threads.")
@click.option("--batch-size", type=click.IntRange(1, 1024), help="Frames in a batch.")
@click.option(
    "--max-mb", type=click.IntRange(1, 100_000), default=512, show_default=True, help="Largest upload in MiB."
)
@click.option(
    "--max-seconds",
    type=FiniteRange(1.0, 86_400.0),
    default=3600.0,
    show_default=True,
    help="Longest time that an upload, its recognition or a camera may take.",
)
@click.option(
    "--max-at-once",
    type=click.IntRange(1, 256),
    default=8,
    show_default=True,
    help="Uploads and cameras at the same time; one more is told to come again.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
def serve(
    host: str,
    port: int,
    token: str | None,
    max_mb: int,
    max_seconds: float,
    max_at_once: int,
    quiet: bool,
    camera: str | None,
    bundle: Path | None,
    **options: Any,
) -> None:
    """Serve a page with a camera and dropped files, and an interface for programs, on this machine.

    \b
    emorec-rt serve                                              # then open http://127.0.0.1:8000
    curl -T talk.mp4 'http://127.0.0.1:8000/rows?name=talk.mp4'  # a row a line, as they are made
    """  # noqa: D301 - click reads the \b
    _check(host, token)
    require_address_space("emorec-rt", PROGRAM_MB)
    try:
        import uvicorn

        from emorec_rt.cli.serve.app import Settings, create
    except ImportError as error:
        from emorec_rt.errors import UsageError

        raise UsageError(
            f"serve needs {error.name}, which is not installed; run: pip install 'emorec[serve]'"
        ) from error
    from emorec_rt import load
    from emorec_rt.faces import keep_opencv_to_one_thread

    note = silent if quiet else say
    keep_opencv_to_one_thread()
    recognizer = load(bundle, **options)
    if recognizer.notice:
        note(f"note: {recognizer.notice}")
    note(f"note: backend {recognizer.backend}; http://{_shown(host)}:{port}, Ctrl-C ends it")
    hosts = (*LOCAL_HOSTS, "[::1]") if host in LOCAL_HOSTS else ()
    settings = Settings(max_mb << 20, max_seconds, max_at_once, token, hosts, camera)
    uvicorn.run(
        create(recognizer, settings),
        host=host,
        port=port,
        log_level="error",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        ws_max_size=4 << 20,
    )


def _check(host: str, token: str | None) -> None:
    from emorec_rt.errors import UsageError

    if host not in LOCAL_HOSTS and not token:
        raise UsageError(f"--host {host} can be reached by others; give --token, or EMOREC_TOKEN, too")
    if token is not None and (
        len(token) < 16 or not token.isascii() or not token.isprintable() or " " in token
    ):
        raise UsageError("--token must have at least 16 characters: ASCII, without spaces")


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
