"""Single inserts of orders: what the look-up of users and products in their services costs."""

import shutil

from benchmarks.report import table, us
from benchmarks.results import Part, Values
from benchmarks.rows import chunks, products_ndjson, users_ndjson
from benchmarks.servers import Server, fresh_folder, service
from benchmarks.settings import Settings
from benchmarks.single import USERS
from benchmarks.wrk import Posts, drive

USER_COUNT = 500_000
_ORDER = '{"user_id": %d, "product_id": %d, "quantity": 1}'
_KNOWN = Posts("/orders", _ORDER, limit=300)
# An orders service that starts anew knows none; these users are not among the 300 that it meets while it warms up.
_NEW = Posts("/orders", _ORDER, first=301)
_WAYS = {"users": USERS, "orders, references known": _KNOWN, "orders, every user new": _NEW}


def measure(settings: Settings, part: Part) -> None:
    """Drive users, then orders in both ways, once a turn, each with a new service over the same users and products."""
    if not shutil.which("wrk"):
        raise RuntimeError("wrk is not installed")
    with fresh_folder() as folder, service("users", folder) as users, service("products", folder) as products:
        users.load("users", chunks(users_ndjson(USER_COUNT)))
        products.load("products", chunks(products_ndjson(300)))
        for _ in range(settings.turns):
            part.turns.append({name: _one(name, users, products, settings.seconds, part) for name in _WAYS})


def _one(name: str, users: Server, products: Server, seconds: int, part: Part) -> Values:
    kind = name.partition(",")[0]
    with fresh_folder() as folder, service(kind, folder, USERS_URL=users.url, PRODUCTS_URL=products.url) as server:
        answers = drive([server], USERS if kind == "users" else _KNOWN, 64, 1)["requests"]
        found = drive([server, users, products], _WAYS[name], 64, seconds)
        answers += found["requests"]
        part.expect(not found["errors"], f"{name}: {found['errors']:.0f} requests failed")
        part.expect(answers <= server.count(kind) <= answers + 2 * 64, f"{name}: rows stored are not those answered")
    print(f"  {name}: {found['rate']:,.0f}/s", flush=True)
    return found


def blocks(part: Part) -> dict[str, str]:
    """Return the table by its name."""
    rows = [
        [
            name,
            f"{part.median(name, 'rate'):,.0f}",
            part.ratio(name, "users", "rate"),
            f"{part.median(name, 'p50_ms'):,.2f} ms",
            f"{part.median(name, 'p99_ms'):,.2f} ms",
            us(part.median(name, "cpu_us")),
            us(part.median(name, "others_cpu_us")) if name != "users" else "",
        ]
        for name in part.names()
    ]
    heads = ["connections: 64", "requests/s", "ratio to users", "p50", "p99", "CPU a request", "of users and products"]
    return {"orders-64": table(heads, rows)}
