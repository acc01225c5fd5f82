"""The secret beside the database, which signs the tokens that subscribers leave with."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from digest.errors import HistoryError


def load_secret(database: Path) -> bytes:
    """The secret in the file beside the database, made on first use, readable by its owner alone.

    Raises HistoryError when it cannot be read or made.
    """
    path = database.with_name(database.name + ".secret")
    try:
        if not path.exists():
            _create_secret(path)
        found = bytes.fromhex(path.read_text(encoding="ascii"))
    except PermissionError:
        raise HistoryError(f"the secret {path} cannot be used: it may not be read; run digest as its owner") from None
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or "it is not what digest wrote"
        raise HistoryError(
            f"the secret {path} cannot be used: {reason}; restore it from a backup, or remove it"
        ) from None
    if len(found) < 16:
        raise HistoryError(
            f"the secret {path} is too short; restore it from a backup, or remove it to have a new one made"
        )
    return found


def _create_secret(path: Path) -> None:
    """Write it whole or not at all: of two first runs at once, both use the one that came first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secrets.token_hex(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
