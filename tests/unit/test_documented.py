"""What exists is documented: settings, problems, routes, options and commands."""

import re
from pathlib import Path

import pytest

from client.arguments import _parser
from services.chassis import errors, kinds
from services.chassis.app import create_app
from services.chassis.errors import CannotStart, ServiceError, Unavailable
from services.chassis.metrics import Metrics
from services.chassis.resource import Resource
from services.orders.resource import ORDERS
from services.products.resource import PRODUCTS
from services.users.resource import USERS

PROJECT = Path(__file__).resolve().parents[2]
SETTINGS = (PROJECT / "docs" / "settings.md").read_text()
HTTP = (PROJECT / "docs" / "http.md").read_text()
README = (PROJECT / "README.md").read_text()


@pytest.mark.parametrize("resource", [USERS, PRODUCTS, ORDERS])
def test_every_setting_is_documented_with_its_default_and_meaning(resource: Resource) -> None:
    for name, default in resource.settings_from({}):
        meaning = resource.settings.model_fields[name].description
        (line,) = [line for line in SETTINGS.splitlines() if line.startswith(f"| `{name.upper()}` |")]
        assert str(default).lower() in line.lower(), name
        assert meaning, name
        assert meaning.rstrip(".") in line, name


def test_every_error_has_one_kind_of_problem() -> None:
    every = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ServiceError)}
    assert set(kinds.OF_ERRORS) == every - {ServiceError, CannotStart, Unavailable}


def test_every_kind_of_problem_stands_in_the_one_table_and_is_documented_in_its_words() -> None:
    # What the protocol and the server answer are constants of the same module; nothing else makes a kind.
    constants = [kind for kind in vars(kinds).values() if isinstance(kind, kinds.Kind)]
    assert set(kinds.ALL.values()) == {*kinds.OF_ERRORS.values(), *constants}
    makers = [path.name for path in (PROJECT / "services").rglob("*.py") if "Kind(" in path.read_text()]
    assert makers == ["kinds.py"]
    documented = HTTP.partition("## Problems")[2].partition("|---|---|---|\n")[2].splitlines()
    assert documented == [f"| `{kind.slug}` | {kind.status} | {kind.meaning} |" for kind in kinds.ALL.values()]


def test_every_error_stands_in_the_tree_that_is_drawn_above_them() -> None:
    assert errors.__doc__
    for name in (name for name, kind in vars(errors).items() if isinstance(kind, type) and name != "Reason"):
        if issubclass(vars(errors)[name], ServiceError):
            assert re.search(rf"\b{name}\b", errors.__doc__), name


def test_every_route_is_documented() -> None:
    for path, methods in create_app(ORDERS, ORDERS.settings_from({})).openapi()["paths"].items():
        for method in methods:
            call = f"{method.upper()} {path.replace('/orders', '/users')}"
            assert re.search(rf"`{re.escape(call)}[`?]", HTTP), call


def test_every_option_is_documented() -> None:
    for action in _parser()._actions:  # noqa: SLF001
        for option in action.option_strings:
            if option.startswith("--") and option != "--help":
                assert f"`{option}" in README, option


def test_every_make_command_is_documented() -> None:
    for command in re.findall(r"^([a-z-]+):.*## ", (PROJECT / "Makefile").read_text(), re.MULTILINE):
        assert f"make {command}" in README, command


def test_every_promise_names_tests_that_exist() -> None:
    promises = [line for line in (PROJECT / "docs" / "promises.md").read_text().splitlines() if line.startswith("| **")]
    assert promises
    for promise in promises:
        named = re.findall(r"`(tests/\w+/\w+\.py)`", promise)
        assert named, promise
        assert all((PROJECT / test).exists() for test in named), promise


def test_every_metric_is_documented() -> None:
    for name in re.findall(r"^# TYPE parallel_insert_(\w+)", Metrics().text(waiting=0), re.MULTILINE):
        assert f"| `{name}` |" in (PROJECT / "docs" / "operations.md").read_text(), name
