"""Read a reference manager's export, as BibTeX or RIS: the titles and abstracts of what a reader likes.

Any file is possible. Its size and the number of its entries are limited; an entry that cannot be read is skipped and
named by its line.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from digest.errors import SourceError
from digest.files import read_text
from digest.papers import Paper, build_paper

_MAX_BYTES = 8 * 2**20  # 3,000 entries with abstracts; the parser takes some seconds for the worst file of this size
_MAX_BLOCKS = 20_000  # that may be entries: the parser takes 60 microseconds for a broken one
_MAX_PAPERS = 2_000  # to compare with
_MAX_PROBLEMS = 100
_MAX_CONTINUATIONS = 500  # lines of one field of RIS: the parser copies the field for each
_RIS_TAG = re.compile(r"[A-Z][A-Z0-9]  -")


@dataclass(frozen=True, slots=True)
class Library:
    """The papers of a file, and a message for each entry that was skipped, with its line."""

    papers: tuple[Paper, ...]
    skipped: tuple[str, ...] = ()


def is_library(text: str) -> bool:
    """Whether what a topic likes is the path of such a file, and neither a name nor a text."""
    return text.lower().endswith((".bib", ".ris")) and "\n" not in text


def read_library(path: Path) -> Library:
    """Read a file that ends in .bib or .ris, in UTF-8. Raises SourceError if no entry of it can be used."""
    try:
        text = read_text(path, _MAX_BYTES)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SourceError(f"{path.name} line {line} is not UTF-8; export it as UTF-8") from None
    except (OSError, ValueError) as error:
        raise SourceError(f"{path.name} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    papers: list[Paper] = []
    skipped: list[str] = []
    for line, entry in _parse_ris(text) if path.suffix.lower() == ".ris" else _parse_bibtex(text):
        if len(papers) == _MAX_PAPERS or len(skipped) == _MAX_PROBLEMS:
            skipped.append(f"{path.name} line {line}: not read from here on, after {len(papers):,} papers")
            break
        try:
            papers.append(_to_paper(entry))
        except ValueError as error:
            skipped.append(f"{path.name} line {line}: {error}")
    if not papers:
        message = skipped[0] if skipped else f"{path.name} line 1: it has no entries"
        raise SourceError(f"{message}; export it again as {'RIS' if path.suffix.lower() == '.ris' else 'BibTeX'}")
    return Library(tuple(papers), tuple(skipped))


def _to_paper(entry: Mapping[str, str] | str) -> Paper:
    """A paper of an entry's fields. Raises ValueError, also for an entry that is a message about what is wrong."""
    if isinstance(entry, str):
        raise ValueError(entry)
    return build_paper(entry.get("title", ""), abstract=entry.get("abstract", ""))


def _parse_bibtex(text: str) -> Iterator[tuple[int, Mapping[str, str] | str]]:
    """Yield (line, fields) of each entry, or (line, what is wrong with it), in the order of the file."""
    if text.count("@") > _MAX_BLOCKS:
        yield 1, f"more than {_MAX_BLOCKS:,} entries or @ signs"
        return
    from bibtexparser import model
    from bibtexparser.entrypoint import parse_string

    logging.getLogger("bibtexparser").setLevel(logging.CRITICAL)  # it logs what we yield
    for found in parse_string(text).blocks:
        line = (found.start_line or 0) + 1
        # A key that comes twice does not matter here.
        block = found.ignore_error_block if isinstance(found, model.DuplicateBlockKeyBlock) else found
        if isinstance(block, model.Entry):
            yield line, {field.key.lower(): str(field.value).strip('"') for field in block.fields}
        elif isinstance(block, model.ParsingFailedBlock):
            yield line, "not valid BibTeX: an entry without its end, or a field that occurs twice"


def _parse_ris(text: str) -> Iterator[tuple[int, Mapping[str, str] | str]]:
    """Yield (line, fields) of each record, or (line, what is wrong with it)."""
    import rispy

    for line, record in _split_ris(text):
        try:
            (fields,) = rispy.loads(record)
        except (KeyError, TypeError, AttributeError, ValueError):
            yield line, "not a record of RIS, which begins with a line TY  - JOUR"
            continue
        texts = {key: value for key, value in fields.items() if isinstance(value, str)}
        title = next((texts[key] for key in ("title", "primary_title", "short_title") if key in texts), "")
        yield line, {"title": title, "abstract": texts.get("abstract") or texts.get("notes_abstract", "")}


def _split_ris(text: str) -> Iterator[tuple[int, str]]:
    """Yield each record with its line, from TY to ER, to the next TY or to the end, so that one spoils no other."""
    record: list[str] = []
    start = continued = 0
    for number, line in enumerate(text.split("\n"), start=1):
        tag = _RIS_TAG.match(line)
        if line.startswith(("TY  -", "ER  -")):
            if record:
                yield start, "\n".join([*record, "ER  - "])
            record, start = ([line] if line.startswith("TY") else []), number
        elif record:
            continued = 0 if tag else continued + 1
            if continued <= _MAX_CONTINUATIONS:
                record.append(line)
    if record:
        yield start, "\n".join([*record, "ER  - "])
    elif not start:
        yield 1, text[:_MAX_BLOCKS]
