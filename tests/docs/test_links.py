"""Links between the pages lead somewhere, every page is in the site's contents, options in them exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

REPO = Path(__file__).resolve().parents[2]
PAGES = sorted([*(REPO / "docs").glob("*.md"), *REPO.glob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as renderers make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    heads = re.findall(r"^#+ (.+)$", text, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_in_the_contents_of_the_site() -> None:
    class Loader(yaml.SafeLoader):
        """Reads the tags of mkdocs's own extensions as their text."""

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda _, suffix, __: suffix)
    site = yaml.load((REPO / "mkdocs.yml").read_text(encoding="utf-8"), Loader)
    listed = set(re.findall(r"[\w-]+\.md", str(site["nav"])))
    assert listed == {page.name for page in (REPO / "docs").glob("*.md")}


def commands() -> list[str]:
    """Every ``sso-bench`` command of code blocks and tables in the pages."""
    found = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        found |= set(re.findall(r"sso-bench ([a-z][a-z-]*)(?= |`|$)", text, flags=re.M))
    return sorted(found)


@pytest.mark.parametrize("name", commands())
def test_commands_in_the_pages_exist(name: str) -> None:
    from harness.cli.main import COMMANDS

    assert name in COMMANDS
