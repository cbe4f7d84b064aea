"""What stands against imbalance, by hand and by PyTorch."""

from __future__ import annotations

import msgspec
import pytest
import torch
import torch.nn.functional as F

from emorec_rt.errors import UsageError
from emorec_train.features import WindowSet
from emorec_train.labels import IGNORED
from emorec_train.modality import shift_sound
from emorec_train.model.config import TextConfig
from emorec_train.model.losses import StepLoss, effective_number_weights, focal_loss, log_priors
from emorec_train.model.text import prompts
from small_model import PER_STEP, STEPS, feeds

LOGITS = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([[0, 1, 2, 2, 2, IGNORED], [0, 0, 2, 1, IGNORED, IGNORED]])


def test_weights_of_effective_numbers_by_hand() -> None:
    # Effective numbers at beta 0.5: 1, 1.5 and 1.75, so the weights are as 1 : 2/3 : 4/7.
    raw = torch.tensor([1.0, 2 / 3, 4 / 7])
    torch.testing.assert_close(effective_number_weights(torch.tensor([1, 2, 3]), 0.5), raw * 3 / raw.sum())


def test_a_class_without_samples_weighs_nothing_and_breaks_nothing() -> None:
    weights = effective_number_weights(torch.tensor([10, 0, 10]), 0.99)
    torch.testing.assert_close(weights, torch.tensor([1.0, 0.0, 1.0]))
    loss = StepLoss(
        torch.tensor([4, 0, 4]),
        label_smoothing=0.1,
        effective_beta=0.9,
        logit_adjustment=1.0,
        focal_gamma=2.0,
    )
    assert loss(LOGITS, torch.where(LABELS == 1, IGNORED, LABELS)).isfinite()


def test_beta_near_one_weighs_by_inverse_frequency() -> None:
    weights = effective_number_weights(torch.tensor([10, 100]), 1.0 - 1e-9)
    assert float(weights[0] / weights[1]) == pytest.approx(10.0, rel=1e-4)


def test_focal_loss_by_hand() -> None:
    valid = LABELS != IGNORED
    p = LOGITS[valid].softmax(-1)[torch.arange(9), LABELS[valid]]
    weights = torch.tensor([1.0, 2.0, 3.0])
    each = weights[LABELS[valid]]
    expected = -(each * (1 - p) ** 2 * p.log()).sum() / each.sum()
    torch.testing.assert_close(focal_loss(LOGITS, LABELS, 2.0, class_weights=weights), expected)


def test_focal_loss_without_focus_is_cross_entropy() -> None:
    expected = F.cross_entropy(
        LOGITS.flatten(0, 1), LABELS.flatten(), ignore_index=IGNORED, label_smoothing=0.1
    )
    torch.testing.assert_close(focal_loss(LOGITS, LABELS, 0.0, label_smoothing=0.1), expected)


def test_logit_adjustment_is_the_papers_pairwise_form() -> None:
    # Menon et al., equation 10: log(1 + sum over other classes of (pi_c / pi_y)^tau exp(f_c - f_y)).
    counts, tau = torch.tensor([5, 3, 12]), 0.7
    prior = counts / counts.sum()
    valid = LABELS != IGNORED
    losses = []
    for f, y in zip(LOGITS[valid], LABELS[valid].tolist(), strict=True):
        others = [c for c in range(3) if c != y]
        losses.append(torch.log1p(sum((prior[c] / prior[y]) ** tau * (f[c] - f[y]).exp() for c in others)))
    loss = StepLoss(counts, logit_adjustment=tau)(LOGITS, LABELS)
    torch.testing.assert_close(loss, torch.stack(losses).mean())
    torch.testing.assert_close(log_priors(counts).exp(), prior)


def test_class_weights_and_smoothing_are_pytorchs() -> None:
    counts = torch.tensor([5, 3, 12])
    expected = F.cross_entropy(
        LOGITS.flatten(0, 1),
        LABELS.flatten(),
        effective_number_weights(counts, 0.9),
        ignore_index=IGNORED,
        label_smoothing=0.1,
    )
    torch.testing.assert_close(
        StepLoss(counts, effective_beta=0.9, label_smoothing=0.1)(LOGITS, LABELS), expected
    )


def test_sound_is_shifted_by_whole_steps_and_masked_where_none_is_left() -> None:
    batch = WindowSet(**feeds(64), labels=torch.zeros(64, STEPS, dtype=torch.long))
    shifted = shift_sound(batch, 2, torch.Generator().manual_seed(0))
    seen = set()
    for k in range(64):
        steps = [
            d
            for d in range(-2, 3)
            if torch.equal(
                shifted.audio_tokens[k][max(d, 0) * PER_STEP : (STEPS + min(d, 0)) * PER_STEP],
                batch.audio_tokens[k][max(-d, 0) * PER_STEP : (STEPS - max(d, 0)) * PER_STEP],
            )
        ]
        assert len(steps) == 1
        seen.add(steps[0])
        assert shifted.audio_mask[k].sum() == (STEPS - abs(steps[0])) * PER_STEP
        assert not shifted.audio_tokens[k][shifted.audio_mask[k] == 0].any()
    assert seen == {-2, -1, 0, 1, 2}


def test_prompts_come_from_the_config() -> None:
    config = TextConfig(adjective_templates=(), noun_templates=("{}!",))
    assert prompts("Anger", config) == ["anger!"]
    with pytest.raises(UsageError, match="where the class goes"):
        msgspec.structs.replace(config, noun_templates=("a face",))
    with pytest.raises(UsageError, match="both empty"):
        msgspec.structs.replace(config, noun_templates=())
