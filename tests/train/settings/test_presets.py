from __future__ import annotations

import torch

from emorec_train.features.windows import WindowSet
from emorec_train.model.build import build_models, freeze
from emorec_train.model.losses import StepLoss, TextGuidedLoss
from emorec_train.model.text import frozen_prototypes
from emorec_train.settings.presets import DEMO, PRESETS, REFERENCE
from emorec_train.training.loop import Optimiser
from emorec_train.training.objective import Objective


def test_reference_trains_one_step_at_full_size() -> None:
    torch.manual_seed(0)
    model, spec = REFERENCE.model, REFERENCE.model.preprocessing
    models = build_models(model, pretrained=False)
    assert models.text is not None
    for module in (models.vision, models.audio, models.text):
        freeze(module)
    T, S = spec.window.steps, spec.window_tokens
    with torch.no_grad():
        frames = models.vision(torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8))
        tokens = models.audio(torch.randn(1, spec.audio.chunk_samples))
    assert frames.shape == (2, 512)
    assert tokens.shape == (1, spec.audio.chunk_tokens, 768)
    batch = WindowSet(
        frames[0].expand(1, T, -1),
        torch.ones(1, T),
        tokens[:, :S],
        torch.ones(1, S),
        torch.zeros(1, T, dtype=torch.long),
    )
    text = TextGuidedLoss(model.fusion.width, frozen_prototypes(models.text, model.labels))
    optimiser = Optimiser([models.fusion, text], steps=10, learning_rate=1e-4, weight_decay=1e-4)
    objective = Objective(models.fusion, text, StepLoss(0.1), 0.2)
    losses = [optimiser.step(objective.loss(batch)) for _ in range(3)]
    assert losses[2] < losses[0]


def test_demo_is_small() -> None:
    models = build_models(DEMO.model)
    parameters = sum(p.numel() for m in (models.vision, models.audio, models.fusion) for p in m.parameters())
    assert 4 * parameters < 8e6


def test_edge_is_what_open_clip_knows_as_mobileclip() -> None:
    import open_clip

    edge = PRESETS["edge"].model
    models = build_models(edge, pretrained=False)
    name = edge.vision.pretrained.partition(":")[0]
    theirs = open_clip.create_model(name)
    assert models.vision.visual.state_dict().keys() == theirs.visual.state_dict().keys()
    assert models.text is not None
    assert models.text.tower.state_dict().keys() == theirs.text.state_dict().keys()
    frames = models.vision.eval()(torch.zeros(1, 256, 256, 3, dtype=torch.uint8))
    assert frames.shape == (1, edge.preprocessing.vision.embedding_dim)
