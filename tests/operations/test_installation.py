"""Hints that install something name the way in which digest was installed, and never our name on a package index."""

import json
import sys
import tomllib
from pathlib import Path
from shlex import quote

import pytest

from digest.operations.installation import NAME, install_command

ROOT = Path(__file__).resolve().parents[2]


def install(prefix: Path, **direct_url: object) -> list[str]:
    """Leave what an installer writes: the metadata of the distribution, and where it came from (PEP 610)."""
    site = prefix / "lib/site-packages"
    info = site / "papers_by_mail-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 0.1.0\n")
    if direct_url:
        (info / "direct_url.json").write_text(json.dumps(direct_url))
    return [str(site)]


def test_it_knows_the_name_of_its_own_distribution() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"] == NAME


def test_a_copy_of_pipx_gets_an_injection(tmp_path: Path) -> None:
    prefix = tmp_path / "venvs" / NAME
    path = install(prefix, url=ROOT.as_uri(), dir_info={})
    (prefix / "pipx_metadata.json").write_text("{}")
    assert install_command("dns", "dnspython", prefix, path) == f"pipx inject {NAME} dnspython"


def test_a_tool_of_uv_is_installed_again_with_the_package(tmp_path: Path) -> None:
    path = install(tmp_path, url=ROOT.as_uri(), dir_info={})
    (tmp_path / "uv-receipt.toml").touch()
    assert install_command("dns", "dnspython", tmp_path, path) == f"uv tool install --with dnspython {quote(str(ROOT))}"


@pytest.mark.parametrize("editable", [True, False])
def test_a_checkout_installs_its_extra(tmp_path: Path, editable: bool) -> None:
    folder = tmp_path / "my copy"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    path = install(tmp_path, url=folder.as_uri(), dir_info={"editable": editable})
    command = install_command("dns", "dnspython", tmp_path, path)
    assert command == f"{quote(sys.executable)} -m pip install '{folder}[dns]'"


@pytest.mark.parametrize(
    "direct_url",
    [
        {},
        {"url": "https://example.org/digest.git", "vcs_info": {"vcs": "git"}},
        {"url": "file:///gone"},
        {"url": 3},
        {"url": "http://["},
    ],
)
def test_any_other_copy_installs_the_package_by_itself(tmp_path: Path, direct_url: dict[str, object]) -> None:
    path = install(tmp_path, **direct_url)
    assert install_command("dns", "dnspython", tmp_path, path).endswith(" -m pip install dnspython")
    assert install_command("dns", "dnspython", tmp_path, []).endswith(" -m pip install dnspython")
