"""Clips of people: the same from the same number, with labels that fit what is seen and heard."""

from __future__ import annotations

import numpy as np
import pytest

from emorec_rt.constants import EXPRESSIONS
from emorec_rt.media.types import Frame, Samples
from emorec_train.data.labels import IGNORED
from emorec_train.training.people import PeopleClips
from emorec_train.training.people.faces import spoken
from emorec_train.training.people.material import SAID
from emorec_train.training.people.plan import Planner
from people_material import CROPS, SIDE, write_material


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> PeopleClips:
    data = write_material(tmp_path_factory.mktemp("material") / "data")
    return PeopleClips(data, EXPRESSIONS, CROPS, {"train": 40, "validation": 5}, fold=2)


def test_halves_share_no_speaker(clips: PeopleClips) -> None:
    train, held_out = clips.materials()
    assert train.acted.names == ["s0", "s1"]
    assert held_out.acted.names == ["s2"]
    assert (train.natural.names, held_out.natural.names) == (["p1"], ["p2"])
    assert len(train.faces) == len(held_out.faces) == 64


def test_a_number_gives_the_same_clip(clips: PeopleClips) -> None:
    first, again = (list(clips.open("train-3").items) for _ in range(2))
    assert len(first) == len(again)
    for one, other in zip(first, again, strict=True):
        assert type(one) is type(other)
        for name in ("pixels", "pcm"):
            if hasattr(one, name):
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert clips.fingerprint("train-3") != clips.fingerprint("validation-3")


def test_every_clip_has_something_and_its_labels(clips: PeopleClips) -> None:
    kinds = set()
    for clip_id in clips.clip_ids("train"):
        items, truth = list(clips.open(clip_id).items), clips.truth(clip_id)
        faces = [item for item in items if isinstance(item, Frame)]
        sounds = [item for item in items if isinstance(item, Samples)]
        kinds.add((bool(faces), bool(sounds)))
        assert all(face.pixels.shape == (SIDE, SIDE, 3) for face in faces)
        assert truth.shares is not None
        np.testing.assert_allclose(truth.shares.sum(axis=1), 1.0, atol=1e-5)
        labelled = truth.labels != IGNORED
        np.testing.assert_array_equal(truth.labels[labelled], truth.shares[labelled].argmax(axis=1))
    assert kinds == {(True, True), (True, False), (False, True)}


def test_targets_join_both_streams(clips: PeopleClips) -> None:
    planner = Planner(clips.materials()[0])
    for number in range(60):
        plan = planner.draw(np.random.default_rng(number))
        for stretch in plan.stretches:
            assert (stretch.face is None) == (plan.kind == "voice")
            assert (stretch.voice is None) == (plan.kind == "face")
            if plan.natural:
                assert stretch.face is not None
                np.testing.assert_array_equal(stretch.target, planner.seen(stretch.face))


def test_two_that_agree_are_surer_than_either(clips: PeopleClips) -> None:
    planner, seen_often = Planner(clips.materials()[0]), 0
    for number in range(60):
        plan = planner.draw(np.random.default_rng(number))
        for stretch in plan.stretches:
            if plan.kind != "both" or plan.natural or stretch.face is None or stretch.voice is None:
                continue
            seen, label = planner.seen(stretch.face), clips.materials()[0].acted.labels[stretch.voice]
            if seen.argmax() == label:
                seen_often += 1
                assert stretch.target[label] >= max(seen[label], SAID) - 1e-6
                assert stretch.target.sum() == pytest.approx(1.0)
    assert seen_often > 10


def test_speech_moves_the_mouth_alone() -> None:
    face = np.arange(SIDE, dtype=np.uint8)[:, None].repeat(SIDE, axis=1)
    moved = spoken(face, 0.3)
    np.testing.assert_array_equal(moved[: SIDE // 2], face[: SIDE // 2])
    assert (moved[-3:] < face[-3:]).all()
