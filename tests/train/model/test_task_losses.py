"""Losses of valence, arousal and action units against references, and labels that are missing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from emorec_rt.bundle.tasks import ACTION_UNITS, MEASURES, VALENCE_AROUSAL, Tasks
from emorec_train.evaluation import measures as scores
from emorec_train.model.task_losses import TaskLoss, concordance, presence_loss

AFFECT = TaskLoss("valence_arousal", VALENCE_AROUSAL)
UNITS = TaskLoss("action_units", ("AU12", "AU01"))


def labelled(*shape: int) -> torch.Tensor:
    """Measures without a gap, ``[..., M]``."""
    drawn = torch.rand(*shape, len(MEASURES), generator=torch.Generator().manual_seed(0))
    drawn[..., len(VALENCE_AROUSAL) :] = drawn[..., len(VALENCE_AROUSAL) :].round()
    return drawn


def test_concordance_is_lins() -> None:
    x, y = torch.randn(50), torch.randn(50)
    r = np.corrcoef(x.numpy(), y.numpy())[0, 1]
    sx, sy = float(x.std(correction=0)), float(y.std(correction=0))
    expected = 2 * r * sx * sy / (sx**2 + sy**2 + float(x.mean() - y.mean()) ** 2)
    assert float(concordance(x, y)) == pytest.approx(expected, abs=1e-5)
    assert scores.concordance(x.numpy(), y.numpy()) == pytest.approx(expected, abs=1e-6)
    assert float(concordance(y, y)) == pytest.approx(1.0, abs=1e-5)
    assert float(concordance(y + 1.0, y)) < float(concordance(y + 0.5, y)) < 1.0


def test_a_missing_label_adds_nothing() -> None:
    measures, affect, logits = labelled(2, 6), torch.randn(2, 6, 2), torch.randn(2, 6, 2)
    gaps = measures.clone()
    gaps[1] = torch.nan
    for loss, predicted in ((AFFECT, affect), (UNITS, logits)):
        predicted.requires_grad_()
        own = loss(predicted, gaps)
        torch.testing.assert_close(own, loss(predicted[:1], measures[:1]))
        own.backward()
        assert predicted.grad is not None
        assert not predicted.grad[1].any()
        assert predicted.grad[0].any()
        assert loss.weight(gaps) == 12.0


@pytest.mark.parametrize("loss", [AFFECT, UNITS])
def test_without_any_label_the_loss_is_0(loss: TaskLoss) -> None:
    predicted = torch.randn(2, 6, 2, requires_grad=True)
    for measures in (None, torch.full((2, 6, len(MEASURES)), torch.nan)):
        own = loss(predicted, measures)
        own.backward()
        assert float(own.detach()) == 0.0
        assert loss.weight(measures) == 0.0
    assert predicted.grad is not None
    assert not predicted.grad.any()


def test_columns_are_taken_by_name() -> None:
    measures, logits = labelled(1, 5), torch.randn(1, 5, 2)
    columns = [MEASURES.index("AU12"), MEASURES.index("AU01")]
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, measures[..., columns])
    torch.testing.assert_close(UNITS(logits, measures), expected)
    torch.testing.assert_close(presence_loss(logits[0], measures[0][:, columns]), expected)


def test_tasks_name_outputs_and_columns() -> None:
    assert not Tasks()
    both = Tasks(valence_arousal=True, action_units=ACTION_UNITS[:3])
    assert both.outputs == {"valence_arousal": 2, "action_units": 3}
    assert both.measures == ("valence", "arousal", "AU01", "AU02", "AU04")
    with pytest.raises(ValueError, match="twice"):
        Tasks(action_units=("AU01", "AU01"))
