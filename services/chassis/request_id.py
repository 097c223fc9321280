"""The id of the request that is being worked on: sent with it or given to it, and passed on with what it causes."""

import re
from collections.abc import Iterable
from contextvars import ContextVar

HEADER = "x-request-id"
# Empty where no request is worked on.
current: ContextVar[str] = ContextVar("request_id", default="")

_MAX_CHARACTERS = 512
# What can stand in a header and in a log without harm.
_USABLE = re.compile(rb"[\w.,:-]{1,%d}" % _MAX_CHARACTERS)


def usable(sent: bytes) -> str | None:
    """Return the id that was sent, or None where it can't be used."""
    return sent.decode() if _USABLE.fullmatch(sent) else None


def joined(ids: Iterable[str]) -> str:
    """Return one id for what several requests cause together: theirs, as many as it may hold."""
    together = ""
    for one in dict.fromkeys(filter(None, ids)):
        longer = f"{together},{one}" if together else one
        if len(longer) > _MAX_CHARACTERS:
            break
        together = longer
    return together
