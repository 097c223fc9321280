"""What makes the README's pictures makes them of a run, with what became of every record in them."""

import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests import pictures
from tests.browser import NONE_FOUND

SVG = "{http://www.w3.org/2000/svg}"
MOST_BYTES = 300_000


def texts(picture: Path) -> list[str]:
    """Return the picture's texts, by line of the terminal."""
    lines: dict[str, list[str]] = {}
    for text in ET.parse(picture).iter(f"{SVG}text"):
        lines.setdefault(text.attrib["y"], []).append(text.text or "")
    return [" ".join(line) for line in lines.values()]


def test_the_pictures_show_a_run_with_all_thirty_outcomes(tmp_path: Path) -> None:
    pictures.make(tmp_path)
    lines = texts(tmp_path / "terminal.svg")
    outcomes = [line.split()[2] for line in lines if re.match(r"(users|products|orders) +\d+ (created|rejected)", line)]
    assert Counter(outcomes) == {"created": 25, "rejected": 5}
    assert "orders 10 rejected user 10 does not exist; product 11 does not exist" in lines
    shots = [tmp_path / "report-light.png", tmp_path / "report-dark.png"]
    if not any(map(Path.exists, shots)):
        pytest.skip(NONE_FOUND)
    for picture in shots:
        assert picture.read_bytes().startswith(b"\x89PNG\r\n")
        assert picture.stat().st_size < MOST_BYTES
    # Two of the same would be one in the wrong colours.
    assert shots[0].read_bytes() != shots[1].read_bytes()


def test_without_a_browser_it_says_so_and_makes_the_other_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    pictures.make(tmp_path)
    assert [picture.name for picture in tmp_path.iterdir()] == ["terminal.svg"]
    assert "no Chromium is on the PATH" in capsys.readouterr().err


def test_the_readme_s_pictures_are_there_and_small() -> None:
    kept = sorted(pictures.PICTURES.iterdir())
    assert [picture.name for picture in kept] == ["report-dark.png", "report-light.png", "terminal.svg"]
    assert all(0 < picture.stat().st_size < MOST_BYTES for picture in kept)
    assert len([line for line in texts(pictures.PICTURES / "terminal.svg") if " created" in line]) > 25
