"""Every link between pages leads somewhere, and every page can be reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from pages import PAGES, ROOT, anchors, links, name_of

INDEX = ROOT / "docs" / "README.md"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        if target.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{name_of(page)}: {target} is not there"
        if anchor:
            assert linked.suffix == ".md", f"{name_of(page)}: {target}"
            assert anchor in anchors(linked), f"{name_of(page)}: {name_of(linked)} has no heading {anchor}"


def test_the_index_names_every_page() -> None:
    listed = {(INDEX.parent / target.split("#")[0]).resolve() for target in links(INDEX)}
    for page in (ROOT / "docs").glob("*.md"):
        assert page == INDEX or page in listed, f"add a line about {name_of(page)} to docs/README.md"
    assert "docs/README.md" in links(ROOT / "README.md")
