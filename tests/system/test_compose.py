"""`docker compose up` for real: the image, what the client prints in it, what outlives it, and what it may not do."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes import PROJECT

# The first test waits for the image, whose packages may have to be downloaded.
pytestmark = pytest.mark.timeout(900)

_SERVICES = {"users": 8001, "products": 8002, "orders": 8003}
_ROW = re.compile(
    r"^(users|products|orders) +(\d+) +(created|unchanged|rejected|undelivered)(?: +(.+))?$", re.MULTILINE
)
_REJECTED = {
    ("users", 10): {"name is empty"},
    ("products", 10): {"price is not greater than 0"},
    ("orders", 8): {"quantity is not at least 1"},
    ("orders", 9): {"quantity is not at least 1"},
    ("orders", 10): {"user 10 does not exist", "product 11 does not exist"},
}

# Service and id of a record to its outcome and the reasons for it.
Table = dict[tuple[str, int], tuple[str, set[str]]]


@dataclass(frozen=True)
class ClientRun:
    """How a run of the client ended, and what it printed."""

    status: int
    table: Table


@dataclass(frozen=True)
class Project:
    """One Compose project of its own: its containers, networks and volumes are no one else's."""

    name: str

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `docker compose`; its published ports are free ones."""
        return _docker("compose", "-f", str(PROJECT / "docker-compose.yml"), "-p", self.name, *arguments, check=check)

    def up(self, *options: str) -> ClientRun:
        """Bring everything up, and wait for the client's end."""
        self.compose("up", "--detach", *options)
        client = self.container("client")
        status = int(_docker("wait", client).stdout)
        # The container's log holds its earlier runs as well.
        started = _inspect(client)["State"]["StartedAt"]
        return ClientRun(status, _table(_docker("logs", "--since", started, client).stdout))

    def serve(self) -> None:
        """Have the three services up and healthy; nothing happens where they are."""
        self.compose("up", "--detach", "--wait", *_SERVICES)

    def container(self, service: str) -> str:
        """Return the id of the service's container."""
        return self.compose("ps", "--all", "--quiet", service).stdout.strip()

    def url(self, service: str) -> str:
        """Return where the service is published on this machine."""
        return "http://" + self.compose("port", service, str(_SERVICES[service])).stdout.strip()


