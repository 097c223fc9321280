"""The command: python -m benchmarks [PART ...]; all parts without one; `document` only writes the document again."""

import signal
import subprocess
import sys
from collections.abc import Sequence

from benchmarks import bulk, machine, memory, orders, postgres, report, sample, single
from benchmarks.results import Part, keep, kept
from benchmarks.settings import WORK, Settings

PARTS = {"single": single, "orders": orders, "bulk": bulk, "memory": memory, "sample": sample, "postgres": postgres}


def main(names: Sequence[str]) -> int:
    """Measure the parts of these names and write the document; return 1 where something was not as it must be."""
    if unknown := set(names) - {*PARTS, "document"}:
        print(f"No such part: {', '.join(unknown)}. There are: {', '.join(PARTS)}, and document.")
        return 2
    # Servers are stopped on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    WORK.mkdir(exist_ok=True)
    described, settings = machine.describe(), Settings.from_environment()
    wanted = [name for name in PARTS if name in names or not names]
    good = [_measured(name, settings, described["CPU"]) for name in wanted]
    for name, measures in PARTS.items():
        if part := kept(name):
            for block, text in {**measures.blocks(part), name: report.footer(part)}.items():
                report.fill(block, text)
    if wanted:
        report.fill("machine", report.table(["", ""], list(described.items())))
    return 0 if all(good) else 1


def _measured(name: str, settings: Settings, cpu: str) -> bool:
    print(f"{name}:", flush=True)
    part = Part(settings.command(name), cpu)
    try:
        PARTS[name].measure(settings, part)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        print(f"  {error}")
        part.expect(False, "broken off")
    if part.turns:
        keep(name, part)
    return not part.failures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
