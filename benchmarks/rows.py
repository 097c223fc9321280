"""Generates records: always the same ones, with rising ids."""

import unicodedata
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from benchmarks.settings import WORK

_FIRST = "Ada,Alan,Anaïs,Barbara,Björn,Chidi,Dorothy,Edsger,Frances,Grace,Guadalupe,Hedy,Jörg,Li,Maryam,Olga,Radia,Zoë"
_LAST = "Lovelace|Turing|Nwosu|O'Neill|de la Cruz|King, Jr.|Dijkstra|García Márquez|Müller|Wei|Mirzakhani|Ladyzhenskaya"
_DOMAINS = ("example.com", "example.org", "mail.example.net", "students.university.example")


def users(count: int) -> Iterator[tuple[int, str, str]]:
    """Yield id, name and e-mail address of each user."""
    first = [(name, _local(name)) for name in _FIRST.split(",")]
    last = [(name, _local(name)) for name in _LAST.split("|")]
    for i in range(1, count + 1):
        mixed = _mixed(i)
        (given, box), (family, desk) = first[mixed % len(first)], last[(mixed >> 8) % len(last)]
        yield i, f"{given} {family}", f"{box}.{desk}{i}@{_DOMAINS[(mixed >> 16) % len(_DOMAINS)]}"


def users_ndjson(count: int) -> Iterator[str]:
    """Yield users as lines of NDJSON."""
    # Nothing in a name needs escaping.
    return (f'{{"id":{i},"name":"{name}","email":"{email}"}}\n' for i, name, email in users(count))


def users_csv(count: int) -> Iterator[str]:
    """Yield users as lines of CSV, the header first."""
    yield "id,name,email\n"
    yield from (f'{i},"{name}",{email}\n' for i, name, email in users(count))


def products_ndjson(count: int) -> Iterator[str]:
    """Yield products as lines of NDJSON."""
    return (f'{{"id":{i},"name":"Lamp {i}","price":{i % 900 + 1}.{i % 90 + 10}}}\n' for i in range(1, count + 1))


def orders_ndjson(count: int, user_count: int, product_count: int) -> Iterator[str]:
    """Yield orders whose users and products are spread over the first so many ids."""
    for i in range(1, count + 1):
        user, product = _mixed(i) % user_count + 1, (_mixed(i) >> 8) % product_count + 1
        yield f'{{"id":{i},"user_id":{user},"product_id":{product},"quantity":{i % 9 + 1}}}\n'


def folder_of(name: str, suffix: str, lines: Iterator[str], count: int) -> Path:
    """Return the folder that holds these lines in one file; write it if it is not there yet."""
    folder = WORK / "data" / f"{name}-{suffix}-{count}"
    if not folder.exists():
        half = folder.with_suffix(".half")
        half.mkdir(parents=True, exist_ok=True)
        with (half / f"{name}.{suffix}").open("w", encoding="utf-8", newline="") as out:
            out.writelines(lines)
        half.rename(folder)
    return folder


def chunks(lines: Iterator[str]) -> Iterator[bytes]:
    """Yield the lines as the chunks of a body."""
    while chunk := "".join(islice(lines, 10_000)):
        yield chunk.encode()


def _mixed(i: int) -> int:
    # Knuth's multiplicative hash: varied and always the same, for less than a random number costs.
    return i * 2_654_435_761 >> 5


def _local(name: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return "".join(filter(str.isalnum, ascii_only)).lower()
