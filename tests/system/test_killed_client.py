"""A client that is killed on the way: run again, it brings what is missing, and nothing twice."""

import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.processes import PROJECT, all_running, eventually
from tests.proxy import Proxy, sometimes
from tests.rounds import rounds
from tests.system.test_lies import check_batches, check_sample, lied_about, sent, write_batches


def killed_after(requests: int, proxies: Mapping[str, Proxy], *options: str) -> None:
    """Run the client, and kill it once it has sent so many requests that store something."""
    urls = [part for name, proxy in proxies.items() for part in (f"--{name}-url", proxy.url)]
    command = [sys.executable, str(PROJECT / "client" / "run.py"), *urls, *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as client:
        eventually(lambda: sum(_stores(proxy) for proxy in proxies.values()) >= requests)
        client.kill()
    assert client.returncode == -9


def _stores(proxy: Proxy) -> int:
    return sum(line.startswith("POST") and "/lookup" not in line for line in proxy.requests)


@pytest.mark.parametrize("seed", range(rounds(few=1, many=20)))
def test_killed_with_the_sample_on_its_way_it_completes_it_when_run_again(tmp_path: Path, seed: int) -> None:
    # Some answers are held back, so that it does not come to its end before.
    held = sometimes(seed, 0.3, ["held"])
    with all_running(tmp_path) as services:
        with lied_about(services, lambda line: held(line) if line.startswith("POST") else None) as proxies:
            killed_after(random.Random(seed).randint(1, 30), proxies)
        with lied_about(services, lambda _: None) as proxies:
            check_sample(services, *sent(proxies))


@pytest.mark.parametrize("seed", range(rounds(few=1, many=20)))
def test_killed_with_batches_on_their_way_it_completes_them_when_run_again(tmp_path: Path, seed: int) -> None:
    data = tmp_path / "data"
    write_batches(data)
    held = sometimes(seed, 0.2, ["held"])
    with all_running(tmp_path) as services:
        with lied_about(services, lambda line: held(line) if line.startswith("POST") else None) as proxies:
            killed_after(random.Random(seed).randint(1, 40), proxies, "--data", str(data), "--batch", "50")
        with lied_about(services, lambda _: None) as proxies:
            check_batches(services, *sent(proxies, "--data", str(data), "--batch", "50"))
