"""``emorec-rt info BUNDLE``: what a bundle is, and what its build measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from emorec_rt.cli.console import tell


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
def info(bundle: Path | None) -> None:
    """Show what a BUNDLE holds: labels, window, graphs, hashes checked. Without BUNDLE, the default one."""
    from emorec_rt.bundle import Bundle, open_bundle
    from emorec_rt.bundle.manifest import GRAPH_NAMES, tasks_of

    opened: Bundle = open_bundle(bundle)
    manifest = opened.manifest
    spec = manifest.preprocessing
    rate = f"{spec.grid.rate_hz:g} Hz" if spec.grid.rate_hz else "native frames"
    tell(f"{manifest.name}: {opened.folder}")
    if manifest.notice:
        tell(manifest.notice)
    tell(f"labels   {', '.join(manifest.labels)}")
    if measures := tasks_of(manifest).measures:
        tell(f"measures {', '.join(measures)}")
    tell(f"window   {spec.window.steps} steps, stride {spec.window.stride}, grid {rate}")
    tell(f"vision   {spec.vision.crop_size}x{spec.vision.crop_size} crops -> {spec.vision.embedding_dim}")
    tell(f"audio    {spec.audio.chunk_tokens} tokens a chunk -> {spec.audio.embedding_dim}")
    tell(f"runs     {manifest.precision} unless asked otherwise")
    for graph in GRAPH_NAMES:
        for precision, variant in manifest.graphs[graph].variants.items():
            path = opened.graph_file(graph, precision)  # its hash is checked
            size = f"{variant.size_bytes / 2**20:.2f} MiB"
            tell(f"graph    {graph:7} {precision:9} {size:>11}  {path.name}  hash ok")
    for line in parity_lines(manifest.parity):
        tell(line)


def parity_lines(parity: Mapping[str, Any]) -> list[str]:
    """Results of the build on whole clips, a line a variant; none where the report has another form."""
    lines = []
    try:
        for precision, variant in parity["variants"].items():
            chain = variant["chain"]
            lines.append(
                f"parity   {precision:9} labels as in PyTorch {chain['label_agreement']:.2%}, "
                f"macro F1 {chain['macro_f1']:.4f} ({chain['macro_f1_change']:+.4f})"
            )
    except (AttributeError, KeyError, TypeError, ValueError):
        return []
    return lines
