"""Differences of rows, as the benchmark of two commits tells them."""

from __future__ import annotations

import click
import pytest
from before_after import differing

HEAD = "frame,label\n"


def test_the_same_rows_differ_nowhere() -> None:
    assert differing(HEAD + "0,Fear\n", HEAD + "0,Fear\n") == {}


def test_rows_that_differ_are_counted_by_column() -> None:
    before, after = HEAD + "0,Fear\n1,Fear\n", HEAD + "0,Anger\n1,Fear\n2,Fear\n"
    assert differing(before, after) == {"label": 1, "rows": 1}


def test_an_input_that_both_refuse_is_no_difference() -> None:
    assert differing("error: no sound", "error: neither sound nor picture") == {}


def test_a_commit_that_cannot_run_it_is_told() -> None:
    with pytest.raises(click.ClickException, match="can't run it: error: old"):
        differing("error: old", HEAD + "0,Fear\n")
