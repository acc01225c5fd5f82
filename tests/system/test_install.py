"""What `pip install` gives is whole: the program, its templates, its example and its demo."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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


# ---- the versions that are known to work -----------------------------------------------------------------------------


def known_versions() -> dict[str, str]:
    """The versions in the file of constraints, by the names of the packages."""
    lines = (ROOT / ".ci/constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def test_every_requirement_has_a_version_that_is_known_to_work() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = known_versions()
    for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(known[canonicalize_name(requirement.name)]), line


def test_ci_installs_no_other_version(tmp_path: Path) -> None:
    """Its `make` here asks pip for another version than the known one, which must then refuse."""
    checkout, programs = tmp_path / "a check out", tmp_path / "bin"
    shutil.copytree(ROOT / ".ci", checkout / ".ci")
    programs.mkdir()
    dirname = shutil.which("dirname")
    assert dirname
    (programs / "dirname").symlink_to(dirname)
    other = f"click!={known_versions()['click']}"
    options = "--no-index --dry-run --no-input --disable-pip-version-check"
    (programs / "make").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pip install {options} "{other}"\n')
    (programs / "make").chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", str(checkout / ".ci/run")],
        env={"PATH": str(programs), "HOME": str(tmp_path)},  # without apt-get, so nothing is installed
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f"click=={known_versions()['click']}" in done.stdout + done.stderr, done
    assert "constraint" in done.stdout + done.stderr, done
