"""Write a file whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path


def save(path: Path, content: bytes) -> None:
    """Put `content` into the file at `path`, or leave what was there. Raises OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
