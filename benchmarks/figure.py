"""A measured number beside its limit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Final

import click

_SIGNS: Final = {"<": lt, "<=": le, ">=": ge, ">": gt}


def holds(limit: str, value: float) -> bool:
    """Say whether a value keeps a limit such as ``>= 0.8``; without a sign there is none."""
    sign, _, number = limit.partition(" ")
    return sign not in _SIGNS or bool(_SIGNS[sign](value, float(number)))


@dataclass(frozen=True)
class Figure:
    """One measured number, its unit and the limit it is held to."""

    name: str
    value: float
    unit: str
    limit: str = "-"

    @property
    def holds(self) -> bool:
        """Say whether the limit is kept."""
        return holds(self.limit, self.value)

    def __str__(self) -> str:
        mark = "ok" if self.holds else "MISSED"
        return f"{self.name:45} {self.value:9.2f} {self.unit:12} limit {self.limit:8} {mark}"


def refuse_missed(figures: Iterable[Figure]) -> None:
    """End the program with exit code 1 where a limit is missed."""
    if not all(figure.holds for figure in figures):
        click.get_current_context().exit(1)
