"""Horizontal bars as inline SVG, in the page's own colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 720
_LABEL: Final = 260
_VALUE: Final = 110
_ROW: Final = 22


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        label: What it stands for.
        value: Its length, in any unit, not negative.
        shown: The value as text.
        kind: A CSS class that gives its colour.
    """

    label: str
    value: float
    shown: str
    kind: str = ""


def bars(title: str, rows: Sequence[Bar]) -> str:
    """A chart; the longest bar fills the width.

    Args:
        title: For who can't see it.
        rows: From top to bottom.
    """
    longest = max((row.value for row in rows), default=0.0) or 1.0
    height = _ROW * len(rows)
    body = "".join(_row(row, index, longest) for index, row in enumerate(rows))
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'aria-label="{escape(title)}">{body}</svg>'
    )


def _row(row: Bar, index: int, longest: float) -> str:
    top = _ROW * index
    length = (WIDTH - _LABEL - _VALUE) * row.value / longest
    return (
        f'<text x="{_LABEL - 8}" y="{top + 15}" text-anchor="end">{escape(_short(row.label))}'
        f"<title>{escape(row.label)}</title></text>"
        f'<rect class="{row.kind}" x="{_LABEL}" y="{top + 3}" '
        f'width="{max(length, 1.0):.1f}" height="{_ROW - 6}"/>'
        f'<text x="{_LABEL + length + 8:.1f}" y="{top + 15}">{escape(row.shown)}</text>'
    )


def _short(label: str, limit: int = 38) -> str:
    """The end of a long name says more than its beginning."""
    return label if len(label) <= limit else f"…{label[-limit + 1 :]}"
