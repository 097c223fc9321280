"""docs/your-own-service.md, done to the letter: its files in a copy of the project, its commands, and their answers."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.processes import PROJECT

PAGE = (PROJECT / "docs" / "your-own-service.md").read_text()
BLOCKS: list[tuple[str, str]] = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FILES = dict(
    zip(
        re.findall(r"`(services/ratings/\w+\.py)`", PAGE),
        [text for language, text in BLOCKS if language == "python"],
        strict=True,
    )
)
START, *CALLS = [text.strip() for language, text in BLOCKS if language == "sh"]
ANSWERS = [json.loads(text) for language, text in BLOCKS if language == "json"]
(LISTENS,) = [text for language, text in BLOCKS if language == "text"]
ADDRESS = re.compile(r"http://[\w.]+:(\d+)")


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the first line that the page's service writes."""
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(PROJECT / "services", copy / "services", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in FILES.items():
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text(text)
    python, *arguments = shlex.split(START)
    assert python == "python"
    # A free port, and not the page's.
    environment = {**os.environ, "PORT": "0"}
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=copy, env=environment, stdout=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout is not None
        try:
            yield service.stdout.readline()
        finally:
            service.terminate()


def curl(command: str, url: str) -> httpx.Response:
    """Send what the page's command sends, but to this address."""
    body, headers = None, {}
    words = iter(shlex.split(command.replace("$'", "'").replace("\\n", "\n")))
    assert next(words) == "curl"
    for word in words:
        if word == "-d":
            body = next(words)
        elif word == "-H":
            name, _, headers[name] = next(words).partition(": ")
        else:
            target = ADDRESS.sub(url, word)
    return httpx.request("POST" if body else "GET", target, content=body, headers=headers, trust_env=False)


def test_it_is_as_short_as_the_page_says() -> None:
    lines = sum(len(text.splitlines()) for text in FILES.values())
    assert f"in four files and {lines} lines" in PAGE
    assert len(FILES) == 4
    assert lines < 40


def test_it_starts_and_answers_what_the_page_says(started: str) -> None:
    said = ADDRESS.search(started)
    assert said, started
    # The same words; a free port stands for the page's.
    assert started.replace(said[1], "8004") == LISTENS
    assert len(CALLS) == len(ANSWERS) == 4
    # In the page's order: what is sent first has the first id.
    assert [curl(call, said[0]).json() for call in CALLS] == ANSWERS


def test_it_has_docs_that_offer_its_examples(started: str) -> None:
    (url, *_) = re.findall(r"http://\S+?:\d+", started)
    assert "Swagger UI" in httpx.get(f"{url}/docs", trust_env=False).text
    document = httpx.get(f"{url}/openapi.json", trust_env=False).json()
    assert {"/ratings", "/ratings/batch", "/ratings/{id}"} <= document["paths"].keys()
    examples = document["paths"]["/ratings"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert {"product_id": 1, "stars": 5} in [example["value"] for example in examples.values()]
    # Without the port's variable it would be where the page says.
    assert "port=8004" in FILES["services/ratings/resource.py"]


def test_its_files_are_named_like_those_of_users() -> None:
    assert {Path(name).name for name in FILES} == {path.name for path in (PROJECT / "services" / "users").glob("*.py")}
