"""The interactive docs as a person meets them: in a real browser that can reach nothing but the service."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, Route, expect, sync_playwright

from tests.processes import RunningService, post

# What the example of an order refers to.
SAMPLE: dict[str, dict[str, object]] = {
    "users": {"id": 1, "name": "Ada", "email": "ada@example.com"},
    "products": {"id": 1, "name": "Lamp", "price": 24.99},
}
# The browser's own calls to its maker are off, and no name and no other address leads anywhere.
ALONE = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]
# How long anything may take to show; a cold browser on a busy machine is slow.
PATIENCE_MS = 30_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests: this machine's, since none is downloaded."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no Chromium is on the PATH (on Debian: apt-get install chromium)")
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=chromium, args=ALONE) as launched:
        yield launched


@pytest.fixture(params=["users", "products", "orders"])
def service(request: pytest.FixtureRequest, services: dict[str, RunningService]) -> RunningService:
    """Each service in turn; the records that its example refers to exist."""
    for name, record in SAMPLE.items():
        # Whatever another test has stored under this id does as well.
        assert post(services[name], record).status_code in {200, 201, 409}
    return services[request.param]


@contextmanager
def cut_off(browser: Browser, service: RunningService) -> Iterator[Page]:
    """Yield a page that reaches the service only; fail where it asked for more, or where it reported an error."""
    out_of_reach: list[str] = []
    errors: list[str] = []

    def pass_or_cut(route: Route) -> None:
        if route.request.url.startswith(f"{service.url}/"):
            route.continue_()
        else:
            route.abort()

    def note_failure(request: Request) -> None:
        # What the page's own policy forbids is never asked for: that is what a policy is for.
        if request.failure != "csp":
            out_of_reach.append(request.url)

    def note_error(message: ConsoleMessage) -> None:
        # The browser reports a policy that works as an error.
        if message.type == "error" and "violates the following Content Security Policy" not in message.text:
            errors.append(message.text)

    # Without animations, a click need not wait for them.
    with browser.new_context(service_workers="block", reduced_motion="reduce") as context:
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


def icon_of(page: Page) -> list[object]:
    """Return the status and the type with which the browser gets the page's icon."""
    url = page.locator("link[rel~=icon]").get_attribute("href")
    answer: list[object] = page.evaluate(
        "async (url) => { const got = await fetch(url); return [got.status, got.headers.get('content-type')] }", url
    )
    return answer


def execute(block: Locator) -> tuple[str, str]:
    """Send a route's example as it stands; return the status and the body that the page shows then."""
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
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
        status, body = execute(blocks["POST", path])
        assert status == "201"
        assert json.loads(body) == httpx.get(f"{service.url}{path}/{json.loads(body)['id']}", trust_env=False).json()
        # JavaScript rounds numbers above 2**53, so an example may be sound in the document, and not from here.
        status, body = execute(blocks["POST", f"{path}/lookup"])
        assert (status, list(json.loads(body))) == ("200", ["missing"])


def test_the_reference_shows_every_route(browser: Browser, service: RunningService) -> None:
    with cut_off(browser, service) as page:
        page.goto(f"{service.url}/redoc")
        page.locator("h1").first.wait_for()
        assert icon_of(page) == [200, "image/png"]
        assert set(documented(service).values()) <= set(page.locator("h2").all_inner_texts())
