"""`digest init` asks for what it cannot guess, writes a valid configuration, and never overwrites a file."""

import os
import pty
import re
import select
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result
from dotenv import dotenv_values
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.cli import main
from digest.config import load
from digest.delivery import SmtpSettings
from digest.delivery.providers import _BY_DOMAIN, find_provider
from digest.operations import init
from digest.operations.timetable import machine_zone

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "Europe/Berlin")
    return tmp_path


def run_init(*words: str) -> Result:
    return CliRunner().invoke(main, ["init", *words])


def tables(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "config.toml").read_text(encoding="utf-8"))


class Terminal:
    """A real terminal that runs `digest init`; answers are typed when their question is shown."""

    def __init__(self, master: int) -> None:
        self._master = master
        self.seen = ""

    def answer(self, question: str, text: str) -> str:
        """Wait for a question, type an answer and Enter; return the output since the last answer."""
        said = self._until(question)
        os.write(self._master, f"{text}\n".encode())
        return said

    def rest(self) -> str:
        return self._until(None)

    def _until(self, words: str | None) -> str:
        said = ""
        while words is None or not re.search(rf"{re.escape(words)}[^\n]*: $", said):
            assert select.select([self._master], [], [], 30)[0], f"waited for {words!r} and saw {said!r}"
            try:
                read = os.read(self._master, 4096).decode()
            except OSError:  # the other end is closed
                read = ""
            if not read:
                assert words is None, f"it ended before {words!r}: {said!r}"
                break
            said += read
        self.seen += said
        return said


