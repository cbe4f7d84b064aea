from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from emorec_train.data.labels import IGNORED
from emorec_train.features.windows import WindowSet
from emorec_train.model.build import build_models, freeze
from emorec_train.model.imbalance import balanced_weights, class_counts, clip_counts, log_prior, spread
from emorec_train.model.losses import StepLoss, TextGuidedLoss
from emorec_train.model.text import frozen_prototypes
from emorec_train.training.objective import Objective
from small_model import STEPS, config, feeds


def test_cross_entropy_counts_labelled_steps_only() -> None:
    logits, labels = torch.randn(2, 5, 3), torch.tensor([[0, 1, 2, IGNORED, IGNORED], [2, 2, 0, 1, IGNORED]])
    weights = torch.tensor([1.0, 2.0, 0.5])
    expected = F.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), weights, ignore_index=IGNORED, label_smoothing=0.1
    )
    actual = StepLoss(0.1, weights)(logits, labels)
    torch.testing.assert_close(actual, expected)


def test_no_label_at_all_gives_zero_and_a_gradient() -> None:
    logits = torch.randn(2, 5, 3, requires_grad=True)
    loss = StepLoss()(logits, torch.full((2, 5), IGNORED))
    loss.backward()
    assert loss == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_text_guidance_pulls_towards_the_own_class() -> None:
    torch.manual_seed(0)
    loss_of = TextGuidedLoss(4, F.normalize(torch.randn(3, 6), dim=-1))
    features = torch.randn(1, 3, 4)
    labels, mask = torch.tensor([[0, 1, 2]]), torch.ones(1, 3)
    optimiser = torch.optim.Adam(loss_of.parameters(), 0.05)
    for _ in range(100):
        optimiser.zero_grad()
        loss_of(features, mask, labels).backward()
        optimiser.step()
    assert loss_of.similarities(features).argmax(-1).tolist() == labels.tolist()


def test_text_guidance_skips_steps_without_a_face() -> None:
    loss_of = TextGuidedLoss(4, F.normalize(torch.randn(3, 6), dim=-1))
    features, labels = torch.randn(1, 4, 4), torch.tensor([[0, 1, 2, 0]])
    masked = loss_of(features, torch.tensor([[1.0, 1.0, 0.0, 0.0]]), labels)
    torch.testing.assert_close(masked, loss_of(features[:, :2], torch.ones(1, 2), labels[:, :2]))


@pytest.mark.parametrize("text_only", [False, True])
def test_gradients_reach_what_learns_and_nothing_frozen(text_only: bool) -> None:
    torch.manual_seed(0)
    model = config()
    models = build_models(model)
    assert models.text is not None
    for module in (models.vision, models.audio, models.text):
        freeze(module)
    text = TextGuidedLoss(model.fusion.width, frozen_prototypes(models.text, model.labels))
    batch = feeds()
    frames = torch.randint(0, 256, (2 * STEPS, 32, 32, 3), dtype=torch.uint8)
    batch["frame_embeddings"] = models.vision(frames).reshape(2, STEPS, -1)
    labels = torch.randint(0, 8, (2, STEPS))
    if text_only:
        features = models.fusion.encode_visual(batch["frame_embeddings"], batch["frame_mask"])
        text(features, batch["frame_mask"], labels).backward()
    else:
        objective = Objective(models.fusion, text, StepLoss(), 0.2)
        objective.loss(WindowSet(**batch, labels=labels)).backward()
    for learning in (models.fusion.tcn, models.fusion.visual_projection.linear, text.projection):
        assert all(p.grad is not None and p.grad.abs().max() > 0 for p in learning.parameters())
    assert text.log_scale.grad is not None
    for frozen in (models.vision, models.audio, models.text):
        assert all(p.grad is None for p in frozen.parameters())
    assert not text.prototypes.requires_grad


def test_focal_loss_without_a_gamma_is_cross_entropy() -> None:
    logits, labels = torch.randn(7, 3), torch.tensor([0, 1, 2, 0, 1, IGNORED, 2])
    weights = torch.tensor([1.0, 2.0, 0.5])
    nearly = StepLoss(0.1, weights, gamma=1e-9)(logits, labels)
    torch.testing.assert_close(nearly, StepLoss(0.1, weights)(logits, labels))


