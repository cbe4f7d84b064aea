"""Write the measured numbers into README.md and docs/*.md from ``benchmarks/results/*.json``.

python benchmarks/readme.py            # rewrite the tables
python benchmarks/readme.py --check    # fail if they differ from the committed measurements

A page marks the place of a table with ``<!-- table:NAME -->`` and ``<!-- end -->``, each on a line of its
own; ``tables.py`` has the names.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

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
    paths = {one: _path(one) for one in ((source,) if isinstance(source, str) else source)}
    if not all(path.is_file() for path in paths.values()):
        return NOT_MEASURED
    results = {one: json.loads(path.read_text(encoding="utf-8")) for one, path in paths.items()}
    return table(results[source] if isinstance(source, str) else results)


def _path(source: str) -> Path:
    return ROOT / source if source.endswith(".json") else RESULTS / f"{source}.json"


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
