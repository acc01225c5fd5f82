"""Run by somebody else than the owner of the files, as under sudo or in a container: a sentence, and what to do."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Workplace, paper
from tests.system.test_faults import UNPRIVILEGED

pytestmark = pytest.mark.skipif(bool(UNPRIVILEGED) and not shutil.which("setpriv"), reason="root may read everything")


@pytest.fixture
def place(workplace: Workplace) -> Workplace:
    workplace.lists(paper(1))
    workplace.config()
    assert digest(workplace.folder, "-q", "run").returncode == 0
    return workplace


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder that may not be looked into."""
    folder = tmp_path / "locked"
    folder.mkdir()
    (folder / "config.toml").write_text("")
    folder.chmod(0)
    yield folder
    folder.chmod(0o700)


def digest(folder: Path, *words: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command as a user without the powers of root."""
    return subprocess.run(
        [*UNPRIVILEGED, sys.executable, "-m", "digest", *words],
        cwd=folder,
        env={"HOME": str(home or folder), "PATH": os.environ["PATH"]},
        text=True,
        capture_output=True,
        check=False,
    )


def test_the_home_folder_of_somebody_else_holds_nothing_of_ours(place: Workplace, locked: Path) -> None:
    done = digest(place.folder, "status", home=locked)
    assert (done.returncode, done.stderr) == (0, "")
    place.path.unlink()
    done = digest(place.folder, "status", home=locked)
    assert (done.returncode, "digest init" in done.stderr, done.stderr.count("\n")) == (2, True, 1)


def test_a_configuration_without_read_permission_has_the_same_message_however_it_is_named(place: Workplace) -> None:
    place.path.chmod(0)
    said = {digest(place.folder, *words).stderr for words in ((), ("-c", "config.toml")) for words in [(*words, "run")]}
    assert said == {
        "digest: config.toml cannot be read: Permission denied;"
        " make it readable for the user that runs digest, with chown or chmod\n"
    }
    done = digest(place.folder, "-c", "config.toml", "doctor")
    assert (done.returncode, "✗ configuration" in done.stdout) == (2, True)


def test_init_says_what_it_cannot_look_into(place: Workplace, locked: Path) -> None:
    locked.chmod(0o400)
    done = digest(place.folder, "init", str(locked))
    assert (done.returncode, done.stderr) == (2, f"digest: {locked} cannot be read: Permission denied\n")


def test_no_message_suggests_deleting_a_secret_that_belongs_to_another_user(place: Workplace) -> None:
    secret = place.folder / "history.db.secret"
    secret.chmod(0)
    done = digest(place.folder, "run")
    assert (done.returncode, "or delete it" in done.stderr, "run digest as its owner" in done.stderr) == (
        3,
        False,
        True,
    )


def test_somebody_without_a_name_and_a_home_can_use_it(place: Workplace) -> None:
    nameless = "import os, pwd; del os.environ['HOME']; pwd.getpwuid = {}.__getitem__"
    words = [sys.executable, "-c", f"{nameless}; from digest.cli import main; main(['status'])"]
    environ = {"HOME": str(place.folder), "PATH": os.environ["PATH"]}
    done = subprocess.run(words, cwd=place.folder, env=environ, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
