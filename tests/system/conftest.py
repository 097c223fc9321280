"""What the tests of this folder share: a disk that fails on command, and a browser."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser import NONE_FOUND, launched
from tests.system.faulty_disk import FaultyDisk, compiled

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
    with launched() as browser:
        if browser is None:
            pytest.skip(NONE_FOUND)
        yield browser
