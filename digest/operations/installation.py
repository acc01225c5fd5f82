"""How this copy of digest was installed, for hints that install something beside it."""

import json
import sys
from collections.abc import Sequence
from importlib.metadata import Distribution
from pathlib import Path
from shlex import quote
from urllib.parse import unquote, urlsplit

NAME = "papers-by-mail"  # of the distribution; the command and the package are called digest


def install_command(
    extra: str, package: str, prefix: Path = Path(sys.prefix), search_path: Sequence[str] | None = None
) -> str:
    """Return the command that adds `package`, which is in our extra `extra`, to this installation.

    `prefix` is its virtual environment, `search_path` where its metadata is, by default sys.path. No command names our
    own distribution to a package index: whoever registered that name there would be run.
    """
    folder = _source_folder(sys.path if search_path is None else search_path)
    if (prefix / "pipx_metadata.json").exists():  # pipx calls an environment by its main package
        return f"pipx inject {quote(prefix.name)} {package}"
    if (prefix / "uv-receipt.toml").exists() and folder:  # of uv tool install, whose environments have no pip
        return f"uv tool install --with {package} {quote(folder)}"
    return f"{quote(sys.executable)} -m pip install {quote(f'{folder}[{extra}]' if folder else package)}"


def _source_folder(search_path: Sequence[str]) -> str:
    """Return the folder that digest was installed from (PEP 610); '' if it came from elsewhere or is gone."""
    found = next(iter(Distribution.discover(name=NAME, path=list(search_path))), None)
    try:
        url = urlsplit(json.loads((found and found.read_text("direct_url.json")) or "{}").get("url", ""))
    except (ValueError, AttributeError):
        return ""
    folder = unquote(url.path) if url.scheme == "file" else ""
    return folder if folder and Path(folder, "pyproject.toml").is_file() else ""
