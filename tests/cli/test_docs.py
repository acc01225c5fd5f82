"""The README and the example configuration cannot drift from the program."""

import dataclasses
import re
import shlex
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from freezegun import freeze_time

from digest.archive import ArchiveSettings
from digest.cli import main
from digest.config import DigestSettings, NotifySettings
from digest.delivery import MaildirSettings, SmtpSettings
from digest.files import bundled_file
from digest.inbound import InboxSettings
from digest.mail.requests import FeedbackSettings, SignupSettings
from digest.mail.unsubscribe import UnsubscribeSettings
from digest.ranking.sentences import SemanticSettings
from digest.ranking.topics import Topic
from digest.sources.registry import SOURCE_TYPES, source_class
from tests.conftest import MORNING, Workplace, paper
from tests.machine import programs

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SANDBOX = """
[[sources]]
type = "file"
path = "papers.jsonl"
[[topics]]
name = "Diffusion"
match = ["diffusion"]
[inbox]
path = "answers"
[archive]
path = "site"
url = "https://papers.example.org/"
"""
EXAMPLE = bundled_file("config.example.toml").read_text(encoding="utf-8")


def commands(group: click.Group, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command and subcommand, by the words that call it."""
    for name, command in sorted(group.commands.items()):
        yield (*before, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*before, name))


@pytest.mark.parametrize("words", [(), *(words for words, group in commands(main) if isinstance(group, click.Group))])
def test_no_summary_of_a_command_is_cut_off(words: tuple[str, ...]) -> None:
    listed = CliRunner().invoke(main, [*words, "--help"], terminal_width=80).stdout.partition("Commands:")[2]
    assert listed.splitlines()[1:]
    assert all(line.endswith(".") and not line.endswith("...") for line in listed.splitlines()[1:])


@pytest.mark.parametrize(("words", "command"), [*commands(main)])
def test_every_command_and_option_has_help_and_is_in_the_readme(words: tuple[str, ...], command: click.Command) -> None:
    assert command.help
    assert f"digest {words[0]}" in README
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.name
            for spelling in (max(option.opts, key=len), *option.secondary_opts):
                assert spelling in README, spelling


def examples() -> list[list[str]]:
    """The words of each example of a command line in the README, in their order."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = (line for block in blocks for line in block.splitlines() if line.startswith("digest "))
    return [shlex.split(line.partition(" && ")[0], comments=True)[1:] for line in lines]


def test_every_command_has_an_example() -> None:
    shown = [" ".join(word for word in example if not word.startswith("-")) for example in examples()]
    for words, command in commands(main):
        if not isinstance(command, click.Group):
            assert any(re.match(rf"{' '.join(words)}\b", example) for example in shown), words


def test_every_example_does_what_it_says(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All of them, one after the other, as a reader would type them; `~` is a folder of the test's."""
    home = tmp_path_factory.mktemp("home")
    programs(home / "bin", monkeypatch)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("BROWSER", "true")
    for name in ("DIGEST_CONFIG", "XDG_CONFIG_HOME", "DBUS_SESSION_BUS_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    place = Workplace(home / "papers", to=("ann@example.org",), more=SANDBOX)
    for part in ("new", "cur", "tmp"):
        (place.folder / "answers" / part).mkdir(parents=True)
    place.lists(*(paper(n, title=f"Paper {n} on flow matching", authors=["Geoffrey Hinton"]) for n in range(1, 9)))
    (place.folder / "people.csv").write_text("address\neve@example.org\n")
    place.config()
    monkeypatch.chdir(place.folder)
    for number, words in enumerate(examples()):
        frozen = freeze_time(MORNING + timedelta(minutes=number))
        with nullcontext() if "doctor" in words else frozen:  # the doctor would notice a clock that went back
            result = CliRunner().invoke(main, [str(Path(word).expanduser()) if "~" in word else word for word in words])
        assert result.exit_code == 0, (words, result.output)
    assert len(place.mails()["ann@example.org"]) == 1
    assert (home / "papers-backup.db").exists()


def keys(kind: type) -> list[str]:
    return [f.name.rstrip("_") for f in dataclasses.fields(kind) if f.init and "secret" not in f.metadata]


@pytest.mark.parametrize(
    "kind",
    [
        DigestSettings,
        Topic,
        SmtpSettings,
        MaildirSettings,
        UnsubscribeSettings,
        SignupSettings,
        FeedbackSettings,
        InboxSettings,
        ArchiveSettings,
        NotifySettings,
        SemanticSettings,
        *map(source_class, SOURCE_TYPES),
    ],
)
def test_every_key_is_in_the_example(kind: type) -> None:
    for key in keys(kind):
        assert re.search(rf"^(# )?{key} = |`{key}`", EXAMPLE, re.MULTILINE), key


def test_every_kind_of_source_is_in_the_example_and_the_readme() -> None:
    for name in SOURCE_TYPES:
        assert f'type = "{name}"' in EXAMPLE
        assert f"`{name}`" in README


def test_the_example_shows_the_defaults() -> None:
    for field in dataclasses.fields(DigestSettings):
        shown = re.search(rf"^# {field.name} = (\S+)", EXAMPLE, re.MULTILINE)
        if shown and isinstance(field.default, int | float | str):
            assert shown[1].strip('"').lower() == str(field.default).lower(), field.name


def test_exit_codes_are_documented() -> None:
    for code in range(6):
        assert re.search(rf"^\| {code} \|", README, re.MULTILINE)
