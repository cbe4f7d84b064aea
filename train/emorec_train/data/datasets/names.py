"""Emotion names of other data sets as the project's: by name, never by index, because orders differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from emorec_rt.constants import EXPRESSIONS

Aliases = Mapping[str, str | None]
"""A data set's name in lower case -> one of ``EXPRESSIONS``, or ``None`` where such clips are left out."""

ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {name.lower(): name for name in EXPRESSIONS}
    | {
        "neu": "Neutral",
        "angry": "Anger",
        "ang": "Anger",
        "disgusted": "Disgust",
        "dis": "Disgust",
        "fearful": "Fear",
        "fea": "Fear",
        "afraid": "Fear",
        "happy": "Happiness",
        "hap": "Happiness",
        "joy": "Happiness",
        "sad": "Sadness",
        "surprised": "Surprise",
        "sur": "Surprise",
    }
)
"""Names that mean one of ``EXPRESSIONS`` whatever the data set."""


class UnknownExpressionError(ValueError):
    """A name that is neither an expression nor an alias."""


def expression_of(name: str, aliases: Aliases = MappingProxyType({})) -> str | None:
    """The expression that a data set's name stands for; ``None`` where such clips are left out.

    Args:
        name: In any case, with spaces around it or not.
        aliases: Names of this data set; they win over ``ALIASES``.

    Raises:
        UnknownExpressionError: Neither knows the name.
    """
    key = name.strip().lower()
    if key in aliases:
        return aliases[key]
    if key in ALIASES:
        return ALIASES[key]
    raise UnknownExpressionError(f"{name!r} is not an expression; there are {', '.join(EXPRESSIONS)}")


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Expressions once each, in the order of ``EXPRESSIONS``."""
    present = set(names)
    return tuple(name for name in EXPRESSIONS if name in present)
