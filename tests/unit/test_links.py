"""What the documentation points to is there: files, headings, and the functions that it names."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PAGES = sorted([PROJECT / "README.md", *(PROJECT / "docs").rglob("*.md")])
_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")
_NAMED = re.compile(r"\[`([\w.]+)`\]\(([^)#\s]+\.py)\)")


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files of the project that the page links to, with the heading where one is named."""
    for target in (markdown or html for markdown, html in _LINK.findall(page.read_text())):
        if not target.startswith(("http://", "https://")):
            file, _, heading = target.partition("#")
            yield (page.parent / file if file else page), heading


def anchors(page: Path) -> set[str]:
    """Return the names that GitHub gives the page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def defined(tree: ast.AST, prefix: str = "") -> Iterator[str]:
    """Yield the names of the functions and classes below, and of methods with their class."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield prefix + node.name
            yield from defined(node, f"{prefix}{node.name}.")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for file, heading in links(page):
        assert file.exists(), file
        assert not heading or heading in anchors(file), f"{file}#{heading}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_function_that_a_link_names_is_in_its_file(page: Path) -> None:
    for name, file in _NAMED.findall(page.read_text()):
        assert name in set(defined(ast.parse((page.parent / file).read_text()))), f"{name} in {file}"


def test_the_tour_names_functions() -> None:
    named = _NAMED.findall((PROJECT / "docs" / "tour.md").read_text())
    assert len(named) > 20


@pytest.mark.parametrize("page", ["README.md", "docs/tour.md", "docs/your-own-service.md"])
def test_what_newcomers_read_fits_a_terminal(page: str) -> None:
    lines = (PROJECT / page).read_text().splitlines()
    # Rows of tables and commands can't be broken.
    assert [line for line in lines if len(line) > 125 and not line.startswith(("|", "    ", "curl", "<"))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_no_page_holds_what_a_merge_left_undecided(page: Path) -> None:
    assert not re.search(r"^(<{7}|={7}|>{7})", page.read_text(), re.MULTILINE)
