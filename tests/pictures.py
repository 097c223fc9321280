"""Makes the README's pictures, of a real run: make pictures."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from playwright.sync_api import Browser, FloatRect, ViewportSize

from tests.browser import NONE_FOUND, launched
from tests.processes import PROJECT
from tests.terminal import terminal
from tests.terminal_svg import svg_of

PICTURES = PROJECT / "docs" / "pictures"
# As wide as the summary of the sample, and no less high than its run is long.
_COLUMNS, _ROWS = 84, 50
# As wide as the README shows it, with more dots for fine screens.
_WIDTH, _DOTS = 760, 1.5
_MARGIN = 24
_SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def make(folder: Path) -> None:
    """Run the client on the sample, and write what its terminal showed and the report that it drew.

    Where there is no browser, say so and leave the report's picture as it is.
    """
    with TemporaryDirectory() as databases, terminal(_COLUMNS, _ROWS) as window:
        report = Path(databases) / "run.html"
        status, _ = window.run("--local", "--db-dir", databases, "--report", str(report))
        if status:
            sys.exit(f"The run failed:\n{window.written}")
        # Below the last line the cursor waits, in one that is empty.
        lines = window.cells()[:-1]
        (folder / "terminal.svg").write_text(
            svg_of(lines, "$ python client/run.py --local --report run.html"), encoding="utf-8"
        )
        with launched() as browser:
            if browser is None:
                print(f"The picture of the report was not made: {NONE_FOUND}.", file=sys.stderr)
                return
            for scheme in _SCHEMES:
                _shoot(browser, report, scheme, folder / f"report-{scheme}.png")


def _shoot(browser: Browser, report: Path, scheme: Literal["light", "dark"], picture: Path) -> None:
    """Write a picture of the report's top, down to the last service's requests."""
    size = ViewportSize(width=_WIDTH, height=800)
    with browser.new_context(viewport=size, color_scheme=scheme, device_scale_factor=_DOTS, offline=True) as context:
        page = context.new_page()
        page.goto(report.as_uri())
        lanes = page.locator("#lanes").bounding_box()
        assert lanes
        page.screenshot(
            path=picture,
            full_page=True,
            clip=FloatRect(x=0, y=0, width=_WIDTH, height=lanes["y"] + lanes["height"] + _MARGIN),
        )


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    make(PICTURES)
