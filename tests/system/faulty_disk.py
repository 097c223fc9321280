"""A disk below a real service that fills up, fails or loses power when a test says so; see faulty_disk.c."""

import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# What a disk writes whole or not at all.
_SECTOR = 512


@dataclass(frozen=True)
class FaultyDisk:
    """The folder of a database, and the folder whose files say what is wrong with it."""

    folder: Path
    control: Path
    library: Path

    @property
    def settings(self) -> dict[str, str]:
        """The environment of a service that is to have this disk."""
        return {
            "LD_PRELOAD": str(self.library),
            "FAULTY_DISK_FOLDER": str(self.folder),
            "FAULTY_DISK_CONTROL": str(self.control),
        }

    @contextmanager
    def failing(self, how: Literal["full", "write-fails", "sync-fails"], names_end: str = "") -> Iterator[None]:
        """Fail so until left, for the files whose names end so."""
        self._say(how, names_end)
        try:
            yield
        finally:
            (self.control / how).unlink()

    def set_clock(self, *, seconds: int) -> None:
        """Make the service's clock wrong by so much."""
        self._say("clock", str(seconds))

    def _say(self, what: str, text: str) -> None:
        # In one step, so that nobody reads half of it.
        (self.control / "part").write_text(text)
        (self.control / "part").rename(self.control / what)

    def turn_on(self) -> None:
        """Take what the folder holds now for written, and watch what is synced from here on."""
        shutil.rmtree(self.control / "synced", ignore_errors=True)
        shutil.copytree(self.folder, self.control / "synced")
        (self.control / "synced.names").write_text("".join(f"{path.name}\n" for path in self.folder.iterdir()))

    def names_kept(self) -> list[str]:
        """Return the names of what a power cut would leave in the folder."""
        return (self.control / "synced.names").read_text().splitlines()

    def cut_power(self, *, torn: bool) -> None:
        """Leave what a power cut leaves: what was synced, and torn: of the rest each sector or not."""
        written = {path.name: path.read_bytes() for path in self.folder.iterdir()}
        for name in written:
            (self.folder / name).unlink()
        for name in self.names_kept():
            kept = self.control / "synced" / name
            certain = kept.read_bytes() if kept.exists() else b""
            # What was deleted is back as it was: nobody has written to it since.
            left = _mixed(certain, written[name]) if torn and name in written else certain
            (self.folder / name).write_bytes(left)


def _mixed(certain: bytes, written: bytes) -> bytes:
    """Return a file of which some sectors that were written, but not synced, have reached the disk."""
    length = random.choice((len(certain), len(written)))
    sources = (certain.ljust(length, b"\0"), written.ljust(length, b"\0"))
    return b"".join(random.choice(sources)[at : at + _SECTOR] for at in range(0, length, _SECTOR))[:length]


def compiled(folder: Path) -> Path:
    """Compile what stands between a service and its disk."""
    library = folder / "faulty_disk.so"
    source = Path(__file__).with_suffix(".c")
    command = ["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o"]
    subprocess.run([*command, str(library), str(source), "-ldl"], check=True)
    return library
