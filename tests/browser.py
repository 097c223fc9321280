"""The browser of tests and pictures: this machine's Chromium, since none is downloaded."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

NONE_FOUND = "no Chromium is on the PATH (on Debian: apt-get install chromium)"
# The browser's own calls to its maker are off, and no name and no other address leads anywhere.
_ALONE = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]


@contextmanager
def launched() -> Iterator[Browser | None]:
    """Yield a browser, or nothing where there is none to launch."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        yield None
        return
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=chromium, args=_ALONE) as browser:
        yield browser
