"""The interactive docs: Swagger UI and ReDoc, whose scripts and styles this service serves itself."""

from pathlib import Path

import fastapi_offline
from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.staticfiles import StaticFiles

_ASSETS = Path(fastapi_offline.__file__).parent / "static"
# The pages work with no internet, so they ask for nothing there: ReDoc would, for its maker's logo. And nobody else's
# page may show them in a frame, where a click could be stolen.
POLICY = {
    "content-security-policy": "default-src 'self'; script-src 'self' 'unsafe-inline';"
    " style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:;"
    " object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
# Swagger UI has dark colours, but only its own frame, which FastAPI's page has not, would turn them on. Its code is
# higher than a line, so that it covers what stands above and below.
_HEAD = """<style>.swagger-ui .renderedMarkdown code { padding: 1px 4px }</style>
    <script>
    const dark = matchMedia("(prefers-color-scheme: dark)")
    const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches)
    dark.addEventListener("change", follow)
    follow()
    </script>
    </head>"""
# Of whatever has JSON in its type's name, an example that is text would be shown, and sent, as one string in quotes.
_PLUGINS = """plugins: [() => ({
        afterLoad() {
            const sample = this.fn.getSampleSchema
            this.fn.getSampleSchema = (schema, type, config, example) =>
                type === "application/x-ndjson" && example ? example : sample(schema, type, config, example)
        }
    })],
    presets:"""


def description(name: str) -> str:
    """Return what the API's document says of the whole, in Markdown."""
    return f"""
**Send a record** with `POST /{name}`. 201 means that it is on the disk.

**Send many** with `POST /{name}/batch`, in one body of any length: a JSON array (`application/json`), a record a line
(`application/x-ndjson`) or a table with a header line (`text/csv`). Good rows are kept, each bad one is named.

**Send again** whenever an answer was lost: a record with an id that is stored already answers 200, and nothing is
written. Without an id, each sending is a new record.

**What goes wrong** is answered as `application/problem+json` (RFC 9457). Its `type` is the path of a page that says
what it means and what to do about it: [all problems](/problems).
"""


def add_docs(app: FastAPI) -> None:
    """Serve /docs and /redoc, and lead / to the former; the app must have been made without docs of its own."""
    app.mount("/assets", StaticFiles(directory=_ASSETS))

    @app.get("/", include_in_schema=False)
    async def home(_: Request) -> RedirectResponse:
        return RedirectResponse("docs")

    @app.get("/docs", include_in_schema=False)
    async def swagger_ui(_: Request) -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url="openapi.json",
            title=f"{app.title} - Swagger UI",
            swagger_js_url="assets/swagger-ui-bundle.js",
            swagger_css_url="assets/swagger-ui.css",
            swagger_favicon_url="assets/favicon.png",
            swagger_ui_parameters={"displayRequestDuration": True},
        )
        html = bytes(page.body).decode().replace("</head>", _HEAD).replace("presets:", _PLUGINS)
        return HTMLResponse(html, headers=POLICY)

    @app.get("/redoc", include_in_schema=False)
    async def redoc(_: Request) -> HTMLResponse:
        page = get_redoc_html(
            openapi_url="openapi.json",
            title=f"{app.title} - ReDoc",
            redoc_js_url="assets/redoc.standalone.js",
            redoc_favicon_url="assets/favicon.png",
            with_google_fonts=False,
        )
        page.headers.update(POLICY)
        return page
