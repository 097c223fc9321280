"""The users service over a store that stores nothing: what the rest of the app reaches by itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.chassis import service
from services.chassis.server import run
from services.chassis.store import Inserted
from services.users.resource import USERS


class _Nothing:
    """As much of a store as inserts need."""

    last_id = 0

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def insert(self, records: Sequence[Mapping[str, Any]]) -> Inserted:
        start = self.last_id + 1
        self.last_id += len(records)
        return Inserted([record.get("id", start + n) for n, record in enumerate(records)], {})


if __name__ == "__main__":
    # As in a test: the service is left as it is, and gets another store.
    setattr(service, "make_store", lambda *_: _Nothing())  # noqa: B010 - a plain assignment would need two ignores
    run(USERS)
