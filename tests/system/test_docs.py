"""The interactive docs as a person meets them: in a real browser that can reach nothing but the service."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any, Literal
from urllib.parse import urljoin

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, Route, expect

from tests.processes import RunningService, post
from tests.resource import KINDS
from tests.system.conftest import PATIENCE_MS

# What the example of an order refers to.
SAMPLE: dict[str, dict[str, object]] = {
    "users": {"id": 1, "name": "Ada", "email": "ada@example.com"},
    "products": {"id": 1, "name": "Lamp", "price": 24.99},
}
# The browser reports a policy that works, and a record that is refused, as errors.
HARMLESS = ("violates the following Content Security Policy", "responded with a status of 422")


@pytest.fixture(params=["users", "products", "orders"])
def service(request: pytest.FixtureRequest, services: dict[str, RunningService]) -> RunningService:
    """Each service in turn; the records that its example refers to exist."""
    for name, record in SAMPLE.items():
        # Whatever another test has stored under this id does as well.
        assert post(services[name], record).status_code in {200, 201, 409}
    return services[request.param]


@contextmanager
def cut_off(browser: Browser, service: RunningService, **options: Any) -> Iterator[Page]:
    """Yield a page that reaches the service only; fail where it asked for more, or where it reported an error."""
    out_of_reach: list[str] = []
    errors: list[str] = []

    def pass_or_cut(route: Route) -> None:
        if route.request.url.startswith(f"{service.url}/"):
            route.continue_()
        else:
            route.abort()

    def note_failure(request: Request) -> None:
        # What the page's own policy forbids is never asked for: that is what a policy is for. And an icon that is still
        # on its way is given up when the page is left.
        given_up = request.failure == "net::ERR_ABORTED" and request.url.startswith(f"{service.url}/")
        if request.failure != "csp" and not given_up:
            out_of_reach.append(request.url)

    def note_error(message: ConsoleMessage) -> None:
        if message.type == "error" and not any(harmless in message.text for harmless in HARMLESS):
            errors.append(message.text)

    # Without animations, a click need not wait for them.
    with browser.new_context(service_workers="block", reduced_motion="reduce", **options) as context:
        context.set_default_timeout(PATIENCE_MS)
        context.route("**/*", pass_or_cut)
        context.on("requestfailed", note_failure)
        context.on("console", note_error)
        context.on("weberror", lambda error: errors.append(str(error.error)))
        page = context.new_page()
        page.on("websocket", lambda socket: out_of_reach.append(socket.url))
        yield page
    assert out_of_reach == []
    assert errors == []


def documented(service: RunningService) -> dict[tuple[str, str], str]:
    """Return every route of the OpenAPI document, and its summary."""
    paths = httpx.get(f"{service.url}/openapi.json", trust_env=False).json()["paths"]
    return {
        (method.upper(), path): operation["summary"]
        for path, methods in paths.items()
        for method, operation in methods.items()
    }


def route_of(block: Locator) -> tuple[str, str]:
    path = block.locator(".opblock-summary-path").get_attribute("data-path")
    return block.locator(".opblock-summary-method").inner_text(), str(path)


def brightness(page: Page, part: str) -> int:
    """Return the sum of red, green and blue of a colour of the page's."""
    colour = page.locator("body").evaluate(f"body => getComputedStyle(body).{part}")
    return sum(map(int, re.findall(r"\d+", colour)))


def icon_of(page: Page) -> list[object]:
    """Return the status and the type with which the browser gets the page's icon."""
    url = page.locator("link[rel~=icon]").get_attribute("href")
    answer: list[object] = page.evaluate(
        "async (url) => { const got = await fetch(url); return [got.status, got.headers.get('content-type')] }", url
    )
    return answer


def try_out(block: Locator) -> None:
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()


def execute(block: Locator) -> tuple[str, str]:
    """Send what the page shows of a route; return the status and the body that it shows then."""
    block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table .response")
    body = answer.locator(".response-col_description .highlight-code code").first
    return answer.locator(".response-col_status").inner_text().split()[0], body.inner_text()


