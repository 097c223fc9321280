"""What tests of faults share: a disk that fails on command."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.system.faulty_disk import FaultyDisk, compiled


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
