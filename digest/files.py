"""Write files atomically, and find the files that come with digest."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def write_file(
    path: Path,
    content: bytes,
    *,
    mode: int = 0o666,
    replace: bool = True,
    sync: bool = False,
    draft: Path | None = None,
) -> None:
    """Replace the file at `path` with `content`, or leave it unchanged. Pipes and devices are written to instead.

    `mode` is reduced by the umask. Without `replace` an existing file stays and FileExistsError is raised. With `sync`
    the file survives a power cut once this returns. `draft` is the temporary file to write first, by default a hidden
    one beside `path`. Raises OSError.
    """
    if replace and path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    with (
        whole_file(path, mode=mode, replace=replace, sync=sync, draft=draft) as temporary,
        temporary.open("wb") as file,
    ):
        file.write(content)


@contextmanager
def whole_file(
    path: Path, *, mode: int = 0o666, replace: bool = True, sync: bool = False, draft: Path | None = None
) -> Iterator[Path]:
    """Yield an empty file for the block to fill, and move it to `path` if the block ends without an exception.

    Arguments and exceptions as in `write_file`. The temporary file is always deleted.
    """
    # Like the kernel's protected_symlinks, follow a link unless somebody else may have put it there.
    if replace and path.is_symlink() and path.lstat().st_uid in (0, os.geteuid()):
        path = Path(os.path.realpath(path))
    # A name nobody can guess, and O_EXCL: another user must not be able to put a link there first.
    temporary = draft or path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode))
    try:
        yield temporary
        if sync:
            _sync(temporary)
        if replace:
            temporary.replace(path)
        else:
            os.link(temporary, path)
        if sync:
            _sync(path.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def bundled_file(name: str) -> Path:
    """Return a file or folder that comes with digest: inside the package once installed, beside it in a checkout."""
    inside = Path(__file__).parent / name
    return inside if inside.exists() else inside.parent.parent / name


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
