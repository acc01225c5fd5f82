"""Read files with a limit, write them atomically, and find the files that come with digest.

A name may lead to anything: a link that somebody else put there, a pipe that nobody writes to, a device without end.
"""

import errno
import os
import shlex
import stat
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO, FileIO
from pathlib import Path
from typing import BinaryIO

_ATTEMPTS, _PAUSE = 50, 0.1  # seconds between two attempts to write into a pipe that nobody reads yet


def expand_user(path: Path) -> Path:
    """`path` with ~ replaced by a home folder, or as it is when there is no such user."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def follow_own_link(path: Path) -> Path:
    """The path that a link leads to; `path` itself if it is no link, or one that another user may have put there.

    The kernel's protected_symlinks does the same.
    """
    own = path.is_symlink() and path.lstat().st_uid in (0, os.geteuid())
    return Path(os.path.realpath(path)) if own else path


def read_file(path: Path, limit: int) -> bytes:
    """The content of a regular file. Raises OSError, also for anything else and for a file of more than `limit` bytes.

    The `strerror` of the exception follows the words "cannot be read: ".
    """
    with FileIO(open_regular(path, os.O_RDONLY)) as file:
        return read_stream(file, limit)


def read_stream(file: BinaryIO | FileIO, limit: int) -> bytes:
    """All of a stream. Raises OSError like `read_file`."""
    content = BytesIO()
    while content.tell() <= limit and (part := file.read(min(2**20, limit + 1 - content.tell()))):
        content.write(part)
    if content.tell() > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit // 1000:,} kB")
    return content.getvalue()


def read_text(path: Path, limit: int) -> str:
    """The content of a file in UTF-8, with \\n as the end of its lines. Raises OSError and UnicodeDecodeError."""
    return read_file(path, limit).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def open_regular(path: Path, flags: int, mode: int = 0o600) -> int:
    """A descriptor of a regular file, opened without waiting. Raises OSError, also for anything else."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY, mode)
    try:
        _check_regular(os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def describe_exposed(files: Iterable[Path], shared: Collection[Path] = ()) -> str:
    """Say which of these existing files other users can access; how to change that. '' if none.

    The group may read those that are `shared`.
    """
    exposed = [file for file in files if file.stat().st_mode & (0o037 if file in shared else 0o077)]
    names = ", ".join(f"{file.name} ({format_mode(file)})" for file in exposed)
    fix = "chmod 600 " + " ".join(shlex.quote(str(file)) for file in exposed)
    return f"other users on this machine can access {names}; {fix}" if exposed else ""


def format_mode(file: Path) -> str:
    """The type and permissions of a file as `ls -l` shows them."""
    return stat.filemode(file.stat().st_mode)


def open_lock(path: Path) -> FileIO:
    """A file for processes to lock, created if it is missing. Raises OSError.

    Only its owner can open it: whoever may read a file may lock it, and keep others waiting.
    """
    try:
        file = FileIO(open_regular(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW), "r+")
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link; delete it") from None
        raise
    found = os.fstat(file.fileno())
    if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o077:
        os.fchmod(file.fileno(), 0o600)
    return file


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
        _write_into(path, content)
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
    if replace:
        path = follow_own_link(path)
        if path.exists():
            _check_regular(path.stat())
    # A name nobody can guess, and O_EXCL: another user must not be able to put a link there first.
    temporary = draft or path.with_name(f".{path.name}.{os.urandom(8).hex()}")
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


def _write_into(path: Path, content: bytes) -> None:
    """Write into a pipe that somebody reads, or a device like /dev/null."""
    found = path.stat()
    if not stat.S_ISFIFO(found.st_mode) and not stat.S_ISCHR(found.st_mode):
        _check_regular(found)
    if found.st_uid not in (0, os.geteuid()):
        raise PermissionError(errno.EPERM, "it belongs to another user")
    for attempt in range(_ATTEMPTS):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            break
        except OSError as error:
            if error.errno != errno.ENXIO or attempt == _ATTEMPTS - 1:
                raise
        time.sleep(_PAUSE)
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _check_regular(found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
