"""Write a file whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path


def write_file(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Put `content` into the file at `path`, or leave what was there; `mode` is less the umask. Raises OSError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(content)
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
