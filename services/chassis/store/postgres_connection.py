"""A connection to a PostgreSQL server, and how it must be set for a commit to be worth something."""

import logging
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from services.chassis.errors import CannotStart

Connection = psycopg.Connection[tuple[Any, ...]]

_log = logging.getLogger(__name__)

# What the address may say otherwise (postgresql.org/docs/current/libpq-connect.html).
_DEFAULTS = {
    "connect_timeout": "2",
    # A server, or the way to it, may vanish without a word: the system then gives the connection up within seconds.
    "tcp_user_timeout": "4000",
    "keepalives_idle": "2",
    "keepalives_interval": "1",
    "keepalives_count": "3",
    # Never a standby; of several hosts the one that is none, also after another has taken over.
    "target_session_attrs": "read-write",
    "application_name": "parallel-insert",
}
# For those who write: who waits for another transaction gives up, and the server gives up a session that falls silent
# within one. In the middle of COPY that does not count as silence, and whoever has vanished there without a word would
# keep its ids from others for hours: so the server asks whether it is still there. A commit has no timeout: one that
# waits for a standby and is cut short would be called done.
WRITING = {
    "lock_timeout": "2000",
    "idle_in_transaction_session_timeout": "10000",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "5",
    "statement_timeout": "0",
}
# For those who read; exports may be silent for long.
READING = {"statement_timeout": "30000"}


def address_of(database_url: str) -> dict[str, Any]:
    """Return the parts of the address, completed; raise `CannotStart` where it is none."""
    try:
        return {**_DEFAULTS, **conninfo_to_dict(database_url), "client_encoding": "utf8"}
    except psycopg.Error:
        # Its message repeats the address, and with it the password.
        raise CannotStart("DATABASE_URL is not an address as PostgreSQL's own programs take it.") from None


def set_up(db: Connection, own: Mapping[str, str]) -> None:
    """Make the connection one whose commits are on disk, and set what else is its own.

    Raises:
        CannotStart: the server is set to lose what was acknowledged, or can't hold every text.
        psycopg.Error: it could not be asked.
    """
    found: dict[str, str] = dict(db.execute("SELECT name, setting FROM pg_settings").fetchall())
    _raise_if_not_safe(found)
    # A commit waits for the disk at the least; what is stronger stays. It is set even where it is so already: what a
    # session has set for itself stays when the server's setting is changed.
    commit = "on" if found.get("synchronous_commit") == "off" else found.get("synchronous_commit", "")
    for name, value in {**own, "synchronous_commit": commit}.items():
        # Engines that only speak the protocol do not have all of these.
        if name in found:
            db.execute("SELECT set_config(%s, %s, false)", (name, value))


def _raise_if_not_safe(found: Mapping[str, str]) -> None:
    if found.get("fsync") == "off":
        raise CannotStart("The database server has fsync = off: it would lose what was acknowledged.")
    if found.get("server_encoding", "UTF8") != "UTF8":
        raise CannotStart(f"The database's encoding is {found['server_encoding']}; it must be UTF8.")
    if found.get("full_page_writes") == "off":
        # File systems that never tear a page make that safe, and the server can't tell.
        _log.warning("the database server has full_page_writes = off: a power cut may tear pages")