def _docker(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    free_ports = {f"{service.upper()}_PORT": "0" for service in _SERVICES}
    done = subprocess.run(
        ["docker", *arguments],
        env={**os.environ, **free_ports},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def _inspect(container: str) -> dict[str, Any]:
    (found,) = json.loads(_docker("inspect", container).stdout)
    return dict(found)


def _table(printed: str) -> Table:
    return {
        (service, int(record_id)): (outcome, set(why.split("; ")) if why else set())
        for service, record_id, outcome, why in _ROW.findall(printed)
    }


def _expected(accepted: str) -> Table:
    ids = [(service, number) for service in _SERVICES for number in range(1, 11)]
    return {key: ("rejected", _REJECTED[key]) if key in _REJECTED else (accepted, set()) for key in ids}


def _say_why_not() -> str:
    """Return why Compose can't be used here; nothing where it can."""
    for command in (["docker", "version"], ["docker", "compose", "version"]):
        try:
            subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        except FileNotFoundError:
            return "there is no docker command"
        except subprocess.TimeoutExpired:
            return f"{' '.join(command)} does not answer"
        except subprocess.CalledProcessError as error:
            return f"{' '.join(command)}: {error.stderr.strip()}"
    return ""


@pytest.fixture(scope="module")
def started() -> Iterator[tuple[Project, ClientRun]]:
    """Yield a project that was brought up from nothing, and the client's run in it."""
    if reason := _say_why_not():
        pytest.skip(f"Docker Compose can't be used: {reason}")
    project = Project(f"parallel-insert-test-{os.getpid()}")
    try:
        yield project, project.up("--build")
    finally:
        # Shown where something failed.
        print(project.compose("logs", check=False).stdout)
        project.compose("down", "--volumes")


@pytest.fixture
def first_run(started: tuple[Project, ClientRun]) -> ClientRun:
    return started[1]


@pytest.fixture
def project(started: tuple[Project, ClientRun]) -> Project:
    """Return the project with its services up, whatever an earlier test did to them."""
    started[0].serve()
    return started[0]


def test_up_sends_the_sample_records_and_names_every_outcome(first_run: ClientRun) -> None:
    assert first_run == ClientRun(0, _expected("created"))


def test_a_second_up_finds_every_record_unchanged(project: Project) -> None:
    assert project.up() == ClientRun(0, _expected("unchanged"))


def test_records_outlive_down(project: Project) -> None:
    project.compose("down")
    assert project.up() == ClientRun(0, _expected("unchanged"))


def test_the_services_stay_up_when_the_client_has_ended(project: Project) -> None:
    project.up()
    states = {service: _inspect(project.container(service))["State"] for service in _SERVICES}
    assert {service: state["Health"]["Status"] for service, state in states.items()} == dict.fromkeys(
        _SERVICES, "healthy"
    )


def test_records_can_be_posted_from_this_machine(project: Project) -> None:
    # An id given by the service could be one that the sample data leave free on purpose.
    record_id = time.time_ns()
    records = {
        "users": {"id": record_id, "name": "Ada Lovelace", "email": "ada@example.com"},
        "products": {"id": record_id, "name": "Laptop", "price": 1000.00},
        "orders": {"id": record_id, "user_id": 1, "product_id": 1, "quantity": 2},
    }
    answers = {
        name: httpx.post(f"{project.url(name)}/{name}", json=record, trust_env=False)
        for name, record in records.items()
    }
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(_SERVICES, 201)


def test_no_other_machine_reaches_the_services(project: Project) -> None:
    for service, port in _SERVICES.items():
        ports = _inspect(project.container(service))["NetworkSettings"]["Ports"]
        assert [published["HostIp"] for published in ports.pop(f"{port}/tcp")] == ["127.0.0.1"]
        assert not ports


def test_the_client_takes_options(project: Project) -> None:
    assert project.compose("run", "--rm", "client", "--help").stdout.startswith("usage:")


def test_the_client_sends_a_folder_of_ones_own(project: Project, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o755)
    record_id = time.time_ns()
    (mine / "users.csv").write_text(f"id,name,email\n{record_id},Ada Lovelace,ada@example.com\n")
    (mine / "users.csv").chmod(0o644)
    done = project.compose("run", "--rm", "--volume", f"{mine}:/mine:ro", "client", "--data", "/mine")
    assert _table(done.stdout) == {("users", record_id): ("created", set())}


@pytest.mark.parametrize("service", [*_SERVICES, "client"])
def test_a_container_is_held_to_what_it_needs(project: Project, service: str) -> None:
    project.compose("up", "--no-start")
    container = _inspect(project.container(service))
    limits = container["HostConfig"]
    assert container["Config"]["User"] == "10001:10001"
    assert limits["ReadonlyRootfs"]
    assert limits["CapDrop"] == ["ALL"]
    assert not limits["CapAdd"]
    assert not limits["Privileged"]
    assert limits["SecurityOpt"] == ["no-new-privileges:true"]
    assert 0 < limits["Memory"] <= 2**30
    assert 0 < limits["PidsLimit"] <= 1024


def test_a_running_service_has_no_rights(project: Project) -> None:
    status = project.compose("exec", "-T", "users", "cat", "/proc/1/status").stdout
    said = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert said["Uid"].split() == ["10001"] * 4
    assert (int(said["CapEff"], 16), int(said["CapBnd"], 16), said["NoNewPrivs"]) == (0, 0, "1")


def test_a_running_service_writes_to_its_data_alone(project: Project) -> None:
    def can_write(folder: str) -> bool:
        probe = f"import tempfile; tempfile.TemporaryFile(dir={folder!r})"
        return project.compose("exec", "-T", "users", "python", "-c", probe, check=False).returncode == 0

    assert {folder: can_write(folder) for folder in ("/data", "/tmp", "/app", "/venv", "/var/tmp")} == {
        "/data": True,
        "/tmp": False,
        "/app": False,
        "/venv": False,
        "/var/tmp": False,
    }


def test_the_image_holds_the_code_and_nothing_else(project: Project) -> None:
    listed = project.compose("exec", "-T", "users", "ls", "-A", "/app").stdout.split()
    assert listed == ["client", "services"]


def test_stop_is_quick_and_clean(project: Project) -> None:
    began_s = time.monotonic()
    project.compose("stop", *_SERVICES)
    # Docker kills after ten seconds, and then the status is 137.
    assert time.monotonic() - began_s < 10
    states = {service: _inspect(project.container(service))["State"] for service in _SERVICES}
    assert {service: state["ExitCode"] for service, state in states.items()} == dict.fromkeys(_SERVICES, 0)
