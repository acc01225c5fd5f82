"""What `pip install` gives is whole: the program, its templates, its example and its demo."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network and unpacked into a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("papers_by_mail-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def digest(installed: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command as the unpacked wheel has it: the checkout is out of reach."""
    script = (
        f"import sys; sys.path[:] = [p for p in sys.path if p not in ({str(ROOT)!r}, '')];"
        f"sys.path.insert(0, {str(installed)!r}); import digest; assert digest.__file__.startswith({str(installed)!r});"
        "from digest.cli import main; main()"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd)}
    return subprocess.run(
        [sys.executable, "-c", script, *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_an_installed_program_renders_its_demo(installed: Path, tmp_path: Path) -> None:
    done = digest(installed, tmp_path, "demo")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "digest-demo").glob("*.html"))) == 3


def test_an_installed_program_writes_its_example(installed: Path, tmp_path: Path) -> None:
    assert digest(installed, tmp_path, "init").returncode == 0
    assert (tmp_path / "config.toml").read_text(encoding="utf-8") == (ROOT / "config.example.toml").read_text(
        encoding="utf-8"
    )
