"""The project's Markdown pages, taken apart: fenced blocks, headings, links, tables.

A block of commands that this machine can't run carries a mark on the line before it, for the reader too:
``<!-- needs: gpu -->``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = tuple(sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]))

PAGE_NEEDS: Final = {"docs/jetson.md": "jetson"}
"""Pages whose every command needs the same thing; the page says so at its top."""

_FENCE: Final = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.M | re.S)
_MARK: Final = re.compile(r"<!-- needs: (?P<what>[a-z][a-z ,-]*) -->\s*\Z")
_HEADING: Final = re.compile(r"^(#+) (.+)$", re.M)
_LINK: Final = re.compile(r"(?<!!)\[[^\]]+\]\((?P<target>[^)\s]+)\)")
_COMMENT: Final = re.compile(r"<!--.*?-->", re.S)


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, its first line's number, its language, what it needs (empty: nothing)."""

    page: str
    line: int
    language: str
    text: str
    needs: str

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.page}:{self.line}"


def name_of(page: Path) -> str:
    """The page's path as the repository has it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[Block]:
    """Fenced blocks in these languages."""
    text, name = page.read_text(encoding="utf-8"), name_of(page)
    found = []
    for match in _FENCE.finditer(text):
        if match["language"] in languages:
            mark = _MARK.search(text[: match.start()])
            needs = mark["what"] if mark else PAGE_NEEDS.get(name, "")
            line = text.count("\n", 0, match.start()) + 2
            found.append(Block(name, line, match["language"], match["text"], needs))
    return found


def all_blocks(*languages: str) -> list[Block]:
    """Of all pages."""
    return [block for page in PAGES for block in blocks(page, *languages)]


def prose(page: Path) -> str:
    """The page without its blocks and comments."""
    return _COMMENT.sub("", _FENCE.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """What a link may name after ``#``: headings as GitHub writes them."""
    return {_slug(heading) for _, heading in _HEADING.findall(prose(page))}


def links(page: Path) -> list[str]:
    """Targets of the page's links."""
    return [match["target"] for match in _LINK.finditer(prose(page))]


def section(page: Path, heading: str) -> str:
    """The text below a heading, up to the next one of its level or above.

    Raises:
        LookupError: There is no such heading.
    """
    text = page.read_text(encoding="utf-8")
    for match in _HEADING.finditer(text):
        if match[2].strip("`") == heading:
            rest = text[match.end() :]
            end = re.search(rf"^#{{1,{len(match[1])}}} ", rest, re.M)
            return rest[: end.start()] if end else rest
    raise LookupError(f"{name_of(page)} has no heading {heading!r}")


def rows(markdown: str) -> list[list[str]]:
    """Cells of the first table, without its head."""
    lines = [line.strip() for line in markdown.splitlines()]
    start = next((index for index, line in enumerate(lines) if line.startswith("|")), len(lines))
    table = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return table[2:]


def _slug(heading: str) -> str:
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