def test_the_root_leads_to_docs_that_list_every_route_and_execute_their_examples(
    browser: Browser, service: RunningService
) -> None:
    with cut_off(browser, service) as page:
        page.goto(service.url)
        expect(page).to_have_url(f"{service.url}/docs")
        page.locator(".opblock").first.wait_for()
        assert icon_of(page) == [200, "image/png"]
        blocks = {route_of(block): block for block in page.locator(".opblock").all()}
        assert blocks.keys() == documented(service).keys()

        path = f"/{service.database.stem}"
        try_out(blocks["POST", path])
        status, body = execute(blocks["POST", path])
        assert status == "201"
        assert json.loads(body) == httpx.get(f"{service.url}{path}/{json.loads(body)['id']}", trust_env=False).json()
        # JavaScript rounds numbers above 2**53, so an example may be sound in the document, and not from here.
        try_out(blocks["POST", f"{path}/lookup"])
        status, body = execute(blocks["POST", f"{path}/lookup"])
        assert (status, list(json.loads(body))) == ("200", ["missing"])


def test_batches_can_be_tried_from_the_page_in_every_format(browser: Browser, service: RunningService) -> None:
    expected = {
        "Two records": ("201", ["created", "created"]),
        "A good one and a bad one": ("207", ["created", "rejected"]),
    }
    with cut_off(browser, service) as page:
        page.goto(f"{service.url}/docs")
        block = page.locator(f'.opblock:has([data-path="/{service.database.stem}/batch"])')
        try_out(block)
        block.locator("tr[data-param-name=results] select").select_option("all")
        for kind, example in product(KINDS, expected):
            block.locator("select.content-type").first.select_option(kind)
            block.locator(".opblock-section-request-body .examples-select select").select_option(example)
            with page.expect_response("**/batch?results=all") as sent:
                status, body = execute(block)
            assert sent.value.request.headers["content-type"] == kind
            assert (status, [row["outcome"] for row in json.loads(body)["results"]]) == expected[example]
            # Else the answer would still be there when the next one is waited for.
            block.get_by_role("button", name="Clear").click()


def test_the_type_of_an_answered_problem_leads_to_its_page(browser: Browser, service: RunningService) -> None:
    with cut_off(browser, service) as page:
        page.goto(f"{service.url}/docs")
        block = page.locator(".opblock-post").first
        try_out(block)
        block.locator(".body-param textarea").fill("{}")
        status, body = execute(block)
        problem = json.loads(body)
        assert (status, problem["title"]) == ("422", "The record is not valid")

        page.goto(urljoin(f"{service.url}/docs", problem["type"]))
        expect(page.get_by_role("heading", level=1)).to_have_text(problem["title"])
        assert icon_of(page) == [200, "image/png"]
        page.get_by_role("link", name="All problems").click()
        page.get_by_role("link", name="The id is taken").click()
        expect(page.locator("pre")).to_contain_text('"type": "/problems/id-taken"')
        page.get_by_role("link", name="Interactive docs").click()
        page.locator(".opblock").first.wait_for()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_problems_can_be_read_on_a_phone_without_scripts_and_by_keyboard(
    browser: Browser, services: dict[str, RunningService], colours: Literal["light", "dark"]
) -> None:
    narrow = {"width": 360, "height": 640}
    options: dict[str, Any] = {"viewport": narrow, "color_scheme": colours, "java_script_enabled": False}
    with cut_off(browser, services["orders"], **options) as page:
        for path in ("/problems", "/problems/invalid-record", "/problems/unknown-reference"):
            page.goto(f"{services['orders'].url}{path}")
            wide = page.locator("body *").evaluate_all("all => all.filter(one => one.scrollWidth > 360).length")
            assert wide == 0, path
            text, ground = (brightness(page, part) for part in ("color", "backgroundColor"))
            assert (text > ground) == (colours == "dark")
            assert abs(text - ground) > 500
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="All problems")).to_be_focused()


def test_the_reference_shows_every_route(browser: Browser, service: RunningService) -> None:
    with cut_off(browser, service) as page:
        page.goto(f"{service.url}/redoc")
        page.locator("h1").first.wait_for()
        assert icon_of(page) == [200, "image/png"]
        assert set(documented(service).values()) <= set(page.locator("h2").all_inner_texts())
