"""``--set key=value``: single settings of a preset by dotted keys, typed by their field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from emorec_rt.errors import UsageError
from emorec_train.settings.fields import Preset

OPEN_KEY: Final = "extra"
"""Tables of this name take any key: they are passed on to a library."""


def change(preset: Preset, changes: Iterable[str]) -> Preset:
    """The preset with each ``key=value`` in it.

    Values are JSON (``1e-3``, ``true``, ``[1, 2]``, ``null``); anything else is text.

    Raises:
        UsageError: A key is unknown (the nearest is named), or a value is not of its field's type or range.
    """
    for text in changes:
        preset = _change_one(preset, text)
    return preset


def _change_one(preset: Preset, text: str) -> Preset:
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise UsageError(f"--set {text}: give KEY=VALUE, as in --set fusion.epochs=20")
    tables = msgspec.to_builtins(preset)
    *path, last = key.split(".")
    table = tables
    for part in path:
        table = table.get(part) if isinstance(table, dict) else None
    if not isinstance(table, dict) or (last not in table and path[-1:] != [OPEN_KEY]):
        raise _unknown(key, tables)
    old = table.get(last)
    if isinstance(old, dict) and not _is_null(value):
        raise UsageError(f"--set {text}: {key} is a group of settings; set one of {_below(key, old)}")
    table[last] = value if isinstance(old, str) else _parsed(value)
    try:
        return msgspec.convert(tables, Preset)
    except (msgspec.ValidationError, UsageError) as error:
        raise UsageError(f"--set {text}: {error}") from error


def _parsed(value: str) -> Any:
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value


def _is_null(value: str) -> bool:
    return value.strip() == "null"


def _below(key: str, table: dict[str, Any]) -> str:
    return ", ".join(f"{key}.{name}" for name in table)


def _unknown(key: str, tables: dict[str, Any]) -> UsageError:
    known = list(_keys(tables))
    by_last = {name.rpartition(".")[2]: name for name in reversed(known)}
    near = get_close_matches(key, known, n=1, cutoff=0.7)
    if not near:
        near = [by_last[last] for last in get_close_matches(key.rpartition(".")[2], by_last, n=1)]
    if not near:
        near = get_close_matches(key, known, n=1, cutoff=0.0)
    return UsageError(f"--set {key}: there is no such setting; the nearest is {near[0]}")


def _keys(table: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in table.items():
        yield prefix + name
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{name}.")