def test_focal_loss_by_hand() -> None:
    own = torch.tensor([0.9, 0.2])  # two classes, the first one is right
    logits = torch.stack([own.log(), (1 - own).log()], dim=1)
    expected = (-((1 - own) ** 2) * own.log()).mean()
    torch.testing.assert_close(StepLoss(gamma=2.0)(logits, torch.tensor([0, 0])), expected)


def test_logit_adjustment_is_cross_entropy_on_shifted_logits() -> None:
    logits, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    offsets = log_prior(torch.tensor([90, 9, 1]))
    torch.testing.assert_close(offsets.exp(), torch.tensor([0.9, 0.09, 0.01]))
    torch.testing.assert_close(
        StepLoss(offsets=offsets)(logits, labels), F.cross_entropy(logits + offsets, labels)
    )


def test_rare_classes_weigh_more() -> None:
    counts = class_counts(torch.tensor([[0, 0, 0, 1], [0, IGNORED, 1, 0]]), 3)
    assert counts.tolist() == [5, 2, 0]
    # Effective numbers by hand: (1 - 0.5^5) / 0.5 and (1 - 0.5^2) / 0.5.
    ratio = balanced_weights(counts, 0.5)
    torch.testing.assert_close(ratio[1] / ratio[0], torch.tensor((1 - 0.5**5) / (1 - 0.5**2)))
    assert ratio[2] == 0.0
    torch.testing.assert_close(ratio.sum(), torch.tensor(2.0))
    torch.testing.assert_close(balanced_weights(counts, 0.0), torch.tensor([1.0, 1.0, 0.0]))


TRAIN = [177198, 16573, 10771, 9080, 95463, 78751, 31615, 165866]
"""Labelled training frames of each expression in Aff-Wild2."""


def test_balanced_weights_of_real_counts_differ() -> None:
    assert spread(balanced_weights(torch.tensor(TRAIN), 0.999)) < 0.001  # saturated: the steps are too many
    clips = torch.tensor([230, 45, 38, 30, 160, 150, 110, 200])
    weights = balanced_weights(clips)
    assert 3.0 < spread(weights) < clips.max() / clips.min()
    assert weights.argsort().tolist() == clips.argsort(descending=True).tolist()


def test_a_clip_counts_once_for_each_class_in_it() -> None:
    labels = [torch.tensor([[0, 0, 1], [0, 0, IGNORED]]), torch.tensor([[0, 0, 0]])]
    assert clip_counts(labels, 3).tolist() == [2, 1, 0]


def test_a_class_that_does_not_occur_has_a_finite_prior() -> None:
    assert torch.isfinite(log_prior(torch.tensor([10, 0]))).all()


def test_logit_adjustment_is_the_papers_pairwise_form() -> None:
    # Menon et al., equation 10: log(1 + sum over other classes of (pi_c / pi_y)^tau exp(f_c - f_y)).
    counts, tau = torch.tensor([5, 3, 12]), 0.7
    prior = counts / counts.sum()
    logits, labels = torch.randn(6, 3), torch.tensor([0, 1, 2, 2, 0, 1])
    losses = []
    for f, y in zip(logits, labels.tolist(), strict=True):
        others = [c for c in range(3) if c != y]
        losses.append(torch.log1p(sum((prior[c] / prior[y]) ** tau * (f[c] - f[y]).exp() for c in others)))
    torch.testing.assert_close(
        StepLoss(offsets=tau * log_prior(counts))(logits, labels), torch.stack(losses).mean()
    )


def test_shares_of_the_parts_sum_up_to_the_whole() -> None:
    torch.manual_seed(0)
    model = config()
    fusion = build_models(model).fusion.eval()
    text = TextGuidedLoss(model.fusion.width, F.normalize(torch.randn(8, 16), dim=-1))
    labels = torch.randint(-1, 8, (5, STEPS))
    weights = balanced_weights(class_counts(labels, 8), 0.9)
    batch = WindowSet(**feeds(5), labels=labels)
    batch.frame_mask[1, ::2] = 0.0
    objective = Objective(fusion, text, StepLoss(0.1, weights, gamma=1.0), 0.2)
    parts = [batch.select(own) for own in torch.arange(5).tensor_split(3)]
    total = sum(objective.share(part, batch) for part in parts)
    torch.testing.assert_close(total, objective.loss(batch))
