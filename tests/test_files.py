"""What digest reads is bounded, what it writes is whole, and it follows nothing that somebody else put there."""

import ast
import os
import re
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result
from freezegun import freeze_time

from digest.cli import main
from digest.config import load
from digest.errors import DigestError
from digest.files import open_lock, read_file, read_text, whole_file, write_file
from digest.operations import init
from digest.store.backup import backup
from digest.store.database import open_database
from digest.store.secret import load_secret
from tests.conftest import Workplace, paper
from tests.test_layers import MODULES

LIMIT = 1000


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


STRANGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "folder": (Path.mkdir, "Is a directory"),
    "pipe": (os.mkfifo, "it is not a regular file"),
    "socket": (listening, "No such device|it is not a regular file"),
    "endless": (lambda path: path.symlink_to("/dev/zero"), "it is not a regular file|symbolic link"),
    "nothing": (lambda path: path.symlink_to("/dev/null"), "it is not a regular file|symbolic link"),
    "loop": (lambda path: path.symlink_to(path), "symbolic link"),
}


@pytest.fixture(params=sorted(STRANGE))
def strange(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """Something that is not a file, and what is said about it."""
    make, words = STRANGE[request.param]
    make(tmp_path / "strange")
    return tmp_path / "strange", words


def test_only_a_regular_file_is_read_and_nothing_is_waited_for(strange: tuple[Path, str]) -> None:
    path, words = strange
    with pytest.raises(OSError, match=words):
        read_file(path, LIMIT)


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * LIMIT)
    assert read_file(path, LIMIT) == b"x" * LIMIT
    path.write_bytes(b"x" * (LIMIT + 1))
    with pytest.raises(OSError, match="it is larger than"):
        read_file(path, LIMIT)
    path.write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n")
    assert read_text(path, LIMIT) == "a\nb\nc\n"
    (tmp_path / "link").symlink_to(path)
    assert read_text(tmp_path / "link", LIMIT) == "a\nb\nc\n"


@pytest.mark.parametrize("replace", [True, False])
def test_only_a_regular_file_is_replaced(strange: tuple[Path, str], replace: bool) -> None:
    """As root, a file would take the place of /dev/null itself."""
    path, words = strange
    before = path.stat() if path.exists() else None
    if before:
        with pytest.raises(OSError, match=f"{words}|File exists"), whole_file(path, replace=replace) as temporary:
            temporary.write_text("new")
        assert (path.stat(), list(path.parent.iterdir())) == (before, [path])


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, listening])
def test_what_nobody_reads_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object]
) -> None:
    monkeypatch.setattr("digest.files._PAUSE", 0.01)
    make(tmp_path / "strange")
    with pytest.raises(OSError, match=r"No such device|Is a directory|it is not a regular file"):
        write_file(tmp_path / "strange", b"new")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make the pipe of another user")
def test_nobody_else_gets_what_is_written(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    os.chown(tmp_path / "pipe", 65534, 65534)
    descriptor = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(OSError, match="it belongs to another user"):
        write_file(tmp_path / "pipe", b"a token")
    assert os.read(descriptor, 10) == b""
    os.close(descriptor)


def test_a_failed_write_leaves_the_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_file(path, b"old")

    with suppress(KeyboardInterrupt), whole_file(path) as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt

    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"page.html": b"old"}


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "page.html", tmp_path / "page.html"
    target.write_bytes(b"old")
    link.symlink_to(target)

    write_file(link, b"new")

    assert link.is_symlink()
    assert target.read_bytes() == b"new"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make the link of another user")
def test_a_link_of_another_user_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "theirs", tmp_path / "page.html"
    target.write_bytes(b"precious")
    link.symlink_to(target)
    os.chown(link, 65534, 65534, follow_symlinks=False)

    write_file(link, b"new")

    assert link.read_bytes() == b"new"
    assert not link.is_symlink()
    assert target.read_bytes() == b"precious"


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()

    write_file(pipe, b"page")
    reader.join(10)

    assert read == [b"page"]
    assert pipe.is_fifo()


def test_without_replace_an_existing_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"mine")

    with pytest.raises(FileExistsError):
        write_file(path, b"new", replace=False)

    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"config.toml": b"mine"}


