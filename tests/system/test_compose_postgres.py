"""The overlay of Compose for PostgreSQL: what it asks for, what it publishes, and who reaches which database."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from tests.postgres import PASSWORD, PostgresDatabase, PostgresServer, postgres_running
from tests.processes import PROJECT, settings_for, spawn

SERVICES = ("users", "products", "orders")
PASSWORDS = {f"{name.upper()}_DB_PASSWORD": f"{name}-secret" for name in SERVICES} | {"POSTGRES_PASSWORD": "secret"}
RECORDS: dict[str, dict[str, Any]] = {
    "users": {"id": 1, "name": "Ada", "email": "ada@example.com"},
    "products": {"id": 1, "name": "Lamp", "price": 1},
}


def compose_config(passwords: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Have Compose put both files together; it needs no engine for that."""
    files = [part for name in ("docker-compose", "docker-compose.postgres") for part in ("-f", f"{name}.yml")]
    # No `.env` of whoever runs this.
    command = ["docker", "compose", "--env-file", os.devnull, *files, "config", "--format", "json"]
    environment = {name: value for name, value in os.environ.items() if name not in PASSWORDS}
    return subprocess.run(
        command, cwd=PROJECT, env=environment | passwords, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    if not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], check=False).returncode:
        pytest.skip("there is no Docker Compose")
    done = compose_config(PASSWORDS)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("missing", PASSWORDS)
@pytest.mark.usefixtures("config")
def test_no_password_has_a_default(missing: str) -> None:
    for value in ({}, {missing: ""}):
        done = compose_config({name: given for name, given in PASSWORDS.items() if name != missing} | value)
        assert done.returncode != 0
        assert missing in done.stderr


def test_the_balancer_alone_is_published_and_to_this_machine_alone(config: dict[str, Any]) -> None:
    ports = {name: service.get("ports", []) for name, service in config["services"].items()}
    assert {(port["host_ip"], port["target"]) for port in ports.pop("balancer")} == {
        ("127.0.0.1", 8001),
        ("127.0.0.1", 8002),
        ("127.0.0.1", 8003),
    }
    assert not any(ports.values())


def test_a_service_is_given_its_own_password_and_keeps_nothing_itself(config: dict[str, Any]) -> None:
    for name in SERVICES:
        service = config["services"][name]
        environment = service["environment"]
        assert environment["DATABASE_URL"] == f"postgresql://{name}@postgres/{name}"
        assert [value for value in environment.values() if "secret" in value] == [f"{name}-secret"]
        assert not service.get("volumes")
    assert "secret" not in json.dumps([config["services"][name] for name in ("client", "balancer")])


def test_neither_the_client_nor_the_balancer_reaches_the_databases(config: dict[str, Any]) -> None:
    networks = {name: set(service["networks"]) for name, service in config["services"].items()}
    assert {name for name, found in networks.items() if "databases" in found} == {"postgres", *SERVICES}
    assert networks["postgres"] == {"databases"}
    assert config["networks"]["databases"]["internal"]


@pytest.mark.parametrize("name", ["postgres", "balancer", "client", *SERVICES])
def test_a_container_is_held_to_what_it_needs(config: dict[str, Any], name: str) -> None:
    service = config["services"][name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert 0 < int(service["mem_limit"]) <= 2**30
    assert 0 < service["pids_limit"] <= 1024
    assert name == "client" or "healthcheck" in service


@pytest.fixture(scope="module")
def prepared() -> Iterator[PostgresServer]:
    """A server on which the databases have been made."""
    if not shutil.which("psql"):
        pytest.skip("there is no psql")
    with postgres_running() as server:
        own = {"POSTGRES_USER": "postgres", "PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGPASSWORD": PASSWORD}
        script = PROJECT / "deployment" / "databases.sh"
        done = subprocess.run([script], env=os.environ | PASSWORDS | own, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        yield server


@pytest.mark.parametrize("role", SERVICES)
@pytest.mark.parametrize("database", [*SERVICES, "postgres", "template1"])
def test_a_role_reaches_its_own_database_alone(prepared: PostgresServer, role: str, database: str) -> None:
    url = f"postgresql://{role}:{role}-secret@127.0.0.1:{prepared.port}/{database}"
    if role == database:
        psycopg.connect(url).close()
    else:
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(url)


@pytest.mark.parametrize("name", RECORDS)
def test_a_service_runs_as_its_role(prepared: PostgresServer, name: str) -> None:
    environment = settings_for(PostgresDatabase(prepared, name, name), PGPASSWORD=f"{name}-secret")
    environment["DATABASE_URL"] = f"postgresql://{name}@127.0.0.1:{prepared.port}/{name}"
    with spawn(name, environment) as process:
        assert process.stdout
        url = process.stdout.readline().split(" on ")[1].partition(",")[0]
        answers = [httpx.post(f"{url}/{name}", json=RECORDS[name], trust_env=False).status_code for _ in range(2)]
        process.terminate()
    assert answers == [201, 200]
