"""The secret in a file beside the database. It signs the tokens in unsubscribe links."""

import secrets
from contextlib import suppress
from pathlib import Path

from digest.errors import HistoryError
from digest.files import read_text, write_file
from digest.mail.shard import shared_path

_MIN_BYTES = 16
_MAX_BYTES = 1024  # of the file


def secret_path(database: Path) -> Path:
    """The file of the secret. All shards have the same one, so that links in old mails work when readers move."""
    shared = shared_path(database)
    return shared.with_name(shared.name + ".secret")


def load_secret(database: Path) -> bytes:
    """Read the secret from the file beside the database; create it on first use, readable by its owner only.

    Raises HistoryError when it cannot be read or created.
    """
    path = secret_path(database)
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileExistsError):  # of two first runs at once, both use the first secret
                write_file(path, f"{secrets.token_hex(32)}\n".encode(), mode=0o600, replace=False, sync=True)
        secret = bytes.fromhex(read_text(path, _MAX_BYTES))
    except PermissionError:
        raise HistoryError(f"the secret {path} cannot be read: permission denied; run digest as its owner") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its content is invalid"
        raise HistoryError(
            f"the secret {path} cannot be used: {reason}; restore it from a backup, or delete it"
        ) from None
    if len(secret) < _MIN_BYTES:
        raise HistoryError(
            f"the secret {path} is too short; restore it from a backup, or delete it to have a new one created"
        )
    return secret
