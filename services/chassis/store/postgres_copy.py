"""Rows in the text format of COPY (postgresql.org/docs/current/sql-copy.html)."""

from collections.abc import Sequence

# What would be taken for the end of a value or of a row, or for an escape itself.
_ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def copy_text(columns: Sequence[Sequence[int | str]]) -> str:
    """Return the rows whose values these columns hold."""
    return "\n".join(map("\t".join, zip(*map(_fields, columns), strict=True)))


def _fields(values: Sequence[int | str]) -> Sequence[str]:
    texts = list(map(str, values))
    # Most often there is nothing to escape, and to look for it in all of them at once takes the least.
    together = "".join(texts)
    if any(chr(special) in together for special in _ESCAPED):
        return [text.translate(_ESCAPED) for text in texts]
    return texts
