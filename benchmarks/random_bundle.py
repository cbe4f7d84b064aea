"""A bundle of the full size with random weights, for measurements of speed: nothing is downloaded.

    python benchmarks/random_bundle.py FOLDER --preset reference

Writes ``FOLDER/checkpoint`` and ``FOLDER/bundle`` (FP32 and INT8, its ranges collected on generated clips).
The presets are those of the training; ``reference`` is CLIP ViT-B/32 and wav2vec 2.0 base, whose speed and
memory don't depend on what the weights are. What it predicts means nothing.
"""

from __future__ import annotations

from pathlib import Path

import click
import onnx
import torch

from emorec_calib.collect import collect
from emorec_export.bundle import new_bundle, write_manifest
from emorec_export.clips import recorded_clips
from emorec_export.graphs import export_graph, write_graph
from emorec_export.quantize import quantize
from emorec_export.recipe import RECIPES
from emorec_export.report import Reference, Report
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName
from emorec_train.data.synthetic import clip_seeds
from emorec_train.model.build import build_models
from emorec_train.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from emorec_train.model.checkpoint_parts import TrainingRecord
from emorec_train.model.config import ModelConfig
from emorec_train.settings.presets import PRESETS

CALIBRATION_CLIPS = 4
CLIP_SECONDS = 4.0
NOT_COMPARED = Report(reference=Reference(clips=0, rows=0, accuracy=0.0, macro_f1=0.0), variants={})


def random_checkpoint(folder: Path, config: ModelConfig) -> Checkpoint:
    """Write the initialisation's weights, always the same, and the clips to calibrate on."""
    torch.manual_seed(0)
    models = build_models(config, pretrained=False)
    clips = {"train": [str(seed) for seed in clip_seeds("train", CALIBRATION_CLIPS)]}
    record = TrainingRecord(clips=clips, settings={"clip_seconds": CLIP_SECONDS})
    save_checkpoint(folder, config, record, vision=models.vision, audio=models.audio, fusion=models.fusion)
    return load_checkpoint(folder)


def write_bundle(folder: Path, checkpoint: Checkpoint) -> None:
    """Export in FP32, calibrate, quantise to INT8."""
    config = checkpoint.config
    spec, classes = config.preprocessing, len(config.labels)
    with new_bundle(folder) as fresh:
        fp32: dict[GraphName, Path] = {name: fresh / f"{name}.fp32.onnx" for name in GRAPH_NAMES}
        int8: dict[GraphName, Path] = {name: fresh / f"{name}.int8.onnx" for name in GRAPH_NAMES}
        for name, path in fp32.items():
            write_graph(export_graph(name, getattr(checkpoint, name), spec, classes), path)
        recorded = recorded_clips(checkpoint)
        clips = recorded.calibration(recorded.ids("train", CALIBRATION_CLIPS))
        ranges = collect(fp32, spec, classes, clips, source="generated")
        for name, path in int8.items():
            model = quantize(onnx.load(fp32[name]), ranges.graphs[name], RECIPES["int8"])
            write_graph(model, path)
        write_manifest(
            fresh,
            {"fp32": fp32, "int8": int8},
            name="random",
            labels=config.labels,
            preprocessing=spec,
            notice="random weights, for measurements of speed alone",
            provenance={"command": "python benchmarks/random_bundle.py"},
            report=NOT_COMPARED,
        )


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--preset", type=click.Choice(list(PRESETS)), default="reference", show_default=True)
def main(folder: Path, preset: str) -> None:
    """Write checkpoint and bundle."""
    write_bundle(folder / "bundle", random_checkpoint(folder / "checkpoint", PRESETS[preset].model))
    click.echo(f"wrote {folder}")


if __name__ == "__main__":
    main()
