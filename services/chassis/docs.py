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
_POLICY = {
    "content-security-policy": "default-src 'self'; script-src 'self' 'unsafe-inline';"
    " style-src 'self' 'unsafe-inline'; img-src 'self' data:; worker-src blob:;"
    " object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


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
        )
        page.headers.update(_POLICY)
        return page

    @app.get("/redoc", include_in_schema=False)
    async def redoc(_: Request) -> HTMLResponse:
        page = get_redoc_html(
            openapi_url="openapi.json",
            title=f"{app.title} - ReDoc",
            redoc_js_url="assets/redoc.standalone.js",
            redoc_favicon_url="assets/favicon.png",
            with_google_fonts=False,
        )
        page.headers.update(_POLICY)
        return page