@contextmanager
def terminal(folder: Path, *words: str) -> Iterator[tuple[Terminal, "subprocess.Popen[bytes]"]]:
    master, slave = pty.openpty()
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "TZ": "Europe/Berlin"}
    command = [sys.executable, "-m", "digest", "init", *words]
    process = subprocess.Popen(
        command, cwd=folder, env=environ, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    try:
        yield Terminal(master), process
        process.wait(30)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_on_a_terminal_it_asks_and_enter_accepts_the_default(tmp_path: Path) -> None:
    with terminal(tmp_path) as (person, process):
        person.answer("Your email address", "ann@gmail.com")
        assert "[smtp.gmail.com:587]" in person.answer("Mail server", "")
        assert "[ann@gmail.com]" in person.answer("User name", "")
        assert "[Europe/Berlin]" in person.answer("Time zone", "")
        person.answer("Your interests", "diffusion models, cs.LG, stat.ML")
        assert "Gmail needs an app password" in person.answer("Password (hidden; press Enter to skip)", "it's #1\\")
        assert "  digest doctor" in person.rest()
    assert process.returncode == 0
    assert "it's #1" not in person.seen
    config = load(tmp_path / "config.toml", dotenv_values(tmp_path / ".env", interpolate=False))  # type: ignore[arg-type]  # no None in it
    assert (config.digest.to, config.digest.from_.address) == (("ann@gmail.com",), "ann@gmail.com")
    (topic,) = config.topics
    assert (topic.name, topic.match, topic.categories) == ("My interests", ("diffusion model*",), ("cs.LG", "stat.ML"))
    assert [getattr(source, "categories", None) for source in config.sources] == [None, ("cs.LG", "stat.ML")]
    assert str(config.digest.timezone) == "Europe/Berlin"
    assert isinstance(config.delivery, SmtpSettings)
    assert (config.delivery.host, config.delivery.port, config.delivery.security) == (
        ("smtp.gmail.com",),
        587,
        "starttls",
    )
    assert (config.delivery.username, config.delivery.password) == ("ann@gmail.com", "it's #1\\")


def test_a_bad_answer_is_asked_again_with_what_is_wrong(tmp_path: Path) -> None:
    with terminal(tmp_path) as (person, _):
        person.answer("Your email address", "ann")
        assert "is not an email address" in person.answer("Your email address", "ann@lab.example, bob@lab.example")
        person.answer("Mail server", "https://mail.lab.example")
        assert "Error: it must be a host name" in person.answer("Mail server", "mail.lab.example:99999")
        assert "must be a number from 1 to 65535" in person.answer("Mail server", "mail.lab.example:465")
        person.answer("User name", "-")
        person.answer("Time zone", "Mars/Olympus")
        assert "must be a time zone" in person.answer("Time zone", "UTC")
        person.answer("Your interests", "cs.lg, robots")
        said = person.answer("Your interests", "nowhere.bib")
        assert 'must be arXiv categories, not "cs.lg" (did you mean "cs.LG"?)' in said
        assert "nowhere.bib cannot be read: No such file" in person.answer("Your interests", "")
        person.rest()
    found = tables(tmp_path)
    assert found["digest"]["to"] == ["ann@lab.example", "bob@lab.example"]
    assert found["digest"]["timezone"] == "UTC"
    assert found["smtp"] == {"host": "mail.lab.example", "port": 465, "security": "tls", "username": ""}
    assert "Password" not in person.seen


def test_on_a_narrow_terminal_no_line_is_broken_in_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    with terminal(tmp_path, "--to", "ann@gmail.com") as (person, _):
        person.answer("Mail server", "ann@gmail.com")
        for question in ("Mail server", "User name", "Time zone", "Your interests", "Password"):
            person.answer(question, "")
        person.rest()
    lines = person.seen.splitlines()
    assert "myaccount.google.com/apppasswords" in lines
    assert all(len(line) <= 60 for line in lines if not line.startswith(("Wrote", "User name"))), lines


def test_it_asks_neither_for_given_options_nor_for_existing_files(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("mine")
    with terminal(tmp_path, "--to", "ann@web.de", "--timezone", "UTC", "--username", "ann") as (person, _):
        assert "[smtp.web.de:587]" in person.answer("Mail server", "")
        person.answer("Your interests", "")
        person.rest()
    assert (tmp_path / ".env").read_text() == "mine"
    assert tables(tmp_path)["smtp"]["username"] == "ann"
    with terminal(tmp_path) as (person, _):
        assert "nothing was changed" in person.rest()
    (tmp_path / ".env").unlink()
    before = (tmp_path / "config.toml").read_bytes()
    with terminal(tmp_path, "--to", "bob@web.de") as (person, process):
        person.answer("Password", "")
        said = person.rest()
    assert (process.returncode, "not changed; set digest.to in it" in said) == (0, True)
    assert (tmp_path / "config.toml").read_bytes() == before
    assert (tmp_path / ".env").exists()


def test_nothing_is_written_when_a_question_is_not_answered(tmp_path: Path) -> None:
    with terminal(tmp_path) as (person, process):
        person.answer("Your email address", "ann@lab.example")
        person.answer("Mail server", "\x04")  # end of file
        assert "Traceback" not in person.rest()
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_and_without_options_the_example_is_written(here: Path) -> None:
    assert run_init().exit_code == 0
    assert (here / "config.toml").read_bytes() == (ROOT / "config.example.toml").read_bytes()


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (
            ["--to", "ann@posteo.de"],
            {
                "digest.to": ["ann@posteo.de"],
                "digest.from": "Paper Digest <ann@posteo.de>",
                "digest.timezone": "Europe/Berlin",
                "smtp.host": "posteo.de",
                "smtp.port": 465,
                "smtp.security": "tls",
                "smtp.username": "ann@posteo.de",
            },
        ),
        (
            [
                "--to",
                "Ann <ann@a.example>",
                "--to",
                "bob@a.example",
                "--host",
                "mail.a.example",
                "--from",
                "d@a.example",
            ],
            {
                "digest.to": ["Ann <ann@a.example>", "bob@a.example"],
                "digest.from": "d@a.example",
                "smtp.port": 587,
                "smtp.security": "starttls",
                "smtp.username": "ann@a.example",
            },
        ),
        (["--host", "h.example", "--security", "tls"], {"smtp.port": 465, "smtp.security": "tls"}),
        (["--host", "h.example", "--port", "465"], {"smtp.port": 465, "smtp.security": "tls"}),
        (["--host", "localhost"], {"smtp.port": 25, "smtp.security": "none", "smtp.username": ""}),
        (["--to", "a@b.example"], {"smtp.host": "smtp.example.org", "digest.from": "Paper Digest <a@b.example>"}),
        (
            ["--to", "a@gmail.com", "--maildir", 'my "mail"'],
            {"maildir.path": 'my "mail"', "digest.to": ["a@gmail.com"]},
        ),
        (["--timezone", "UTC"], {"digest.timezone": "UTC", "digest.to": ["you@example.org"]}),
    ],
)
def test_options_and_their_defaults_are_filled_in(here: Path, options: Sequence[str], wanted: dict[str, Any]) -> None:
    result = run_init(*options)
    assert (result.exit_code, result.stderr) == (0, "")
    found = tables(here)
    assert {key: found[key.split(".")[0]][key.split(".")[1]] for key in wanted} == wanted
    assert ("maildir" in found) != ("smtp" in found)
    load(here / "config.toml", {})


