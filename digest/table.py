"""What every print needs: rows in columns as wide as a terminal shows them, and counted things."""

from collections.abc import Sequence

from digest.text.clean import columns


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns of the width they need on a terminal."""
    widths = [max(columns(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = (
        "  ".join(cell + " " * (width - columns(cell)) for cell, width in zip(row, widths, strict=True)) for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def many(count: int, word: str, words: str = "") -> str:
    return f"{count:,} {word if count == 1 else words or word + 's'}"
