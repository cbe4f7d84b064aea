"""Write a bundle's graphs as a model repository of the Triton inference server.

    python export/triton_repository.py --bundle engines/mine --out models
    tritonserver --model-repository models                    # on the server
    emorec-rt talk.mp4 --backend triton://HOST:8000 --bundle engines/mine

The server needs its ONNX Runtime backend. Nothing of this has run against Triton yet: the files are checked
against their description, and the client against a server that speaks the protocol.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from emorec_rt.cli.console import tell
from emorec_rt.cli.exits import exit_codes
from emorec_rt.constants import GPU_BATCH, PRECISIONS


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="Folder from export/build_engine.py.  [default: default model]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("models"),
    show_default=True,
    help="Folder of the repository; its other models stay.",
)
@click.option("--precision", type=click.Choice(PRECISIONS), help="Variant to serve.  [default: the bundle's]")
@click.option(
    "--max-batch",
    type=click.IntRange(1, 1024),
    default=GPU_BATCH,
    show_default=True,
    help="Largest batch of frames, of chunks and windows a quarter.",
)
@click.option(
    "--delay",
    "delay_microseconds",
    type=click.IntRange(0, 1_000_000),
    default=1000,
    show_default=True,
    metavar="MICROSECONDS",
    help="How long a request may wait for others to share its batch.",
)
@click.option(
    "--instances",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Copies of each model on each device.",
)
@click.option("--kind", type=click.Choice(["gpu", "cpu"]), default="gpu", show_default=True, help="Device.")
@exit_codes()
def main(bundle: Path | None, out: Path, precision: str | None, **serving: Any) -> None:
    """Write the repository, and name its models."""
    from emorec_export.triton import Serving, write_repository
    from emorec_rt.bundle import open_bundle

    opened = open_bundle(bundle)
    chosen: Any = precision or opened.manifest.precision
    for name in write_repository(opened, chosen, out, Serving(**serving)):
        tell(f"{out / name}")


if __name__ == "__main__":
    main()
