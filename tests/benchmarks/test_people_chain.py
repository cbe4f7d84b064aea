"""Sections of benchmarks/people.py that need sound: tracks, folds and pairs, on random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import people_tracks
import pytest
from people_chain import Chain
from people_pairs import Pairs, agreement
from people_tracks import Utterance, hear, voices

from emorec_rt.constants import EXPRESSIONS
from people_material import write_material

SPOKEN = [EXPRESSIONS.index(label) for label in people_tracks.SPOKEN]


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain(precision="fp32")


def utterances(corpus: str = "RAVDESS") -> list[Utterance]:
    rng = np.random.default_rng(0)
    return [
        Utterance(corpus, speaker, sex, label, 2, rng.normal(0.0, 0.1, 12_000).astype(np.float32))
        for speaker, sex in (("a", "f"), ("b", "m"))
        for label in SPOKEN[:3]
    ]


def test_probabilities_of_face_and_voice(chain: Chain) -> None:
    side = chain.spec.vision.crop_size
    face, sound = np.full((side, side, 3), 90, np.uint8), np.zeros(16_000, np.float32)
    for seen, heard in ((face, sound), (face, None), (None, sound)):
        times, probabilities = chain(seen, heard, 1.0)
        assert len(times) == len(probabilities)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)


def test_tracks_add_up(chain: Chain) -> None:
    spoken = utterances()
    heard = hear(chain, spoken)
    assert len(heard.utterances) == people_tracks.ORDERS * len(spoken)
    assert heard.before_seconds.max() == pytest.approx(2 * spoken[0].seconds)
    assert set(heard.given) <= set(SPOKEN[:3])
    alone = hear(chain, spoken, one_mood=True)
    assert alone.before_seconds.max() == 0.0


def test_a_corpus_has_its_conditions(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people_tracks, "HEARD_SECONDS", 1.0)
    found = voices([*utterances(), *utterances("nEMO")], {"ours": chain})
    told = {figure.material for figure in found}
    assert {"RAVDESS", "nEMO, women", "nEMO, after 10 s", "RAVDESS, one emotion throughout"} <= told


def test_pairs_share_their_label(tmp_path: Path, chain: Chain) -> None:
    data = write_material(tmp_path / "data")
    made = Pairs(data, utterances(), chain.spec.vision.crop_size)
    assert len(made.faces) == len(made.voices) == len(made.truth)
    figures = made.figures(made.heard(chain, "visual"), "pairs", "ours")
    assert [figure.measure for figure in figures] == ["macro F1", "calibration error"]
    same = [figure for figure in agreement(data, utterances()[:2], None) if "same" in figure.measure]
    assert all(0.0 <= figure.value <= 1.0 for figure in same)
