"""Log lines are readable for people and programs, whatever is in them, and nothing prints a secret."""

import json
import logging
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from digest.cli import main
from digest.logs import Handler, Redactor, escape
from tests.conftest import Workplace, paper
from tests.delivery.test_smtp import at as answers
from tests.server import Server

SECRET = "hunter2-correct-horse"


def record(event: str, facts: dict[str, object], level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("digest", level, __file__, 1, event, (facts,), None)


def line(form: str, event: str, facts: dict[str, object], *secrets: str) -> str:
    redactor = Redactor()
    redactor.add(*secrets)
    return Handler(form, redactor).format(record(event, facts))


def test_a_line_has_time_level_event_and_facts() -> None:
    text = line("text", "not sent", {"state": "in doubt", "papers": 3, "reply": 'it said "no"\nBcc: x', "empty": ""})
    time, rest = text.split(" ", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", time)
    assert rest == r'INFO not sent state="in doubt" papers=3 reply="it said \"no\"\nBcc: x" empty=""'


def test_json_has_the_same_in_an_object() -> None:
    document = json.loads(line("json", "not sent", {"state": "in doubt", "papers": 3}))
    assert {**document, "time": ""} == {
        "time": "",
        "level": "info",
        "event": "not sent",
        "state": "in doubt",
        "papers": 3,
    }


@given(st.text(), st.text(), st.sampled_from(["text", "json"]))
def test_every_fact_is_on_one_line_and_can_be_parsed(event: str, value: str, form: str) -> None:
    text = line(form, event.replace("%", ""), {"why": value})
    if form == "json":
        assert json.loads(text)["why"] == value
    else:
        shown = text.rpartition("why=")[2] if "why=" not in value else ""
        assert not shown or shown == value or json.loads(shown) == value
    assert form == "text" or "\n" not in text


OBEYED = re.compile("[\0-\t\v-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff]")


@given(
    st.text(),
    st.text(alphabet=st.sampled_from('\x1b\x9b\u202e\u2028\n\r\t\ud83d\\"=a ')),
    st.sampled_from(["text", "json"]),
)
def test_no_record_is_more_than_a_line_or_moves_the_cursor(event: str, value: str, form: str) -> None:
    text = line(form, event.replace("%", ""), {"why": value, "x": 1})
    assert not OBEYED.search(text.replace("\t", ""))
    assert "\n" not in text
    text.encode()


@given(
    st.recursive(
        st.none() | st.floats(allow_nan=False) | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
    )
)
def test_an_escaped_document_is_the_same_document(document: object) -> None:
    for text in (json.dumps(document, ensure_ascii=False), json.dumps(document, ensure_ascii=False, indent=2)):
        assert json.loads(escape(text)) == document
        assert not OBEYED.search(escape(text).replace("\n", ""))


@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_are_redacted_in_event_and_facts_and_traces(form: str) -> None:
    hidden = 'pass"word'
    text = line(form, f"it said {SECRET}", {"why": f"{hidden} and {SECRET}!"}, SECRET, hidden, "abc", "")
    assert SECRET not in text
    assert "word" not in text
    assert text.count("***") == 3
    try:
        raise ValueError(SECRET)
    except ValueError as problem:
        broken = record("traceback", {"a": 1}, logging.DEBUG)
        broken.exc_info = (ValueError, problem, problem.__traceback__)
        redactor = Redactor()
        redactor.add(SECRET)
        assert SECRET not in Handler(form, redactor).format(broken)


def test_a_secret_within_another_leaves_nothing_of_it() -> None:
    assert line("text", "x", {"why": "abcdefgh"}, "abcd", "abcdefgh").endswith("why=***")


def test_log_format_json_writes_an_object_a_line_to_standard_error(workplace: Workplace) -> None:
    workplace.lists(paper(1), paper(2))
    workplace.config()
    result = CliRunner().invoke(
        main, ["--log-format", "json", "-c", str(workplace.path), "run", "--date", "2026-04-20"]
    )
    assert result.stdout == "Sent 1 message with 2 papers.\n"
    events = {row["event"]: row for row in map(json.loads, result.stderr.splitlines())}
    assert events["fetched"]["papers"] == 2
    assert events["queued"]["messages"] == 1


@pytest.mark.parametrize("more", [(), ("-v",), ("--log-format", "json")])
def test_no_secret_of_the_environment_is_ever_printed(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    """The server quotes every secret in its reply."""
    for name in ("DIGEST_SMTP_PASSWORD", "DIGEST_INBOX_PASSWORD", "HF_TOKEN"):
        monkeypatch.setenv(name, f"{SECRET}-{name.lower()}")
    workplace.lists(paper(1))
    workplace.config()
    reply = f"451 4.3.0 {SECRET}-hf_token {SECRET}-digest_inbox_password {SECRET}-digest_smtp_password"
    monkeypatch.setattr("digest.pipeline.deliver._PAUSES", ())
    with Server(answers("MAIL", reply)).running() as server:
        smtp = f'[smtp]\nhost = "127.0.0.1"\nport = {server.port}\nsecurity = "none"\n'
        workplace.path.write_text(workplace.path.read_text().replace('[maildir]\npath = "mail"', smtp))
        result = CliRunner().invoke(main, [*more, "-c", str(workplace.path), "run"])
    assert result.exit_code == 4
    assert "***" in result.stderr
    assert SECRET not in result.output
    for words in (["status"], ["status", "--json"]):
        status = CliRunner().invoke(main, ["-c", str(workplace.path), *words])
        assert "451 4.3.0 ***" in status.output
        assert SECRET not in status.output


def test_the_error_of_a_command_is_an_object_too(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--log-format", "json", "-c", str(tmp_path / "nowhere.toml"), "run"])
    (line,) = map(json.loads, result.stderr.splitlines())
    assert (result.exit_code, line["level"], line["event"]) == (2, "error", "ended")
    assert line["why"].endswith("No such file or directory; create one with `digest init`")