# Where a command writes, in the folder of the configuration -> the command.
WRITERS = {
    "page.html": ("preview", "-o", "page.html"),
    "digest-preview.txt": ("preview", "--format", "txt"),
    "people.csv": ("subscribers", "export", "people.csv"),
    "units/systemd/user/digest-NAME.timer": ("schedule", "install", "--systemd"),
    "mail/new/NAME": ("run",),
    "mail/tmp/NAME": ("run",),
}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make the link of another user")
@pytest.mark.parametrize("planted", sorted(WRITERS))
def test_a_link_that_somebody_planted_is_not_written_through(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, planted: str
) -> None:
    monkeypatch.chdir(workplace.folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(workplace.folder / "units"))
    workplace.lists(paper(1))
    workplace.config()
    link, victim = workplace.folder / planted, workplace.folder / "victim"
    if "NAME" in planted:  # known to whoever looks at another run
        digest(workplace, *WRITERS[planted])
        (written,) = workplace.folder.glob(planted.replace("tmp", "new").replace("NAME", "*"))
        link = link.with_name(written.name)
        for path in (written, *workplace.folder.glob("history.db*")):
            if not path.name.endswith(".secret"):
                path.unlink()
    victim.write_text("precious")
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(victim)
    os.chown(link, 65534, 65534, follow_symlinks=False)
    assert digest(workplace, *WRITERS[planted]).exit_code == 0
    assert victim.read_text() == "precious"
    assert not link.is_symlink()


def digest(workplace: Workplace, *words: str) -> Result:
    with freeze_time("2026-04-20 05:00:00"):
        return CliRunner().invoke(main, ["-c", str(workplace.path), *words])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make the link of another user")
def test_a_link_where_a_file_would_be_created_is_refused(tmp_path: Path) -> None:
    """A secret, a configuration, a backup and a lock are not written where the link of another user leads."""
    elsewhere = tmp_path / "elsewhere"
    with open_database(tmp_path / "history.db"):
        pass
    for name in ("history.db.secret", "config.toml", ".env", "copy.db", "other.db.secret", "history.db.lock"):
        (tmp_path / name).symlink_to(elsewhere)
        os.chown(tmp_path / name, 65534, 65534, follow_symlinks=False)
    for refused, words in (
        (lambda: load_secret(tmp_path / "history.db"), "history.db.secret cannot be used"),
        (lambda: backup(tmp_path / "history.db", tmp_path / "copy.db", force=True), "link of another user"),
        (lambda: backup(tmp_path / "history.db", tmp_path / "other.db", force=True), "link of another user"),
        (lambda: open_lock(tmp_path / "history.db.lock"), "it is a symbolic link"),
    ):
        with pytest.raises((DigestError, OSError), match=words):
            refused()
    init.write(tmp_path)
    assert not elsewhere.exists()


def test_nobody_can_guess_the_name_of_a_draft(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    names = set()
    for _ in range(20):
        with whole_file(path) as draft:
            names.add(draft.name)
    assert len(names) == 20
    assert all(re.fullmatch(r"\.people\.csv\.[0-9a-f]{16}", name) for name in names)


def test_a_draft_that_comes_back_at_once_is_refused(tmp_path: Path) -> None:
    """The draft of a Maildir has a name that can be guessed: what appears there between two steps is not followed."""
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "draft").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "letter", b"x", draft=tmp_path / "draft")
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "letter").exists()


def test_a_lock_is_its_owners_alone_even_if_it_was_not(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch(0o644)
    for _ in range(2):
        with open_lock(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.unlink()
    before = os.umask(0)
    try:
        with open_lock(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_a_lock_is_a_regular_file(strange: tuple[Path, str]) -> None:
    path, words = strange
    with pytest.raises(OSError, match=words):
        open_lock(path)


# Module -> the calls in it that open a file for writing.
OPENED_FOR_WRITING = {
    "files": {"os.open", "os.fdopen", "open_regular", "FileIO", "temporary.open"},
    "store.database": {"open_regular"},  # the database itself
    "delivery.maildir": {"TemporaryFile"},  # which has no name
    "cli.streams": {"open"},  # /dev/null
}
OPENERS = "os.open os.fdopen open_regular FileIO write_text write_bytes touch TemporaryFile NamedTemporaryFile".split()


def test_every_file_is_written_by_one_module() -> None:
    found: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and _may_write(node):
                found.setdefault(name, set()).add(ast.unparse(node.func))
    assert found == OPENED_FOR_WRITING


def _may_write(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    if name.startswith("formatter."):  # of click's help
        return False
    if name in OPENERS or name.rpartition(".")[2] in OPENERS:
        return True
    modes = [text for text in map(ast.unparse, call.args) if text == "mode" or text[0] in "\"'"]
    return name.rpartition(".")[2] == "open" and any(text == "mode" or set(text) & set("wax+") for text in modes)


def test_a_configuration_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.toml").write_text('[digest]\nfrom = "a@example.org"\n[[sources]]\ntype = "huggingface"\n')
    (tmp_path / "config.toml").symlink_to(tmp_path / "real.toml")
    assert load(tmp_path / "config.toml", {}).digest.from_.address == "a@example.org"
