"""The commands as a person types them."""

import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from freezegun import freeze_time

from digest.cli import App, main, output
from digest.pipeline.preview import Preview
from tests.conftest import Workplace, paper, text_of


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as both current folder and home, and an environment that says nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DIGEST_CONFIG", "DIGEST_SMTP_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def place(here: Path) -> Workplace:
    workplace = Workplace(here)
    workplace.lists(paper(1, upvotes=3), paper(2, upvotes=4))
    workplace.config()
    return workplace


def digest(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def test_without_a_configuration_it_says_how_to_get_one(here: Path) -> None:
    for command in ("run", "fetch", "preview", "send", "status"):
        result = digest(command)
        assert result.exit_code == 2
        assert "digest init" in result.stderr
        assert "Traceback" not in result.stderr


def test_init_writes_what_is_missing_and_never_overwrites(here: Path) -> None:
    assert digest("init").exit_code == 0
    assert stat.S_IMODE((here / ".env").stat().st_mode) == 0o600
    (here / "config.toml").write_text("mine")
    (here / ".env").unlink()
    result = digest("init")
    assert result.exit_code == 0
    assert (here / "config.toml").read_text() == "mine"
    assert ".env" in result.stdout.split("\n")[0]
    assert "nothing was changed" in digest("init").stdout


def test_init_takes_a_folder(here: Path) -> None:
    assert digest("init", "some/where").exit_code == 0
    assert (here / "some/where/config.toml").exists()


def test_the_first_of_the_places_for_a_configuration_counts(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    here = place.folder
    (here / ".config/digest").mkdir(parents=True)
    (here / ".config/digest/config.toml").write_text("broken home")
    (here / "env.toml").write_text("broken env")
    (here / "option.toml").write_text("broken option")
    assert digest("status").exit_code == 0
    monkeypatch.setenv("DIGEST_CONFIG", "env.toml")
    assert "env.toml" in digest("status").stderr
    assert "option.toml" in digest("-c", "option.toml", "status").stderr
    monkeypatch.delenv("DIGEST_CONFIG")
    (here / "config.toml").unlink()
    assert ".config/digest/config.toml" in digest("status").stderr


def test_the_password_is_read_from_the_env_file_and_the_environment_wins(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from digest.cli import App
    from digest.delivery import SmtpSettings

    text = place.path.read_text().replace('[maildir]\npath = "mail"', '[smtp]\nhost = "localhost"\nusername = "u"')
    place.path.write_text(text)
    (place.folder / ".env").write_text("DIGEST_SMTP_PASSWORD=from-file\n")
    chosen = App(None, quiet=False)
    delivery = chosen.config().delivery
    assert isinstance(delivery, SmtpSettings)
    assert delivery.password == "from-file"
    monkeypatch.setenv("DIGEST_SMTP_PASSWORD", "from-environment")
    delivery = chosen.config().delivery
    assert isinstance(delivery, SmtpSettings)
    assert delivery.password == "from-environment"


def test_all_mistakes_are_reported_at_once_and_nothing_is_done(place: Workplace) -> None:
    place.path.write_text('[digest]\nfrom = 3\nmax_paper = 4\n[[sources]]\ntype = "fil"\n')
    result = digest("run")
    assert result.exit_code == 2
    for word in ("digest.from", "did you mean max_papers?", 'did you mean "file"?'):
        assert word in result.stderr
    assert not (place.folder / "history.db").exists()


def test_a_date_that_is_none_is_a_usage_error(place: Workplace) -> None:
    result = digest("run", "--date", "2026-13-01")
    assert result.exit_code == 2
    assert "write one like 2026-04-20" in result.stderr


def test_running_without_a_way_to_deliver_says_what_to_write(place: Workplace) -> None:
    place.path.write_text(place.path.read_text().replace('[maildir]\npath = "mail"', ""))
    result = digest("run")
    assert (result.exit_code, "[smtp]" in result.stderr, "[maildir]" in result.stderr) == (2, True, True)
    assert digest("preview", "-o", "x.html").exit_code == 0


def test_a_user_name_without_a_password_is_reported_before_anything_is_queued(place: Workplace) -> None:
    text = place.path.read_text().replace('[maildir]\npath = "mail"', '[smtp]\nhost = "localhost"\nusername = "u"')
    place.path.write_text(text)
    result = digest("run")
    assert (result.exit_code, "DIGEST_SMTP_PASSWORD" in result.stderr) == (2, True)
    assert not (place.folder / "history.db").exists()


@freeze_time("2026-04-20 22:30:00")
def test_today_is_today_in_the_digests_zone(place: Workplace) -> None:
    place.digest = {"timezone": "Europe/Berlin"}
    place.config()
    assert digest("run").exit_code == 0
    (mail,) = place.mails()["ann@example.org"]
    assert "Tuesday 21 April 2026" in text_of(mail)
    assert mail["Date"].datetime.isoformat() == "2026-04-21T00:30:00+02:00"


@freeze_time("2026-04-20 06:00:00")
@pytest.mark.parametrize("day", ["0001-01-01", "1999-12-31", "2101-01-01", "9999-12-31"])
def test_a_date_out_of_all_reason_is_a_usage_error(place: Workplace, day: str) -> None:
    commands = (("run",), ("run", "--dry-run"), ("fetch",), ("preview",), ("explain", "2604.00001"), ("backtest",))
    assert digest("run", "--date", "2026-04-20").exit_code == 0
    for words in commands:
        result = digest(*words, "--date", day)
        assert (result.exit_code, "must be between 2000-01-01 and 2100-12-31" in result.stderr) == (2, True), result
    assert digest("search", "paper", "--since", day).exit_code == 2
    assert digest("subscribers", "pause", "ann@example.org", "--until", day).exit_code == 2


@pytest.mark.parametrize("day", ["2000-01-01", "2100-12-31"])
def test_the_first_and_the_last_date_work(place: Workplace, day: str) -> None:
    for words in (("run",), ("fetch",), ("preview",), ("explain", "2604.00001"), ("backtest",)):
        result = digest(*words, "--date", day)
        assert result.exit_code == 0, result.output


def test_a_preview_is_its_owners_alone(place: Workplace, here: Path) -> None:
    """It holds the token with which anybody could unsubscribe its reader."""
    (here / "digest-preview.html").write_text("an earlier one, for all to read")
    for words in ((), ("--format", "eml"), ("-o", "mine")):
        assert digest("preview", *words).exit_code == 0
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in here.iterdir() if path.name != "papers.jsonl"}
    assert [modes[name] for name in ("digest-preview.html", "digest-preview.eml", "mine")] == [0o600] * 3


def test_another_date_runs_as_if_it_were_today(place: Workplace) -> None:
    assert digest("run", "--date", "2026-03-02").exit_code == 0
    (mail,) = place.mails()["ann@example.org"]
    assert mail["Date"].datetime.date().isoformat() == "2026-03-02"


def test_results_go_to_standard_output_logs_to_standard_error_and_q_says_nothing(place: Workplace) -> None:
    result = digest("run", "--date", "2026-04-20")
    assert result.stdout == "Sent 1 message with 2 papers.\n"
    assert "INFO fetched source=papers state=read papers=2 new=2" in result.stderr
    result = digest("-q", "run", "--date", "2026-04-20")
    assert (result.stdout, result.stderr) == ("", "")


def test_problems_are_printed_even_when_quiet(place: Workplace) -> None:
    place.papers.write_text("{broken\n" + json.dumps(paper(1)))
    result = digest("-q", "run")
    assert (result.exit_code, "line 1: it is not JSON" in result.stderr) == (0, True)


def test_no_readable_source_is_exit_code_3_and_status_says_why(place: Workplace) -> None:
    place.papers.unlink()
    result = digest("run")
    assert (result.exit_code, "no source could be read" in result.stderr) == (3, True)
    document = json.loads(digest("status", "--json").stdout)
    assert document["sources"][0]["state"] == "failed"
    assert "No such file" in document["sources"][0]["errors"][0]
    assert document["runs"][0]["exit"] == 3
    text = digest("status").stdout
    assert ("failed (exit code 3)" in text, "unfinished" in text) == (True, False)


def test_what_cannot_be_delivered_is_exit_code_4_and_stays_queued(place: Workplace) -> None:
    (place.folder / "mail").write_text("not a folder")
    result = digest("run")
    assert (result.exit_code, "1 message could not be delivered" in result.stderr) == (4, True)
    (place.folder / "mail").unlink()
    assert digest("send").exit_code == 0
    assert len(place.mails()["ann@example.org"]) == 1
    assert digest("send").stdout == "Nothing new to send: the queue is empty.\n"


def test_a_day_without_mail_is_named_by_a_run_and_a_dry_run(place: Workplace) -> None:
    place.digest = {"days": ["tue"]}
    place.config()
    for options in (["--dry-run"], []):
        result = digest("run", "--date", "2026-04-20", *options)
        assert result.stdout == "Nothing new to send: digest.days has no mail on a Monday.\n"
    assert place.mails() == {}


def test_preview_writes_html_text_or_the_whole_message(place: Workplace) -> None:
    assert digest("preview").exit_code == 0
    assert (place.folder / "digest-preview.html").read_text().startswith("<!DOCTYPE html>")
    eml = CliRunner().invoke(main, ["-q", "preview", "--format", "eml", "-o", "-"])
    assert eml.stdout_bytes.startswith(b"From: Paper Digest <digest@example.org>\r\n")
    assert eml.stderr == ""
    assert "TRENDING PAPERS" in digest("preview", "--format", "txt", "-o", "-").stdout
    assert digest("preview", "--to", "nobody").exit_code == 2
    assert digest("preview", "-o", "no/such/folder/x.html").exit_code == 2


@pytest.mark.parametrize(("kilobytes", "distance"), [(90, "10 kB below"), (150, "50 kB above")])
def test_preview_compares_the_size_with_the_limit_of_gmail(kilobytes: int, distance: str) -> None:
    message = b"Content-Type: text/html\r\n\r\n" + b"x" * kilobytes * 1000
    said = output.format_preview(Preview(message, 3, queued=False), "html")
    assert said == f"3 papers, {kilobytes} kB of HTML, {distance} the size at which Gmail clips."


def test_fetch_records_and_sends_nothing(place: Workplace) -> None:
    assert digest("fetch").stdout == "Read 2 papers, 2 of them new.\n"
    assert place.mails() == {}
    assert digest("run").exit_code == 0
    assert len(place.titles()[0]) == 2


def test_status_before_the_first_run_says_what_to_do(place: Workplace) -> None:
    result = digest("status")
    assert result.exit_code == 0
    assert "digest preview" in result.stdout


def test_the_demo_shows_ranking_nothing_twice_and_a_paper_rising(here: Path) -> None:
    result = digest("demo")
    assert result.exit_code == 0, result.output
    pages = sorted((here / "digest-demo").glob("*.html"))
    assert [page.stem for page in pages] == ["2026-03-02", "2026-03-03", "2026-03-04"]
    mails = Workplace(here / "digest-demo").mails()["you@example.org"]
    subjects = [mail["Subject"] for mail in mails]
    assert len(set(subjects)) == 3
    assert "+408 in 2 days" in pages[2].read_text()
    links = [set(_links(page.read_text())) for page in pages]
    assert [len(found) for found in links] == [10, 10, 10]
    assert not links[0] & links[1] | links[0] & links[2] | links[1] & links[2]
    assert digest("demo").exit_code == 0, "and again"


def test_the_demo_begins_with_the_address_of_an_archive_of_its_editions(here: Path) -> None:
    first = digest("demo").stdout.split("\n")[0]
    index = here / "digest-demo" / "site" / "index.html"
    assert first == f"The archive: {index.as_uri()}"
    assert "Wednesday 4 March 2026" in index.read_text()
    assert (index.parent / "2026/03/03.html").exists()


def test_publish_says_what_it_wrote_or_what_is_in_the_way(place: Workplace) -> None:
    assert digest("publish").exit_code == 2
    assert "archive: is missing; write [archive]" in digest("publish").stderr
    with place.path.open("a") as config:
        config.write('\n[archive]\npath = "site"\nurl = "https://papers.example.org"\n')
    assert "does not exist yet" in digest("publish").stderr
    assert digest("fetch").exit_code == 0
    assert digest("publish").stdout == "Nothing to publish yet: each run from now on adds the day's edition.\n"
    assert digest("run").exit_code == 0
    assert digest("publish").stdout == f"Wrote 1 edition into {place.folder / 'site'}: no file changed.\n"
    assert digest("publish", "~/www").stdout == f"Wrote 1 edition into {place.folder / 'www'}: 9 files changed.\n"
    (place.folder / "file").write_text("")
    result = digest("publish", "file")
    assert result.exit_code == 2
    result = digest("publish", "file/site")
    assert result.exit_code == 4
    assert re.search(r"the archive is incomplete: .*/file/site/.* cannot be written: Not a directory", result.stderr)
    assert "Traceback" not in result.stderr


def _links(html: str) -> list[str]:
    import re

    return re.findall(r'<a class="title"[^>]*href="([^"]+)"', html)


def test_the_demo_touches_no_folder_of_yours(here: Path) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "thesis.tex").write_text("years of work")
    result = digest("demo", "mine")
    assert (result.exit_code, (here / "mine" / "thesis.tex").exists()) == (2, True)


def test_a_bug_is_a_sentence_and_exit_code_1(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "format_run", lambda _: 1 / 0)
    result = digest("run")
    assert (result.exit_code, "unexpected error (ZeroDivisionError" in result.stderr) == (1, True)
    assert "Traceback" not in result.stderr


def test_python_m_digest_is_digest(here: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "digest", "--version"], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.startswith("digest, version ")


def test_help_imports_nothing_that_it_does_not_need() -> None:
    script = (
        "import sys; from digest.cli import main; main(['--help'], standalone_mode=False); print('\\n', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rsplit("\n", 2)[-2].split())
    assert not loaded & {
        "httpx",
        "jinja2",
        "premailer",
        "sqlite_utils",
        "sqlite3",
        "feedparser",
        "dotenv",
        "tomlkit",
        "smtplib",
        "ssl",
        "email",
    }


def test_status_stays_short_however_much_is_wrong_with_a_source(place: Workplace) -> None:
    assert digest("-q", "run").exit_code == 0
    errors = json.dumps([f"list {number}: it answered 500" for number in range(3000)])
    with closing(sqlite3.connect(place.folder / "history.db")) as db, db:
        db.execute("UPDATE fetches SET skipped = ?, errors = ?", [errors, errors])
    said = digest("status").stdout.splitlines()
    assert "  ! papers: and 2,995 more, see `digest status --json`" in said
    assert "  ! papers: 3,000 entries skipped: list 0: it answered 500" in said
    assert len(said) < 20
    assert len(json.loads(digest("status", "--json").stdout)["sources"][0]["errors"]) == 3000


def test_the_demo_says_in_a_sentence_that_the_disk_is_full(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["digest"])
    words = ["-c", 'ulimit -f 4; exec "$0" -m digest demo "a demo"', sys.executable]
    done = subprocess.run(["/bin/bash", *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "digest: a demo cannot be written to: File too large\n")
    printed = digest("demo", "a demo").stdout.splitlines()
    assert printed[-2:] == ["See the runs: digest -c 'a demo/config.toml' status", "Set up your own: digest init"]


def test_an_invalid_line_of_env_is_reported_by_file_and_line_without_its_text(place: Workplace) -> None:
    (place.folder / ".env").write_text("DIGEST_SMTP_PASSWORD='a b # c'\nexport HF_TOKEN=x\nhunter2 and more\nA='$B'\n")
    result = digest("status")
    assert f'line ignored file={place.folder}/.env line=3 why="it is not NAME=value"' in result.stderr
    assert (result.exit_code, "hunter2" in result.output) == (0, False)
    kept = App(None, quiet=False).read_env(place.path)
    assert kept == {"DIGEST_SMTP_PASSWORD": "a b # c", "HF_TOKEN": "x", "A": "$B"}
