from __future__ import annotations

import numpy as np
import pytest

from emorec_rt.bundle.manifest import Decoding
from emorec_rt.windows.decode import Settled, Smoother
from emorec_train.data.labels import IGNORED
from emorec_train.evaluation.decoding import predict, prior_bias, smooth, tune
from emorec_train.evaluation.metrics import class_support, present_macro_f1, score


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.5, 2.0, 60.0])
def test_smoothing_is_the_runtimes(seconds: float) -> None:
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(0.0, 10.0, 137))
    logits = rng.normal(size=(137, 8)).astype(np.float32)
    smoother = Smoother(seconds)
    given = []
    for part in np.array_split(np.arange(137), 9):
        given += smoother.add(Settled(times[part], logits[part], np.ones(len(part), bool)))
    given += smoother.finish()
    expected = np.stack([own for _, own, *_ in given])
    np.testing.assert_allclose(smooth(times, logits, seconds), expected, atol=1e-5)


def test_prior_correction_is_logit_adjustment() -> None:
    counts = np.array([900, 90, 10])
    bias = np.array(prior_bias(counts, 1.0))
    expected = -np.log(counts / counts.sum())
    np.testing.assert_allclose(bias - bias[0], expected - expected[0], atol=2e-4)
    assert abs(bias.sum()) < 1e-3
    assert prior_bias(counts, 0.0) == ()
    assert np.isfinite(prior_bias(np.array([5, 0]), 1.0)).all()


def test_prediction_with_both() -> None:
    times, logits = np.arange(5) / 10, np.zeros((5, 2), np.float32)
    logits[:, 0] = [1.0, 1.0, -2.0, 1.0, 1.0]
    assert predict(times, logits).tolist() == [0, 0, 1, 0, 0]
    assert predict(times, logits, Decoding(smoothing_seconds=1.0)).tolist() == [0] * 5
    assert predict(times, logits, Decoding(logit_bias=(0.0, 1.5))).tolist() == [1] * 5


def test_tuning_keeps_the_best_and_of_equals_the_least() -> None:
    counts = np.array([3, 1])
    wanted = Decoding(smoothing_seconds=0.5, logit_bias=prior_bias(counts, 0.5))
    tuned = tune(lambda decoding: 0.9 if decoding == wanted else 0.3, counts)
    assert (tuned.decoding, tuned.strength, tuned.before, tuned.after) == (wanted, 0.5, 0.3, 0.9)
    unchanged = tune(lambda _: 0.3, counts)
    assert (unchanged.decoding, unchanged.strength) == (Decoding(), 0.0)


def test_an_absent_class_does_not_hide_a_loss() -> None:
    names, truth = ("a", "b", "c"), np.array([0, 0, 1, 1, IGNORED])
    good, worse = (score(truth, np.array(own), names) for own in ([0, 0, 1, 1, 2], [0, 1, 1, 1, 2]))
    support = class_support(truth, names)
    assert support == {"a": 2, "b": 2, "c": 0}
    assert present_macro_f1(good, support) == 1.0
    assert good.macro_f1 == pytest.approx(2 / 3)  # as the challenge counts
    lost = present_macro_f1(good, support) - present_macro_f1(worse, support)
    assert lost == pytest.approx(1.5 * (good.macro_f1 - worse.macro_f1), abs=1e-4)