def test_only_the_values_change_and_comments_keep_their_column(here: Path) -> None:
    run_init("--to", "a@b.example", "--host", "mail.b.example", "--port", "465", "--timezone", "UTC")
    pairs = zip(
        (ROOT / "config.example.toml").read_text().split("\n"),
        (here / "config.toml").read_text().split("\n"),
        strict=True,
    )
    changed = [(old, new) for old, new in pairs if old != new]
    assert [new.split(" = ")[0] for _, new in changed] == ["from", "to", "host", "port", "security", "username"]
    assert all(old.partition("#")[1:] == new.partition("#")[1:] for old, new in changed)
    assert all(old.find("#") == new.find("#") for old, new in changed)


def test_a_long_value_keeps_its_comment_two_spaces_away() -> None:
    text = init.fill_example({"from": f"Paper Digest <{'x' * 40}@b.example>"})
    assert f'from = "Paper Digest <{"x" * 40}@b.example>"  # the sender\n' in text


def test_a_maildir_takes_the_place_of_the_mail_server(here: Path) -> None:
    run_init("--maildir", "m", "--timezone", "UTC")
    before, _, rest = init.example().partition("[smtp]\n")
    after = rest.partition('# [maildir]\n# path = "mail"\n')[2]
    assert (here / "config.toml").read_text() == f'{before}[maildir]\npath = "m"\n{after}'
    assert "[inbox]" in after


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "ann"], '--to: "ann" is not an email address'),
        (["--to", ""], '--to: "" is not an email address'),
        (["--from", "x@y z"], '--from: "x@y z"'),
        (["--port", "0", "--to", "b"], "--port: must be a number from 1 to 65535, not 0"),
        (["--host", "a b"], '--host: must be a host name, not "a b"'),
        (["--host", "mail.x:465"], '--host: "mail.x:465" contains a port'),
        (["--security", "ssl"], '--security: must be "starttls", "tls" or "none", not "ssl"'),
        (
            ["--host", "mail.x", "--security", "none"],
            '--security: must not be "none" for mail.x: mail would be sent unencrypted',
        ),
        (["--timezone", "Berlin"], '--timezone: must be a time zone, not "Berlin"'),
        (["--maildir", "m", "--host", "x"], "--maildir: cannot be used together with --host"),
        (["--username", "a\nb"], "--username: must contain only printable characters"),
    ],
)
def test_problems_name_their_option_and_nothing_is_written(here: Path, options: Sequence[str], message: str) -> None:
    result = run_init(*options)
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr
    assert list(here.iterdir()) == []


def test_only_its_owner_can_ever_read_the_env_file_and_it_names_every_secret(here: Path) -> None:
    before = os.umask(0)
    try:
        init.write(here, {}, "secret")
    finally:
        os.umask(before)
    assert stat.S_IMODE((here / ".env").stat().st_mode) == 0o600
    for name in ("DIGEST_SMTP_PASSWORD", "DIGEST_INBOX_PASSWORD", "HF_TOKEN"):
        assert re.search(rf"^# [A-Z].*\n(# )?{name}=", (here / ".env").read_text(), re.MULTILINE)


def test_a_folder_that_cannot_be_written_to_is_an_error(here: Path) -> None:
    (here / "file").write_text("x")
    result = run_init("file/below")
    assert (result.exit_code, "cannot be written to" in result.stderr) == (2, True)


def test_the_next_command_can_be_pasted_whatever_the_folder_is_called(here: Path) -> None:
    assert "  digest -c 'my papers/config.toml' doctor\n" in run_init("my papers").stdout


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_every_password_is_read_back_as_it_was(password: str) -> None:
    from io import StringIO

    text = init.format_env(password) + "OTHER='x'\nMORE=\"y\"\n"
    found = dotenv_values(stream=StringIO(text, newline=""), interpolate=False)
    assert found == {"DIGEST_SMTP_PASSWORD": password, "OTHER": "x", "MORE": "y"}


