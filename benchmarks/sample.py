"""Thirty records: how long the client's command takes with the services up."""

from benchmarks.commands import client_command, run
from benchmarks.report import table
from benchmarks.results import Part
from benchmarks.servers import fresh_folder, three_services
from benchmarks.settings import Settings


def measure(settings: Settings, part: Part) -> None:
    """Run the command on empty databases, twice a turn."""
    for _ in range(2 * settings.turns):
        with fresh_folder() as folder, three_services(folder) as servers:
            found = run(client_command(servers))
        part.turns.append({"client": found})
        part.expect(not found["status"], "the client's exit status is not 0")
        print(f"  {found['seconds']:.3f} s", flush=True)


def blocks(part: Part) -> dict[str, str]:
    """Return the table by its name."""
    times = part.all("client", "seconds")
    figures = [part.median("client", "seconds"), min(times), max(times), part.median("client", "cpu_s")]
    heads = ["", "median", "least", "most", "CPU"]
    return {"sample-time": table(heads, [["`python client/run.py`", *(f"{figure:.3f} s" for figure in figures)]])}
