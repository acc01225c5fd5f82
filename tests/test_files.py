"""A file is written whole or not at all, and nothing that is not a plain file is ever replaced."""

import os
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from digest.files import whole_file, write_file


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
