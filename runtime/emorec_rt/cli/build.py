"""``emorec-rt build BUNDLE``: a bundle that was built elsewhere, made ready for this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emorec_rt.cli.build_progress import BuildProgress
from emorec_rt.cli.console import say
from emorec_rt.cli.groups import complete_backends
from emorec_rt.cli.plan_options import build_options, plan_options
from emorec_rt.errors import EngineError

if TYPE_CHECKING:
    from emorec_rt.engines.preparing import Prepared


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.option(
    "--backend",
    default="auto",
    show_default=True,
    shell_complete=complete_backends,
    help="Inference library; auto takes the fastest here.",
)
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    help="Variant; may be repeated.  [default: its own, on a Jetson what the memory takes]",
)
@click.option("--rebuild", is_flag=True, help="Build even if there is a plan that fits.")
@click.option(
    "--trust-plans",
    is_flag=True,
    help="Take over plans that came with BUNDLE. A plan is code: from people whose programs you would run.",
)
@click.option("--strict", is_flag=True, help="Fail where an engine turns 8-bit weights back at every run.")
@plan_options
def build(
    bundle: Path | None,
    backend: str,
    precisions: tuple[str, ...],
    rebuild: bool,
    trust_plans: bool,
    strict: bool,
    **options: Any,
) -> None:
    """Make BUNDLE ready for this machine: build TensorRT plans here, or check that a library reads it right.

    Every graph is compared with ONNX Runtime before it is kept. Plans lie in BUNDLE/plans, for this GPU and
    this TensorRT; kernel timings are kept for the next build. Without BUNDLE, the default bundle.

    \b
    emorec-rt build engines/mine
    emorec-rt build engines/mine --backend tensorrt --precision fp16 --max-batch 8 --workspace 1024
    """  # noqa: D301 - click reads the \b
    from emorec_rt.bundle import open_bundle
    from emorec_rt.engines import choose_backend, default_precision
    from emorec_rt.engines.preparing import no_faster, prepare

    opened = open_bundle(bundle)
    chosen = choose_backend(backend)
    say(f"backend {chosen}")
    progress = BuildProgress()
    try:
        ready = []
        for made in prepare(
            opened,
            chosen,
            precisions or (default_precision(opened, chosen),),  # type: ignore[arg-type]  # unknown: refused
            options=build_options(**options),
            rebuild=rebuild,
            trust=trust_plans,
            progress=progress,
        ):
            ready.append(made)
            progress.say(describe(made))
            click.echo(made.path)
        for line in no_faster(ready, chosen):
            progress.say(f"warning: {line}")
        lines = [line for made in ready for line in strays(made)]
        for line in lines:
            progress.say(f"warning: {line}")
    finally:
        progress.close()
    if strict and lines:
        raise EngineError(f"--strict: {'; '.join(lines)}")


def strays(made: Prepared) -> list[str]:
    """Warnings: an engine that doesn't compute in the asked numbers, one line each."""
    if made.inspection is None:
        return []
    return [f"{made.graph} {made.precision}: {line}" for line in made.inspection.warnings()]


def describe(made: Prepared) -> str:
    """One line about a graph that is ready."""
    cosine = "not compared" if made.cosine is None else f"cosine with ONNX Runtime {made.cosine:.5f}"
    speed = "" if made.latency_ms is None else f", {made.latency_ms:.2f} ms for {made.latency_batch}"
    layers = "" if made.inspection is None else f"; {made.inspection.line()}"
    return f"{made.graph} {made.precision}: {cosine}{speed}{layers}"
