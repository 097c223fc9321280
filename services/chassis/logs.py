"""What is logged, to standard error: one line for each event, as JSON, or as text where a terminal shows it to people.

Bodies, queries and keys are never logged, nor the messages of defects, which may repeat what was sent.
"""

import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json

from services.chassis import request_id


def start(level: str) -> None:
    """Log what has that level or a higher one."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Text() if sys.stderr.isatty() else _Json())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # It would log the address of each call, with the password that may stand in it.
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _event(record: logging.LogRecord) -> dict[str, Any]:
    """Return what is to be said of the event."""
    event = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": record.getMessage(),
        "request_id": request_id.current.get(),
        **getattr(record, "fields", {}),
    }
    if record.exc_info and record.exc_info[0]:
        event |= {
            "error": record.exc_info[0].__name__,
            "at": [f"{at.filename}:{at.lineno} {at.name}" for at in traceback.extract_tb(record.exc_info[2])],
        }
    return {name: value for name, value in event.items() if value != ""}


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return to_json(_event(record)).decode()


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        event = _event(record)
        said = " ".join(event.pop(name) for name in ("time", "level", "event"))
        places = event.pop("at", [])
        # Values are what others have sent: as JSON each is one line, whatever is in it.
        pairs = [f"{name}={to_json(value).decode()}" for name, value in event.items()]
        return "\n    ".join([" ".join([said.strip(), *pairs]), *places])
