"""Sound goes to who speaks: turns of a file, mouths that move, one face alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emorec_rt.errors import UsageError
from emorec_rt.windows.speakers import Speakers, Turn, read_rttm

TIMES = np.arange(0, 10, 0.04)
RTTM = """SPKR-INFO talk 1 <NA> <NA> <NA> unknown anna <NA>
SPEAKER talk 1 0.00 5.00 <NA> <NA> anna <NA> <NA>
SPEAKER talk 1 5.00 5.00 <NA> <NA> bert <NA> <NA>
SPEAKER other 1 1.00 1.00 <NA> <NA> carl <NA> <NA>
"""


def taking_turns(speakers: Speakers) -> Speakers:
    """The first person's mouth moves for five seconds, then the second's."""
    for time in TIMES.tolist():
        speakers.see(1, time, 0.04 if time < 5.0 else 0.001)
        speakers.see(2, time, 0.001 if time < 5.0 else 0.04)
    return speakers


def test_the_mouth_that_moves_has_the_sound() -> None:
    speakers = taking_turns(Speakers())
    truth = TIMES < 5.0
    assert np.mean(speakers.mask(1, TIMES) == truth) > 0.98
    assert np.mean(speakers.mask(2, TIMES) == ~truth) > 0.98


def test_a_voice_of_nobody_in_the_picture_is_nobodys() -> None:
    speakers = Speakers()
    for time in TIMES.tolist():
        speakers.see(1, time, 0.001)
        speakers.see(2, time, 0.0)
    assert not speakers.mask(1, TIMES).any()
    assert not speakers.mask(2, TIMES).any()


def test_one_face_has_all_of_the_sound() -> None:
    speakers = Speakers()
    for time in TIMES.tolist():
        speakers.see(1, time, 0.0)
    assert speakers.mask(1, TIMES).all()
    assert Speakers().mask(0, TIMES).all()


def test_turns_decide_and_mouths_tell_whose_they_are(tmp_path: Path) -> None:
    (tmp_path / "talk.rttm").write_text(RTTM)
    turns = read_rttm(tmp_path / "talk.rttm", "talk")
    assert turns == (Turn(0.0, 5.0, "anna"), Turn(5.0, 10.0, "bert"))
    speakers = taking_turns(Speakers(turns))
    np.testing.assert_array_equal(speakers.mask(1, TIMES), (TIMES < 5.0).astype(np.float32))
    np.testing.assert_array_equal(speakers.mask(2, TIMES), (TIMES >= 5.0).astype(np.float32))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (RTTM.replace(" talk", " tale"), "no line about talk; it has other, tale"),
        ("nothing of that kind", "no line about talk; it has no turn at all"),
        ("SPEAKER talk 1 soon 5.0 <NA> <NA> anna", "line 1 is not a line of RTTM"),
        ("SPEAKER talk 1 nan 5.0 <NA> <NA> anna", "line 1 has no finite times"),
        ("SPEAKER talk", "line 1 is not a line of RTTM"),
    ],
)
def test_another_file_is_one_line(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.rttm").write_text(text)
    with pytest.raises(UsageError, match=words):
        read_rttm(tmp_path / "x.rttm", "talk")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        read_rttm(tmp_path / "nowhere.rttm", "talk")
