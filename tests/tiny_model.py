"""A checkpoint of the small model, with weights and clips, for what is exported and run."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import onnx
import torch

from emorec_export.graphs import export_graph
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName
from emorec_train.data.synthetic import clip_seeds
from emorec_train.model.build import Models, build_models
from emorec_train.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from emorec_train.model.checkpoint_parts import TrainingRecord
from small_model import config

CONFIG = config()
LABELS = CONFIG.labels


def tiny_models(seed: int = 0) -> Models:
    """Random weights, in which no two parameters are alike (fresh norms are all ones and zeros)."""
    torch.manual_seed(seed)
    models = build_models(CONFIG, pretrained=False)
    for module in (models.vision, models.audio, models.fusion):
        module.eval()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.05)
    return models


@cache
def tiny_graphs() -> dict[GraphName, onnx.ModelProto]:
    """The exported parts; not to be changed."""
    models = tiny_models()
    return {
        name: export_graph(name, getattr(models, name), CONFIG.preprocessing, len(LABELS))
        for name in GRAPH_NAMES
    }


def tiny_checkpoint(folder: Path) -> Checkpoint:
    """A checkpoint on disk that names generated clips of two seconds."""
    models = tiny_models()
    clips = {split: [str(seed) for seed in clip_seeds(split, 3)] for split in ("train", "validation", "test")}
    record = TrainingRecord(command="run.py", clips=clips, settings={"clip_seconds": 2.0})
    save_checkpoint(folder, CONFIG, record, vision=models.vision, audio=models.audio, fusion=models.fusion)
    return load_checkpoint(folder)
