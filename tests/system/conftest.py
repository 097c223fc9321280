"""What the tests of this folder share: a disk that fails on command, and a browser."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.system.faulty_disk import FaultyDisk, compiled

# The browser's own calls to its maker are off, and no name and no other address leads anywhere.
ALONE = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]
# How long anything may take to show; a cold browser on a busy machine is slow.
PATIENCE_MS = 30_000


@pytest.fixture(scope="session")
def faulty_disk_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile it, once."""
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("a disk that fails needs Linux and a C compiler (cc)")
    return compiled(tmp_path_factory.mktemp("faulty_disk"))


@pytest.fixture
def disk(faulty_disk_library: Path, tmp_path: Path) -> FaultyDisk:
    """Return an empty folder on a disk that is well so far."""
    for name in ("databases", "control"):
        (tmp_path / name).mkdir()
    return FaultyDisk(tmp_path / "databases", tmp_path / "control", faulty_disk_library)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a module's tests: this machine's, since none is downloaded."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no Chromium is on the PATH (on Debian: apt-get install chromium)")
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=chromium, args=ALONE) as launched:
        yield launched
