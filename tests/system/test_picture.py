"""The picture of a run as people meet it: drawn by the real command, opened from its file by a browser, offline."""

import json
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.processes import PROJECT, RunningService, all_running, eventually, run_client, url_options
from tests.proxy import between, scripted
from tests.resource import Resource
from tests.system.conftest import PATIENCE_MS

SERVICES = ("users", "products", "orders")
HOSTILE = "</script><script>document.title='broken'</script><img src=x onerror=alert(1)><!--"
WIDTHS = (360, 768, 1400)


@contextmanager
def opened(
    browser: Browser, file: Path, width: int = 1400, scheme: Literal["dark", "light"] = "light"
) -> Iterator[Page]:
    """Yield the file's page; fail where it asked for anything, ran what it should not, or reported an error."""
    asked: list[str] = []
    errors: list[str] = []

    def cut_off(route: Route) -> None:
        if route.request.url == file.as_uri():
            route.continue_()
        else:
            asked.append(route.request.url)
            route.abort()

    with browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True) as context:
        context.set_default_timeout(PATIENCE_MS)
        context.route("**/*", cut_off)
        context.on("console", lambda message: errors.append(message.text))
        context.on("weberror", lambda error: errors.append(str(error.error)))
        context.on("dialog", lambda dialog: errors.append(dialog.message))
        page = context.new_page()
        page.goto(file.as_uri())
        yield page
    assert asked == []
    assert errors == []


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The sample's run, in which every order overtakes its user, and users wait and share transactions."""
    folder = tmp_path_factory.mktemp("picture")
    file, result = folder / "run.html", folder / "run.json"
    with all_running(folder) as services, httpx.Client(base_url=services["users"].url, trust_env=False) as http:
        users = Resource("users", http, services["users"].kept)
        options = [*url_options(services), "--report", str(file), "--json", str(result)]
        with users.kept.locked():
            client = threading.Thread(target=run_client, args=options)
            client.start()
            eventually(lambda: answered(services["orders"]) == 10)
        client.join()
    return {"file": file, **json.loads(result.read_text())}


def answered(orders: RunningService) -> int:
    """Return how many orders have their answer."""
    figures = httpx.get(f"{orders.url}/metrics", trust_env=False).text
    counts = re.findall(
        r'^parallel_insert_requests_total\{method="POST",route="/orders",.*\} (\d+)$', figures, re.MULTILINE
    )
    return sum(map(int, counts))


def embedded(page: Page) -> Any:
    return json.loads(page.locator("#run").text_content() or "")


def test_every_record_has_a_bar_by_its_outcome_and_early_orders_have_two(browser: Browser, run: dict[str, Any]) -> None:
    expected = Counter(each["outcome"] for each in run["results"])
    with opened(browser, run["file"]) as page:
        assert page.locator(".bar:not(.again)").count() == len(run["results"]) == 30
        for outcome, count in expected.items():
            assert page.locator(f".bar.{outcome}").count() == count
        # All but the two that are refused for their quantity.
        assert page.locator(".bar.again").count() == page.locator(".link.again").count() == 8
        for service, lane in zip(SERVICES, page.locator(".lane").all(), strict=True):
            text = lane.locator(".lane-title").inner_text()
            assert service in text
            assert f"at most {run['summary'][service]['peak_in_flight']} in flight at once" in text
        expect(page.get_by_role("heading", level=1)).to_contain_text("30 records to 3 services")
        rows = [row.locator("td").all_inner_texts() for row in page.locator("#summary tbody tr").all()]
        names = ("sent", "created", "unchanged", "rejected", "undelivered", "stored", "peak_in_flight")
        assert rows == [[str(run["summary"][service][name]) for name in names] for service in SERVICES]


def test_each_transaction_that_was_shared_is_a_band_across_its_bars(browser: Browser, run: dict[str, Any]) -> None:
    with opened(browser, run["file"]) as page:
        for service, lane in zip(SERVICES, page.locator(".lane").all(), strict=True):
            numbers = Counter(
                attempt["commit"] for bar in embedded(page)["lanes"][service] for attempt in bar["attempts"]
            )
            shared = {str(number): str(n) for number, n in numbers.items() if number is not None and n > 1}
            bands = lane.locator("[data-commit]").all()
            assert {b.get_attribute("data-commit"): b.get_attribute("data-requests") for b in bands} == shared
        assert page.locator(".lane").first.locator("[data-commit]").count() > 0
        # Each has its transaction within it; what was refused before it came to the store has none.
        assert page.locator(".bar.created rect.commit").count() == 25
        assert page.locator(".bar.rejected rect.commit").count() == 0


