"""The pages to which problems lead: what each kind means and what to do about it, for people."""

import json
import re
from collections.abc import Mapping
from html import escape
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from services.chassis import kinds
from services.chassis.docs import POLICY
from services.chassis.kinds import Kind
from services.chassis.problems import MEDIA_TYPE, body_of

_CODE = re.compile("`([^`]+)`")
_STYLE = """
:root { color-scheme: light dark; --text: #16191d; --ground: #fff; --quiet: #5a6472; --line: #d5dae1; --box: #f4f6f8;
  --link: #0b57d0; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e9ed; --ground: #111418; --quiet: #a3adba; --line: #3a424d; --box: #1c2127; --link: #8ab4f8; }
}
body { background: var(--ground); color: var(--text); font: 1rem/1.55 system-ui, sans-serif; max-width: 44rem;
  margin: 0 auto; padding: 1rem 1.25rem 3rem; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; border-bottom: 1px solid var(--line); padding: .5rem 0; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 1.5rem 0 .5rem; }
h2 { font-size: 1.1rem; margin: 1.75rem 0 .25rem; }
p, dd { margin: .25rem 0; overflow-wrap: anywhere; }
a { color: var(--link); }
a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
code, pre { font: .9em/1.5 ui-monospace, monospace; background: var(--box); border-radius: .25rem; }
code { padding: .1em .3em; }
pre { padding: .75rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--line); }
.quiet { color: var(--quiet); }
dl { margin: 1rem 0; }
dt { margin-top: 1rem; font-weight: 600; }
dd { margin-left: 0; }
"""


def add_pages(app: FastAPI) -> None:
    """Serve /problems, and the page of each kind under it; the examples are those of the app's own document."""

    @app.get("/problems", include_in_schema=False)
    async def problems(_: Request) -> HTMLResponse:
        return _page(app.title, "Problems", _LIST_INTRODUCTION + _list())

    # The framework would pass the slug on, but endpoints of ours take the request alone.
    @app.get("/problems/{slug}", include_in_schema=False)  # noqa: FAST003
    async def problem(request: Request) -> HTMLResponse:
        kind = kinds.ALL.get(request.path_params["slug"])
        if kind is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return _page(app.title, kind.title, _explanation(kind, _example(kind, app.openapi())))


_LIST_INTRODUCTION = """
<p>Every error of this service is <code>application/problem+json</code> (RFC 9457). Its <code>type</code> is the path of
one of these pages, and stays the same whatever the words become.</p>
"""


def _list() -> str:
    entries = "".join(
        f'<dt><a href="{kind.type}">{escape(kind.title)}</a></dt>'
        f'<dd>{_text(kind.meaning)}<br><span class="quiet">{kind.status} · {kind.slug}</span></dd>'
        for kind in kinds.ALL.values()
    )
    return f"<dl>{entries}</dl>"


def _explanation(kind: Kind, example: str) -> str:
    return f"""
<p class="quiet">{_status_line(kind)} · <code>{kind.type}</code></p>
{_section("What it means", kind.meaning)}
{_section("What the sender does", kind.sender)}
{_section("What the operator does", kind.operator)}
<h2>An example</h2>
<pre>HTTP/1.1 {_status_line(kind)}
content-type: {MEDIA_TYPE}

{escape(example, quote=False)}</pre>
"""


def _section(title: str, markdown: str) -> str:
    return f"<h2>{title}</h2>\n<p>{_text(markdown)}</p>" if markdown else ""


def _status_line(kind: Kind) -> str:
    return f"{kind.status} {HTTPStatus(kind.status).phrase}"


def _example(kind: Kind, document: Mapping[str, Any]) -> str:
    """Return an answer of this kind: the first that the document has, since that is one of this service's own."""
    found = (
        content["examples"][kind.slug]["value"]
        for methods in document["paths"].values()
        for operation in methods.values()
        for answer in operation["responses"].values()
        for content in answer.get("content", {}).values()
        if kind.slug in content.get("examples", {})
    )
    return json.dumps(next(found, None) or json.loads(body_of(kind, kind.detail)), indent=2)


def _text(markdown: str) -> str:
    """Return a kind's words as HTML; the only mark they have is that of code."""
    return _CODE.sub(r"<code>\1</code>", escape(markdown, quote=False))


def _page(service: str, title: str, content: str) -> HTMLResponse:
    html = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} - {service}</title>
<link rel="icon" href="/assets/favicon.png">
<style>{_STYLE}</style>
</head>
<body>
<nav aria-label="Pages"><a href="/problems">All problems</a> <a href="/docs">Interactive docs</a></nav>
<main>
<h1>{escape(title)}</h1>
{content}
</main>
</body>
</html>
"""
    return HTMLResponse(html, headers=POLICY)
