"""Values of the command line into the options of a recogniser and of its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from emorec_rt.cli.source_options import parsed

if TYPE_CHECKING:
    from emorec_rt.recognizer.options import Options
    from emorec_rt.writers import OutputOptions

_RESULTS: Final = ("min_segment_seconds", "every_seconds", "embed")


def options_of(values: Mapping[str, Any]) -> tuple[Options, OutputOptions]:
    """Sort the values of a call: how to recognise, and how to write.

    Args:
        values: By the names of ``Options``, ``OutputOptions`` and ``SourceOptions``; those
            that are missing have their defaults.

    Raises:
        UsageError: A value is wrong.
    """
    from emorec_rt.recognizer.options import Options
    from emorec_rt.writers import OutputOptions

    names = {field.name for field in fields(Options)} - {"source"}
    source = {name: value for name, value in values.items() if name not in {*names, *_RESULTS}}
    options = Options(**{name: values[name] for name in names if name in values}, source=parsed(source))
    results = {name: values[name] for name in _RESULTS}
    return options, OutputOptions(**results, people=options.faces != "main")