@pytest.mark.parametrize("password", ["a\\", "'\"\\' #", "${HOME}", " x ", "\\n", "é🔑", "", "a=b", "#x", "export x"])
def test_awkward_passwords_reach_the_configuration(here: Path, password: str) -> None:
    from digest.cli import App

    init.write(here, {"to": ("a@b.example",)}, password)
    delivery = App(None, quiet=False).config().delivery
    assert isinstance(delivery, SmtpSettings)
    assert delivery.password == password


@settings(deadline=None)  # each answer parses the whole configuration twice
@given(st.text(max_size=20))
def test_every_answer_is_rejected_or_can_be_read_back(text: str) -> None:
    answers: dict[str, init.Answer] = {"username": text, "host": text}
    if not init.find_problems(answers):
        assert tomllib.loads(init.fill_example(answers))["smtp"]["username"] == text


def test_every_provider_in_the_table_gives_a_valid_configuration() -> None:
    for domain in _BY_DOMAIN:
        answers = init.add_defaults({"to": (f"ann@{domain}",)}, "")
        assert "host" in answers, domain
        assert init.find_problems(answers) == {}
    assert find_provider("ann@lab.onmicrosoft.com") is not None
    assert find_provider("ann@notgmail.com") is None


def test_the_time_zone_comes_from_the_variable_or_the_link(tmp_path: Path) -> None:
    link = tmp_path / "localtime"
    link.symlink_to("/usr/share/zoneinfo/Asia/Tokyo")
    assert init.zone_name(machine_zone({}, link)) == "Asia/Tokyo"
    assert init.zone_name(machine_zone({"TZ": ":America/New_York"}, link)) == "America/New_York"
    assert init.zone_name(machine_zone({"TZ": "<+03>-3"}, link)) == "Asia/Tokyo"
    assert init.zone_name(machine_zone({}, tmp_path / "none")) == "UTC"
    assert init.zone_name(ZoneInfo("Etc/UTC")) == "UTC"
    (tmp_path / "copy").write_bytes(link.read_bytes())
    assert init.zone_name(machine_zone({}, tmp_path / "copy")) == "UTC", "a zone without a name cannot be written"


def test_interests_are_options_too_and_a_library_is_found_from_anywhere(here: Path) -> None:
    (here / "mine.bib").write_text("@misc{a, title={Knots in Looms}}")
    words = ("--interest", "graph neural networks", "--interest", "GAN", "--category", "cs.RO", "--library", "mine.bib")
    assert run_init("papers", "--to", "ann@lab.example", "--maildir", "mail", *words).exit_code == 0
    (topic,) = load(here / "papers" / "config.toml", {}).topics
    assert (topic.match, topic.categories) == (("graph neural network*", "GAN"), ("cs.RO",))
    assert topic.like == (str(here / "mine.bib"),)
    text = (here / "papers" / "config.toml").read_text()
    assert text.index("[[topics]]") < text.index("# [[topics]]") < text.index("[maildir]")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--category", "cs.ML"),
            '--category: must be arXiv categories, not "cs.ML" (did you mean "cs.LG" or "stat.ML"?)',
        ),
        (("--library", "mine.pdf"), "--library: mine.pdf is not a .bib or .ris file"),
        (("--library", "empty.bib"), "--library: empty.bib line 1: it has no entries"),
        (("--interest", " "), "--interest: "),
    ],
)
def test_interests_that_are_none_are_refused(here: Path, words: tuple[str, ...], message: str) -> None:
    (here / "empty.bib").touch()
    result = run_init("--to", "ann@lab.example", "--maildir", "mail", *words)
    assert (result.exit_code, message in result.output) == (2, True), result.output
    assert not (here / "config.toml").exists()


def test_it_ends_with_one_command(here: Path) -> None:
    for words in (("--to", "ann@lab.example", "--maildir", "mail"), ()):
        said = run_init("here", *words).stdout.rstrip().split("\n")
        assert said[-1] == "  digest -c here/config.toml doctor"
        assert sum(line.startswith("  digest") for line in said) == 1
