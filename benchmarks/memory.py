"""Growth: whether rate and memory stay the same while a gigabyte streams in."""

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from benchmarks.commands import client_command, run
from benchmarks.report import table
from benchmarks.results import Part, Values
from benchmarks.rows import folder_of, users_ndjson
from benchmarks.servers import fresh_folder, high_water_mib, service, three_services
from benchmarks.settings import Settings

STEPS = 12


def measure(settings: Settings, part: Part) -> None:
    """Stream the file into the service, then send it by the client; once, since it is compared with itself."""
    rows = settings.big_rows
    data = folder_of("users", "ndjson", users_ndjson(rows), rows)
    part.turns.append(
        {"stream": _stream(data / "users.ndjson", rows // STEPS, part), "client": _client(data, rows, part)}
    )


def _stream(file: Path, step: int, part: Part) -> Values:
    """Send the file as one body; note when each twelfth of it had been taken."""
    times: list[float] = []

    def body() -> Iterator[bytes]:
        with file.open("rb") as lines:
            for _ in range(STEPS):
                times.append(time.perf_counter())
                for sent in range(0, step, 10_000):
                    yield b"".join(islice(lines, min(10_000, step - sent)))
                print(f"  {step / (time.perf_counter() - times[-1]):,.0f} rows/s streamed", flush=True)

    with fresh_folder() as folder, service("users", folder) as users:
        values = {
            "step": float(step),
            "mib": file.stat().st_size / 2**20,
            "idle_mib": high_water_mib(users.process.pid),
        }
        users.load("users", body())
        times.append(time.perf_counter())
        part.expect(users.count("users") == step * STEPS, "the service does not hold what was streamed in")
        values["peak_mib"] = high_water_mib(users.process.pid)
    return values | {f"rate_{n}": step / (times[n + 1] - times[n]) for n in range(STEPS)}


def _client(data: Path, rows: int, part: Part) -> Values:
    with fresh_folder() as folder, three_services(folder) as servers:
        idle, users = run(client_command(servers))["peak_mib"], servers["users"]
        values = {"idle_mib": idle, "users_idle_mib": high_water_mib(users.process.pid)}
    with fresh_folder() as folder, three_services(folder) as servers:
        found, users = run(client_command(servers, data)), servers["users"]
        part.expect(not found["status"] and users.count("users") == rows, "the client did not store the whole file")
        values["users_peak_mib"] = high_water_mib(users.process.pid)
    return values | found | {"rate": rows / found["seconds"]}


def blocks(part: Part) -> dict[str, str]:
    """Return the tables by name."""
    stream, client = part.turns[-1]["stream"], part.turns[-1]["client"]
    rates = [stream[f"rate_{n}"] for n in range(STEPS)]
    steps = [
        [f"{(n + 1) * stream['step']:,.0f}", f"{rate:,.0f}", f"{rate / rates[0]:.2f}"] for n, rate in enumerate(rates)
    ]
    memory = [
        ["users service, streamed into", *_growth(stream["idle_mib"], stream["peak_mib"])],
        ["users service, behind the client", *_growth(client["users_idle_mib"], client["users_peak_mib"])],
        ["client", *_growth(client["idle_mib"], client["peak_mib"])],
    ]
    return {
        "memory-rate": table(["rows stored", "rows/s in this part", "ratio to the first"], steps)
        + f"\n\nBy the client: {client['rate']:,.0f} rows/s over all.",
        "memory-peak": table(["memory", "before, or thirty records", f"{stream['mib']:,.0f} MiB", "growth"], memory),
    }


def _growth(idle: float, peak: float) -> list[str]:
    return [f"{idle:.0f} MiB", f"{peak:.0f} MiB", f"{peak - idle:.0f} MiB"]
