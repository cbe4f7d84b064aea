"""The messages that docs/troubleshooting.md quotes are messages of the programs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from pages import ROOT, blocks

FOLDERS = ("runtime", "train", "export", "calibration", "jetson")
LEAST_LETTERS = 7
"""A pattern of fewer letters would fit anything."""

QUOTED = [
    line for block in blocks(ROOT / "docs" / "troubleshooting.md", "text") for line in block.text.splitlines()
]
_PREFIX = re.compile(r"^(?:(?:error|warning|note): )?")


@cache
def sources() -> str:
    """Patterns of every string in the programs, one a line, placeholders open."""
    return "\n".join(dict.fromkeys(pattern for path in _files() for pattern in _patterns(path)))


def _files() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from (ROOT / folder).rglob("*.py")


def _patterns(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        text = "".join(
            part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "\0"
            for part in parts
        )
        if "\n" not in text and len(re.findall(r"[A-Za-z]", text)) >= LEAST_LETTERS:
            yield re.escape(text).replace("\0", ".+?").replace("\\\0", ".+?")


def _known(line: str) -> bool:
    """Whether some string of the programs is the line, past the file that it is about and up to an advice."""
    message = _PREFIX.sub("", line)
    starts = [0, *(match.end() for match in re.finditer(r"(?<=\S): ", message))]
    return any(
        re.fullmatch(rf"(?:{pattern})(?:[;:] .+)?", message[start:])
        for start in starts
        for pattern in sources().splitlines()
        if _shares_a_word(pattern, message)
    )


def _shares_a_word(pattern: str, message: str) -> bool:
    words = re.findall(r"[a-z]{3,}", pattern)
    return not words or all(word in message for word in words[:2])


@pytest.mark.parametrize("line", QUOTED)
def test_a_quoted_message_is_one_of_ours(line: str) -> None:
    assert _known(line), "no program prints this; copy the message anew into docs/troubleshooting.md"


def test_a_message_that_nobody_prints_is_found() -> None:
    assert not _known("error: talk.mp4: the file is too sad")
    assert len(QUOTED) > 30