def test_the_search_finds_records_by_what_is_said_of_them(browser: Browser, run: dict[str, Any]) -> None:
    with opened(browser, run["file"]) as page:
        shown = page.locator("#records tbody tr:visible")
        expect(shown).to_have_count(30)
        for words, count in (("REJECTED", 5), ("user 10 does not", 1), ("orders created", 7), ("bob@", 1)):
            page.get_by_role("searchbox", name="Search").fill(words)
            expect(shown).to_have_count(count)
            expect(page.get_by_role("status")).to_have_text(f"{count} of 30 shown")


def test_the_keyboard_reaches_every_request_and_shows_what_became_of_it(browser: Browser, run: dict[str, Any]) -> None:
    with opened(browser, run["file"]) as page:
        details = page.locator("#details")
        lane = page.get_by_role("listbox", name="orders")
        bars = lane.get_by_role("option")
        # One stop in each lane.
        for _ in range(3):
            page.keyboard.press("Tab")
        seen = []
        for _ in range(bars.count()):
            focused = page.locator(":focus")
            expect(focused).to_have_attribute("aria-selected", "true")
            name = (focused.get_attribute("aria-label") or "").partition(":")[0]
            expect(details.get_by_role("heading")).to_have_text(name)
            seen.append(name)
            page.keyboard.press("ArrowRight")
        assert Counter(seen) == Counter({f"orders {n}": 1 if n in {8, 9} else 2 for n in range(1, 11)})
        last = lane.get_by_role("option", name=re.compile("^orders 10: rejected, user 10 does not exist; product 11"))
        last.focus()
        expect(details).to_contain_text("user 10 does not exist; product 11 does not exist")
        expect(details).to_contain_text("orders.csv:11")
        expect(details).to_contain_text("HTTP 422 after")
        expect(details).to_contain_text("checking references")
        page.keyboard.press("Home")
        expect(page.locator(":focus")).to_have_attribute("tabindex", "0")


def test_a_tap_shows_a_request_and_the_table_leads_to_it(browser: Browser, run: dict[str, Any]) -> None:
    with opened(browser, run["file"], width=360) as page:
        page.locator(".lane").nth(1).get_by_role("option", name="products 10:").click()
        expect(page.locator("#details")).to_contain_text("price is not greater than 0")
        page.get_by_role("button", name="show users 3 in the picture").click()
        expect(page.locator("#details").get_by_role("heading")).to_have_text("users 3")
        # Below the lane that it is about, so that it hides none.
        expect(page.locator(".lane").first.locator("#details")).to_be_visible()


