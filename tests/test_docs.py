"""The README and the example configuration cannot drift from the program."""

import dataclasses
import re
from pathlib import Path

import click
import pytest

from digest.cli import main
from digest.config import Digest
from digest.delivery import Maildir, Smtp
from digest.inbox import Inbox
from digest.leaving import Unsubscribe
from digest.notify import Notify
from digest.render import shipped
from digest.sources.registry import KINDS, kind
from digest.topics import Topic

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE = shipped("config.example.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_and_option_has_help_and_is_in_the_readme(name: str) -> None:
    command = main.commands[name]
    assert command.help
    assert f"`digest {name}" in README
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help or option.type.name == "choice", option.name
            assert f"`digest {name}" in README
            assert max(option.opts, key=len) in README, option.opts


def keys(kind: type) -> list[str]:
    return [f.name.rstrip("_") for f in dataclasses.fields(kind) if f.init and "secret" not in f.metadata]


@pytest.mark.parametrize("kind", [Digest, Topic, Smtp, Maildir, Unsubscribe, Inbox, Notify, *map(kind, KINDS)])
def test_every_key_is_in_the_example(kind: type) -> None:
    for key in keys(kind):
        assert re.search(rf"^(# )?{key} = |`{key}`", EXAMPLE, re.MULTILINE), key


def test_every_kind_of_source_is_in_the_example_and_the_readme() -> None:
    for name in KINDS:
        assert f'type = "{name}"' in EXAMPLE
        assert f"`{name}`" in README


def test_the_example_shows_the_defaults() -> None:
    for field in dataclasses.fields(Digest):
        shown = re.search(rf"^# {field.name} = (\S+)", EXAMPLE, re.MULTILINE)
        if shown and isinstance(field.default, int | float | str):
            assert shown[1].strip('"').lower() == str(field.default).lower(), field.name


def test_exit_codes_are_told() -> None:
    for code in range(6):
        assert re.search(rf"^\| {code} \|", README, re.MULTILINE)
