"""Parts that tables share: Markdown, machines, limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from figure import holds

Result = dict[str, Any]
NOT_MEASURED: Final = "Not measured yet."


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def measured(head: Sequence[str], rows: Iterable[Sequence[object]], result: Result, note: str = "") -> str:
    """A table with the machine below it."""
    return f"{table(head, rows)}\n\n{note}{machine_line(result)}"


def machine_line(result: Result) -> str:
    """Processor, Python and day of a measurement."""
    machine = result["machine"]
    return f"{cpu_line(result)}, Python {machine['python']}, {machine['date']}."


def cpu_line(result: Result) -> str:
    """Processor and its cores."""
    machine = result["machine"]
    isa = f" with {', '.join(machine['isa'][-2:])}" if machine.get("isa") else ""
    return f"{machine['cpu']}{isa}, {machine['cores']} cores"


def unknown_line(results: Iterable[Result]) -> str:
    """Sentence about results that don't tell their machine's instruction sets; empty where all do."""
    machines = (result["machine"] for result in results)
    unknown = sorted({machine["cpu"] for machine in machines if not machine.get("isa")})
    return f"Instruction sets of {' and '.join(unknown)} were not recorded." if unknown else ""


def named(figures: Iterable[Result], name: str) -> Result:
    """The figure of a name."""
    return next(figure for figure in figures if figure["name"] == name)


def bundle_line(result: Result) -> str:
    """The bundle that was measured; results without a name are older than the default model."""
    return f"{result.get('bundle', 'drawn')} bundle"


def interval(bounds: Sequence[float]) -> str:
    """Both ends of an interval."""
    return f"{bounds[0]:.3f} to {bounds[1]:.3f}"


def figures(head: str, found: Iterable[Result], result: Result) -> str:
    """Numbers beside their limits, see ``figure.Figure``."""
    rows = ([f["name"], f"{f['value']:.2f} {f['unit']}", limit(f["limit"], f["value"])] for f in found)
    return measured([head, "measured", "limit"], rows, result)


def limit(limit: str, value: float) -> str:
    """A limit such as ``>= 0.8``, and whether the value misses it."""
    return limit if holds(limit, value) else f"{limit}, **missed**"