# For each text: how far its colour is from what is behind it (WCAG 2.2, relative luminance), where that is too little.
TOO_PALE = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => {
    const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = rgba(colour).slice(0, 3).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (rgba(colour)[3]) return colour;
    }
    return "white";
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), pale = [];
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement, style = getComputedStyle(element);
    if (!texts.currentNode.data.trim() || !element.checkVisibility() || element.closest("script, style")) continue;
    const [one, other] = [light(element.closest("svg") ? style.fill : style.color), light(behind(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) pale.push(`${element.tagName} ${texts.currentNode.data.trim()}: ${ratio.toFixed(2)}`);
  }
  return pale;
}"""


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_in_light_and_in_the_dark_on_every_width(
    browser: Browser, run: dict[str, Any], width: int, scheme: Literal["dark", "light"]
) -> None:
    with opened(browser, run["file"], width, scheme) as page:
        page.get_by_role("option").nth(12).focus()
        assert page.evaluate(TOO_PALE) == []
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") == (scheme == "light")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.emulate_media(media="print")
        assert page.evaluate(TOO_PALE) == []
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        expect(page.locator("#search")).to_be_hidden()


def test_a_hostile_record_is_shown_and_does_nothing(browser: Browser, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "users.ndjson").write_text(json.dumps({"id": 1, "name": HOSTILE, "email": HOSTILE}) + "\n")
    file = tmp_path / "run.html"
    assert run_client("--local", "--db-dir", str(tmp_path), "--data", str(data), "--report", str(file)).returncode == 0
    with opened(browser, file) as page:
        assert page.title() == "A run of parallel-insert"
        page.get_by_role("option").first.click()
        expect(page.locator("#details code")).to_contain_text(HOSTILE)
        assert page.locator("img").count() == 0
        assert page.locator("script").count() == 2


def test_answers_that_were_lost_are_attempts_of_their_bar(browser: Browser, tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "run.html"
    data.mkdir()
    (data / "users.csv").write_text("id,name,email\n1,Ada,a@b\n")
    with (
        all_running(tmp_path) as services,
        between(services["users"].url, scripted(["reset after", "503"], "/users")) as proxy,
    ):
        options = ["--users-url", proxy.url, "--data", str(data), "--report", str(file)]
        assert run_client(*url_options(services), *options).returncode == 0
    with opened(browser, file) as page:
        bar = page.get_by_role("option")
        expect(bar).to_have_attribute("aria-label", re.compile("^users 1: unchanged, .*, 3 attempts$"))
        bar.focus()
        words = page.locator("#details li").all_inner_texts()
        assert [re.search(r": (.*?) after", each)[1] for each in words] == ["failed", "HTTP 503", "HTTP 200"]  # type: ignore[index]
        assert "the answer was lost" in words[0]
        assert "transaction" in words[2]
        assert bar.locator(".again").count() == bar.locator(".pause").count() == 2


def test_a_large_input_is_drawn_by_its_batches(browser: Browser, tmp_path: Path) -> None:
    data, file = tmp_path / "data", tmp_path / "run.html"
    data.mkdir()
    rows = "".join(f"{number},{'' if number % 10 == 0 else 'n'},a@b\n" for number in range(1, 30_001))
    (data / "users.csv").write_text(f"id,name,email\n{rows}")
    run_client("--local", "--db-dir", str(tmp_path), "--data", str(data), "--batch", "1000", "--report", str(file))
    assert file.stat().st_size < 2_000_000
    with opened(browser, file) as page:
        assert page.get_by_role("option").count() == 30
        expect(page.locator(".lane-title").first).to_contain_text("30 batches for 30,000 records")
        page.get_by_role("option").first.focus()
        expect(page.locator("#details")).to_contain_text("900 created")
        expect(page.locator("#details")).to_contain_text("100 rejected")
        listed = page.locator("#records tbody tr").count()
        assert 0 < listed < 3_000
        expect(page.locator("#omitted")).to_contain_text(f"{3_000 - listed:,} more records")


def test_what_is_known_is_drawn_where_a_service_is_down_or_the_run_is_interrupted(
    browser: Browser, tmp_path: Path
) -> None:
    file, data = tmp_path / "run.html", tmp_path / "data"
    data.mkdir()
    rows = "".join(f"{number},n,a@b\n" for number in range(1, 8_001))
    (data / "users.csv").write_text(f"id,name,email\n{rows}")
    with all_running(tmp_path) as services:
        options = [*url_options(services), "--products-url", "http://127.0.0.1:1", "--report", str(file)]
        assert run_client(*options).returncode == 1
        with opened(browser, file) as page:
            expect(page.locator("#verdict")).to_contain_text("10 records undelivered")
            expect(page.locator(".lane-title").nth(1)).to_contain_text("nothing was sent")
            assert page.locator(".lane").first.get_by_role("option").count() == 10
        file.unlink()
        command = [sys.executable, "client/run.py", *options, "--data", str(data), "--threads", "10"]
        with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as client:
            count = f"{services['users'].url}/users/count"
            eventually(lambda: httpx.get(count, trust_env=False).json()["count"] > 100)
            client.send_signal(signal.SIGINT)
        assert client.returncode == 130
    with opened(browser, file) as page:
        assert sum(bar["requests"] for bar in embedded(page)["lanes"]["users"]) > 90
        expect(page.locator("#verdict")).to_contain_text("undelivered")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_picture_that_cannot_be_written_is_said_and_is_status_1(tmp_path: Path) -> None:
    run = run_client("--local", "--db-dir", str(tmp_path), "--report", "/dev/full")
    assert run.returncode == 1
    assert "/dev/full could not be written: No space left on device." in run.stderr
    assert "the services hold what they acknowledged" in run.stdout


@pytest.mark.parametrize("file", [".", "nowhere/run.html", "-"])
def test_a_picture_that_could_never_be_written_is_bad_usage(tmp_path: Path, file: str) -> None:
    run = run_client("--local", "--db-dir", str(tmp_path), "--report", file)
    assert run.returncode == 2
    assert "--report" in run.stderr
    assert run.stdout == ""
