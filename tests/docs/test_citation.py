"""CITATION.cff is a citation file of format 1.2.0, and says what pyproject.toml says."""

from __future__ import annotations

import re

import pytest
import yaml

from pages import ROOT

TYPES_OF_REFERENCES = {"article", "conference-paper", "generic", "software"}


@pytest.fixture(scope="module")
def citation() -> dict[str, object]:
    content = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def test_what_the_format_requires(citation: dict[str, object]) -> None:
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    for field in ("message", "title", "authors"):
        assert citation[field]
    for author in citation["authors"]:  # type: ignore[attr-defined]
        assert author.keys() & {"name", "family-names"}


def test_references(citation: dict[str, object]) -> None:
    (paper,) = citation["references"]  # type: ignore[misc]
    assert paper["type"] in TYPES_OF_REFERENCES
    assert paper["title"]
    assert paper["authors"]
    assert paper["identifiers"][0]["type"] in {"doi", "url", "swh", "other"}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert " ".join(paper["title"].split()) in " ".join(readme.split())
    assert paper["url"] in readme


def test_it_says_what_the_package_says(citation: dict[str, object]) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for field in ("version", "license"):
        match = re.search(rf'^{field} = "(.+)"$', project, re.M)
        assert match is not None
        assert citation[field] == match[1]


def test_the_changelog_has_the_version(citation: dict[str, object]) -> None:
    assert str(citation["version"]) in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
