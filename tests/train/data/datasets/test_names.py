from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emorec_rt.constants import EXPRESSIONS
from emorec_train.data.datasets.cremad import parse_name as parse_cremad
from emorec_train.data.datasets.names import ALIASES, UnknownExpressionError, expression_of, in_order
from emorec_train.data.datasets.ravdess import EMOTIONS, parse_name, utterance_of


@given(st.sampled_from(sorted(ALIASES)), st.text(" \t", max_size=2))
def test_a_name_is_read_in_any_case(name: str, space: str) -> None:
    assert expression_of(space + name.upper() + space) == expression_of(name) == ALIASES[name]
    assert expression_of(name) in EXPRESSIONS


@pytest.mark.parametrize("name", ["", "calm", "contempt", "4", "happyish"])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(UnknownExpressionError, match="not an expression"):
        expression_of(name)


def test_aliases_of_a_data_set_win() -> None:
    assert expression_of("Calm", {"calm": None}) is None
    assert expression_of("calm", {"calm": "Neutral"}) == "Neutral"
    assert expression_of("sad", {"sad": "Other"}) == "Other"


def test_expressions_are_put_in_order() -> None:
    assert in_order(["Other", "Fear", "Neutral", "Fear"]) == ("Neutral", "Fear", "Other")


TWO = st.sampled_from(["01", "02"])


@given(
    st.sampled_from(["01", "02", "03"]),
    TWO,
    st.integers(1, 8),
    TWO,
    TWO,
    TWO,
    st.integers(1, 24),
)
def test_every_ravdess_name_is_read(
    modality: str, vocal: str, emotion: int, intensity: str, statement: str, repetition: str, actor: int
) -> None:
    rest = f"{vocal}-{emotion:02d}-{intensity}-{statement}-{repetition}-{actor:02d}"
    name = parse_name(f"{modality}-{rest}")
    assert name is not None
    assert (name.modality, name.utterance, name.actor) == (modality, rest, f"{actor:02d}")
    assert name.emotion == EMOTIONS[f"{emotion:02d}"]
    assert name.song == (vocal == "02")


@given(st.text(st.sampled_from("0123456789-_aX"), max_size=24))
def test_no_other_name_is_ravdess(text: str) -> None:
    parts = text.split("-")
    limits = (3, 2, 8, 2, 2, 2, 24)
    real = len(parts) == 7 and all(
        len(part) == 2 and part.isdigit() and 1 <= int(part) <= limit
        for part, limit in zip(parts, limits, strict=True)
    )
    assert (utterance_of(text) is not None) == real


@pytest.mark.parametrize(
    ("stem", "actor"),
    [("1001_DFA_ANG_XX", "1001"), ("1091_WSI_SAD_HI", "1091"), ("1040_ITH_SAD_X", "1040")],
)
def test_cremad_names(stem: str, actor: str) -> None:
    name = parse_cremad(stem)
    assert name is not None
    assert name.actor == actor


@pytest.mark.parametrize(
    "stem", ["1000_DFA_ANG_XX", "1092_DFA_ANG_XX", "1001_DFA_SUR_XX", "1001_DFA_ANG", "x1001_DFA_ANG_XX"]
)
def test_no_cremad_names(stem: str) -> None:
    assert parse_cremad(stem) is None
