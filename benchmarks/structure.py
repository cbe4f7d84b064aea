"""Rooms and arrows of the packages, and lines of source: the numbers of the structure.

    python benchmarks/structure.py

A room is an entry at a package's top level, ``__init__`` left out. An arrow is a pair of rooms of which one
imports the other. A circle is a group of modules that import one another.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import click
import grimp
import networkx
from machine import save

ROOT: Final = Path(__file__).resolve().parents[1]
LIMITS: Final = {"emorec_rt": 14, "emorec_train": 10}
FOLDERS: Final = ("runtime", "train", "export", "calibration", "jetson")
CORE: Final = (
    "engines/batching.py",
    "windows/frames.py",
    "windows/builder.py",
    "recognizer/clip.py",
    "recognizer/person.py",
    "recognizer/run.py",
    "recognizer/recognizer.py",
)
"""The way of a frame through the runtime."""


@click.command()
@click.option("--save", "keep", is_flag=True, help="Write benchmarks/results/structure.json.")
def main(keep: bool) -> None:
    """Print rooms, arrows, circles and lines, the limit beside them."""
    found = {package: measure(package) for package in LIMITS}
    for package, numbers in found.items():
        told = ", ".join(f"{value} {name}" for name, value in numbers.items())
        click.echo(f"{package}: {told} (at most {LIMITS[package]} rooms, no circle)")
    lines = {folder: source_lines(folder) for folder in FOLDERS}
    click.echo("lines of source: " + ", ".join(f"{folder} {count}" for folder, count in lines.items()))
    nested = nested_functions()
    click.echo(f"nested functions in the {len(CORE)} files that a frame passes: {nested} (none)")
    if keep:
        save("structure", {"packages": found, "lines": lines, "nested_functions": nested})


def measure(package: str) -> dict[str, int]:
    """Count rooms, arrows and circles of a package."""
    graph = grimp.build_graph(package, cache_dir=None)
    modules = networkx.DiGraph(
        (importer, imported)
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    )
    arrows = {
        (one, other)
        for importer, imported in modules.edges
        if (one := room(importer)) != (other := room(imported)) and one and other
    }
    rooms = {name for module in graph.modules if (name := room(module))}
    circles = [group for group in networkx.strongly_connected_components(modules) if len(group) > 1]
    return {"rooms": len(rooms), "arrows": len(arrows), "circles": len(circles)}


def room(module: str) -> str:
    """Entry of the package's top level that a module lies in; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


def source_lines(folder: str) -> int:
    """Lines of Python below a folder."""
    return sum(path.read_text(encoding="utf-8").count("\n") for path in (ROOT / folder).rglob("*.py"))


def nested_functions() -> int:
    """Functions inside functions in the files that a frame passes."""
    count = 0
    for name in CORE:
        tree = ast.parse((ROOT / "runtime/emorec_rt" / name).read_text(encoding="utf-8"))
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        for node in ast.walk(tree):
            if isinstance(node, kinds):
                count += sum(isinstance(inner, kinds) and inner is not node for inner in ast.walk(node))
    return count


if __name__ == "__main__":
    main()
