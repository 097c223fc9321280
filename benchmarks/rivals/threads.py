"""The script that such jobs are usually done with: ten threads, each with a connection, a commit for each record."""

import csv
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

THREADS = 10


def main(database: str, file: str, count: int) -> None:
    """Insert the first so many rows of a CSV file."""
    local = threading.local()

    def insert(row: dict[str, str]) -> None:
        if not hasattr(local, "connection"):
            local.connection = sqlite3.connect(database, timeout=30)
        with local.connection as db:
            db.execute("INSERT INTO users VALUES (?, ?, ?)", (row["id"], row["name"], row["email"]))

    with sqlite3.connect(database) as db:
        db.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, email TEXT)")
    with Path(file).open(newline="", encoding="utf-8") as lines, ThreadPoolExecutor(THREADS) as threads:
        for _ in threads.map(insert, islice(csv.DictReader(lines), count)):
            pass


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
