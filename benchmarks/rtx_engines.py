"""Every graph and variant at full size in NVIDIA's own builder: sizes, kernels, what products became.

    python benchmarks/rtx_engines.py            # writes results/rtx_engines.json
    python benchmarks/rtx_engines.py --quick    # the demo's size: only to see that it works

TensorRT for RTX builds without a GPU, so this runs anywhere; it says nothing about speed. Weights are random,
and ranges are drawn from a few made-up samples: neither changes what a layer becomes. At most 100 MiB for the
int8-fp16 vision engine of ViT-B/32 with 35 MiB of activations, 100 MiB of activations for sound, and every
product of an 8-bit recipe in 8 bits.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import onnx
from full_size import FULL, QUICK, Subject, export, observe
from machine import save

from emorec_export.graphs import write_graph
from emorec_export.quantize import quantised_nodes
from emorec_export.variants import make_variant, needs_ranges
from emorec_rt.bundle.manifest import Graph, GraphName, Precision
from emorec_rt.constants import PRECISIONS
from emorec_rt.engines.tensorrt.builder import build_plan
from emorec_rt.engines.tensorrt.layers import from_log, inspect
from emorec_rt.engines.tensorrt.options import DEFAULTS
from emorec_rt.engines.tensorrt_rtx import RTX
from emorec_rt.engines.tensorrt_rtx.targets import options_for
from emorec_train.settings.presets import PRESETS

MIB: Final = 1 << 20
SAMPLES: Final[dict[GraphName, int]] = {"vision": 8, "audio": 2, "fusion": 2}
LIMITS_MIB: Final = {
    ("vision", "engine_bytes"): 100,
    ("vision", "activation_bytes"): 35,
    ("audio", "activation_bytes"): 100,
}
"""Of the reference model in int8-fp16."""


def subjects(quick: bool) -> list[Subject]:
    """The reference model and the one for small devices, or the demo's."""
    if quick:
        return [short(QUICK, "demo")]
    edge = Subject("edge", PRESETS["edge"].model, SAMPLES, {"vision": 4, "audio": 1, "fusion": 1})
    return [short(FULL, "reference"), edge]


def short(subject: Subject, name: str) -> Subject:
    """The subject under a short name, calibrated on a few samples."""
    return Subject(name, subject.config, SAMPLES, {"vision": 4, "audio": 1, "fusion": 1})


def measure(subject: Subject, folder: Path) -> Iterator[dict[str, Any]]:
    """Build every graph in every variant; one record each."""
    for name, path in export(subject, folder).items():
        if subject.name == "edge" and name == "audio":
            continue  # the reference's
        ranges = observe(subject, name, path)
        for precision in PRECISIONS:
            model = onnx.load(path)
            if precision != "fp32":
                model = make_variant(model, precision, ranges if needs_ranges(precision) else None)
            file = folder / f"{name}.{precision}.onnx"
            write_graph(model, file)
            what = {"model": subject.name, "graph": name, "precision": precision}
            yield {**what, **build(subject, name, precision, file)}


def build(subject: Subject, name: GraphName, precision: Precision, file: Path) -> dict[str, Any]:
    """Build one engine twice, and read its layer table."""
    inputs, outputs = subject.tensors[name]
    options = options_for(DEFAULTS, precision)
    batch = options.batch_for(Graph(inputs=inputs, outputs=outputs, variants={}))
    started = time.perf_counter()
    built = build_plan(file, inputs, batch, options, library=RTX)
    seconds = time.perf_counter() - started
    again = build_plan(file, inputs, batch, options, library=RTX)
    found = inspect(
        from_log(built.layers), engine_bytes=len(built.plan), activation_bytes=built.activation_bytes
    ).against(quantised_nodes(onnx.load(file)))
    return {
        "seconds": round(seconds, 1),
        "largest_batch": batch.largest,
        "same_bytes_twice": built.plan == again.plan,
        **msgspec.to_builtins(found),
    }


def misses(engines: list[dict[str, Any]]) -> Iterator[str]:
    """Faults, one line each."""
    for engine in engines:
        title = f"{engine['model']} {engine['graph']} {engine['precision']}"
        if not engine["same_bytes_twice"]:
            yield f"{title}: two builds differ"
        if engine["precision"] in {"int8-fp16", "fp8"} and (engine["stray"] or engine["dequantised"]):
            yield f"{title}: {len(engine['stray'])} products are not in 8 bits"
        if (engine["model"], engine["precision"]) == ("reference", "int8-fp16"):
            for (graph, field), limit in LIMITS_MIB.items():
                if graph == engine["graph"] and engine[field] > limit * MIB:
                    yield f"{title}: {field} {engine[field] / MIB:.1f} MiB, more than {limit}"


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--quick", is_flag=True, help="The demo's size, nothing written: only to see that it works.")
def main(quick: bool) -> None:
    """Build, print, write; exit 1 where something is not as it should be."""
    engines = []
    for subject in subjects(quick):
        with tempfile.TemporaryDirectory() as folder:
            for engine in measure(subject, Path(folder)):
                engines.append(engine)
                click.echo(
                    f"{engine['model']:<10}{engine['graph']:<8}{engine['precision']:<10}"
                    f"{engine['engine_bytes'] / MIB:>8.1f} MiB{engine['activation_bytes'] / MIB:>8.1f} MiB"
                    f"{engine['kernels']:>5} kernels  {engine['products']}"
                )
    lines = list(misses(engines))
    if not quick:
        record = {"release": RTX.module().__version__, "engines": engines, "misses": lines}
        click.echo(save("rtx_engines", record))
    for line in lines:
        click.echo(line, err=True)
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
