"""Write the measured numbers into README.md and docs/*.md from ``benchmarks/results/*.json``.

python benchmarks/readme.py            # rewrite the tables
python benchmarks/readme.py --check    # fail if they differ from the committed measurements

A page marks the place of a table with ``<!-- table:NAME -->`` and ``<!-- end -->``, each on a line of its
own; ``tables`` has the names. Where several machines have measured, each has a table of its own, the newest
first; a table of several measurements takes the newest of each.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
from machine import RESULTS
from tables import NOT_MEASURED, TABLES

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"(?<=<!-- table:)(?P<name>\w+)(?P<open> -->\n)(?P<body>.*?)(?=<!-- end -->)", re.DOTALL)


def filled(text: str) -> str:
    """The page with every table made anew.

    Raises:
        click.ClickException: It has a table of an unknown name.
    """
    return BLOCK.sub(lambda match: f"{match['name']}{match['open']}{body(match['name'])}\n", text)


def body(name: str) -> str:
    """A table in Markdown, or a line that says that there is no measurement.

    Raises:
        click.ClickException: No table has this name.
    """
    if name not in TABLES:
        raise click.ClickException(f"there is no table {name}; there are {', '.join(TABLES)}")
    source, table = TABLES[name]
    if isinstance(source, str):
        return "\n\n".join(map(table, measured(source))) or NOT_MEASURED
    newest = {one: found[0] for one in source if (found := measured(one))}
    return table(newest) if len(newest) == len(source) else NOT_MEASURED


def measured(source: str) -> list[dict[str, Any]]:
    """Results of a measurement on every machine that has made it, the newest first.

    Args:
        source: Name of the measurement, or a JSON file of the repository.
    """
    paths = [ROOT / source] if source.endswith(".json") else sorted(RESULTS.glob(f"{source}.*json"))
    results = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]
    return sorted(results, key=lambda result: str(result.get("machine", {}).get("date", "")), reverse=True)


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--check", is_flag=True, help="Only compare.")
def main(check: bool) -> None:
    """Rewrite or compare."""
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    stale = [page for page, text in texts.items() if filled(text) != text]
    if check and stale:
        names = ", ".join(page.relative_to(ROOT).as_posix() for page in stale)
        raise click.ClickException(f"{names} differ from benchmarks/results: run python benchmarks/readme.py")
    for page in stale:
        page.write_text(filled(texts[page]), encoding="utf-8")


if __name__ == "__main__":
    main()
