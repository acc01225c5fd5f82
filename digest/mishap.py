"""What SQLite says when it fails, and what to do about it, in a sentence."""

from pathlib import Path

from digest.errors import HistoryError


def unusable(path: Path, problem: Exception) -> HistoryError:
    """The error to raise for what SQLite raised about the database at `path`."""
    return HistoryError(f"the history {path} cannot be used: {_in_words(problem)}")


def _in_words(problem: Exception) -> str:
    advice = {
        "file is not a database": "it is not a database, or damaged; put a backup in its place or move it away",
        "disk image is malformed": "it is damaged; put a backup in its place or move it away",
        "readonly": "it may not be written to; check the permissions of the file and its folder",
        "locked": "another process keeps it locked; try again when that is done",
        "disk is full": "the disk is full; make room and run again, nothing is lost",
        "disk I/O error": "the disk failed or is full; make room and run again, nothing is lost",
        "no such column": "its tables are those of an older or unfinished version; move it away or upgrade digest",
        "no such table": "it is a database of something else; name another file in digest.database",
        "already exists": "it is a database of something else; name another file in digest.database",
    }
    return next((words for sign, words in advice.items() if sign in str(problem)), str(problem))
