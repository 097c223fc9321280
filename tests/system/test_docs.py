"""The interactive docs as a person meets them: in a real browser that can reach nothing but the service."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, Route, expect, sync_playwright

from tests.processes import RunningService, post

SERVICES = ("users", "products", "orders")
# What a person waits for at most; a cold browser on a busy machine is slow.
_PATIENCE_MS = 30_000
# The browser's own calls to its maker are off, and no name and no other address leads anywhere.
_ALONE = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the module: this machine's, since none is downloaded."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("there is no Chromium on the PATH (Debian: apt-get install chromium)")
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=chromium, args=_ALONE) as launched:
        yield launched


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest, services: dict[str, RunningService]) -> RunningService:
    """Each service in turn; user 1 and product 1, to which the example of an order refers, exist."""
    for name, record in (
        ("users", {"name": "Ada", "email": "ada@example.com"}),
        ("products", {"name": "L", "price": 1}),
    ):
        # Whatever another test has stored under this id does as well.
        assert post(services[name], {"id": 1, **record}).status_code in {200, 201, 409}
    return services[request.param]


@contextmanager
def offline_page(browser: Browser, service: RunningService) -> Iterator[Page]:
    """Yield a page that reaches the service only; fail where it asked for more, or where it reported an error."""
    failed: list[str] = []
    errors: list[str] = []

    def let_pass_or_cut(route: Route) -> None:
        if route.request.url.startswith(f"{service.url}/"):
            route.continue_()
        else:
            route.abort()

    def note_failure(request: Request) -> None:
        # What the page's own policy forbids is not asked for, which is what the policy is there for.
        if request.failure != "csp":
            failed.append(request.url)

    def note_error(message: ConsoleMessage) -> None:
        # The browser tells of the policy at work as an error.
        if message.type == "error" and "violates the following Content Security Policy directive" not in message.text:
            errors.append(message.text)

    with browser.new_context(service_workers="block") as context:
        context.set_default_timeout(_PATIENCE_MS)
        context.route("**/*", let_pass_or_cut)
        context.on("requestfailed", note_failure)
        context.on("console", note_error)
        context.on("weberror", lambda error: errors.append(str(error.error)))
        page = context.new_page()
        page.on("websocket", lambda socket: failed.append(socket.url))
        yield page
    assert failed == [], "the page asked for what only the internet has"
    assert errors == []


def open_docs(page: Page, service: RunningService) -> None:
    page.goto(f"{service.url}/docs")
    expect(page.locator(".opblock").first).to_be_visible(timeout=_PATIENCE_MS)


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


def execute(block: Locator) -> tuple[str, str]:
    """Send a route's example as it stands, as a person does; return the status and the body that the page shows."""
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table .response")
    return (
        answer.locator(".response-col_status").inner_text().split()[0],
        answer.locator(".response-col_description .highlight-code code").first.inner_text(),
    )


def test_the_root_leads_to_docs_that_list_every_route(browser: Browser, service: RunningService) -> None:
    with offline_page(browser, service) as page:
        page.goto(f"{service.url}/")
        expect(page).to_have_url(f"{service.url}/docs")
        expect(page.locator(".opblock").first).to_be_visible(timeout=_PATIENCE_MS)
        assert {route_of(block) for block in page.locator(".opblock").all()} == documented(service).keys()


def test_the_docs_store_their_own_example(browser: Browser, service: RunningService) -> None:
    with offline_page(browser, service) as page:
        open_docs(page, service)
        status, body = execute(page.locator(".opblock-post").first)
        assert status == "201"
        record = json.loads(body)
        stored = httpx.get(f"{service.url}/{service.database.stem}/{record['id']}", trust_env=False)
        assert record == stored.json()


def test_every_route_can_be_executed_as_it_stands(browser: Browser, service: RunningService) -> None:
    with offline_page(browser, service) as page:
        open_docs(page, service)
        blocks = page.locator(".opblock").all()
        assert {execute(block)[0] for block in blocks} <= {"200", "201"}


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_tab_has_an_icon(browser: Browser, service: RunningService, path: str) -> None:
    with offline_page(browser, service) as page:
        page.goto(f"{service.url}{path}")
        icon = page.locator("link[rel~=icon]").get_attribute("href")
        ask = "async (url) => { const got = await fetch(url); return [got.status, got.headers.get('content-type')] }"
        assert page.evaluate(ask, icon) == [200, "image/png"]


def test_the_reference_shows_every_route(browser: Browser, service: RunningService) -> None:
    with offline_page(browser, service) as page:
        page.goto(f"{service.url}/redoc")
        expect(page.locator("h1")).to_contain_text(service.database.stem, timeout=_PATIENCE_MS)
        assert set(documented(service).values()) <= set(page.locator("h2").all_inner_texts())
