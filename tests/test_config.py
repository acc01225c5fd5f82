"""Every problem in the configuration is reported at once, with its key and what to write instead."""

import json
import os
import re
import tomllib
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from digest.cli import main
from digest.config import Config, load
from digest.delivery import MaildirSettings, SmtpSettings
from digest.errors import ConfigError
from digest.files import bundled_file
from digest.inbound import InboxSettings
from digest.mail.shard import Shard
from digest.ranking import sentences
from digest.settings import _CITIES, time_zone
from digest.sources.arxiv import Arxiv
from digest.sources.biorxiv import Biorxiv, Medrxiv
from digest.sources.feed import Feed
from digest.sources.file import File
from digest.sources.history import History
from digest.sources.huggingface import HuggingFace
from digest.store.secret import load_secret
from digest.toml_hints import explain_toml_error

GOOD = """
[digest]
from = "Paper Digest <digest@example.org>"
to = ["Ann@Example.org", "ann@example.org", "Bob <bob@bücher.example>"]
[[sources]]
type = "huggingface"
"""


def read(tmp_path: Path, text: str, **environ: str) -> Config:
    (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    return load(tmp_path / "config.toml", environ)


def problems(tmp_path: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    return caught.value.problems


def test_a_short_configuration_has_defaults_for_the_rest(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD)
    assert config.digest.to == ("Ann@example.org", "bob@xn--bcher-kva.example")
    assert config.digest.from_.address == "digest@example.org"
    assert (config.digest.timezone, config.digest.max_papers, config.digest.window_days) == (ZoneInfo("UTC"), 12, 7)
    assert config.digest.database == tmp_path / "history.db"
    assert config.sources == (HuggingFace(),)
    assert config.delivery is None


def test_the_bundled_example_is_valid(tmp_path: Path) -> None:
    config = read(
        tmp_path, bundled_file("config.example.toml").read_text(encoding="utf-8"), DIGEST_SMTP_PASSWORD="secret"
    )
    assert isinstance(config.delivery, SmtpSettings)
    assert config.delivery.password == "secret"


def test_the_mail_server_is_one_or_a_list_of_relays_each_once(tmp_path: Path) -> None:
    for words, hosts in (("'a'", ("a",)), ("['a']", ("a",)), ("['a', 'B', 'b']", ("a", "B"))):
        config = read(tmp_path, GOOD + f"[smtp]\nhost = {words}\n")
        assert isinstance(config.delivery, SmtpSettings)
        assert tuple(map(str.lower, config.delivery.host)) == tuple(map(str.lower, hosts))


def test_every_commented_out_line_of_the_example_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = bundled_file("config.example.toml").read_text(encoding="utf-8")
    (tmp_path / "my-templates").mkdir()
    (tmp_path / "all-MiniLM-L6-v2").mkdir()
    for name in sentences.FILES:
        (tmp_path / "all-MiniLM-L6-v2" / name).touch()
    monkeypatch.setattr(sentences, "find_spec", lambda name: name)  # the extra may not be installed here
    on = "\n".join(
        line[2:] if line.startswith("# ") and ("=" in line or "[" in line[:4]) else line for line in text.split("\n")
    )
    on = "\n".join(line for line in on.split("\n") if "digest preview" not in line).replace(
        '[maildir]\npath = "mail"', ""
    )
    config = read(tmp_path, on)
    assert [type(source) for source in config.sources] == [HuggingFace, Arxiv, Biorxiv, Medrxiv, Feed, File, History]
    assert config.shard == Shard(3, 8)
    assert config.topics[0].name == "Diffusion"
    assert config.unsubscribe.url.endswith("{token}")
    assert config.inbox == InboxSettings(
        host="imap.example.org", username="digest@example.org", authserv="mx.example.org"
    )
    assert tomllib.loads(on)["digest"]["window_days"] == config.digest.window_days


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = GOOD.replace(
        "[[sources]]", 'database = "data/h.db"\n[[sources]]\ntype = "file"\npath = "p.jsonl"\n[[sources]]'
    )
    config = read(tmp_path, text + '[maildir]\npath = "mail"')
    assert config.digest.database == tmp_path / "data/h.db"
    assert isinstance(config.sources[0], File)
    assert config.sources[0].path == tmp_path / "p.jsonl"
    assert config.delivery == MaildirSettings(tmp_path / "mail")


def test_sources_have_unique_names(tmp_path: Path) -> None:
    more = '[[sources]]\ntype = "file"\npath = "a/papers.jsonl"\n[[sources]]\ntype = "file"\npath = "b/papers.jsonl"\n'
    config = read(tmp_path, GOOD + more + '[[sources]]\ntype = "huggingface"\nname = "mirror"\n')
    assert [source.name for source in config.sources] == ["huggingface", "papers", "papers-2", "mirror"]


# A line of [digest] -> the only message about it.
LINES = [
    ("max_paper = 3", "digest.max_paper: unknown key; did you mean max_papers?"),
    ('max_papers = "ten"', 'digest.max_papers: must be a whole number from 1 to 1000, not "ten"'),
    (
        'max_papers = "10"',
        'digest.max_papers: must be a whole number from 1 to 1000, not "10"; write max_papers = 10 without quotes',
    ),
    ("max_papers = 12.0", "digest.max_papers: must be a whole number from 1 to 1000, not 12.0; write max_papers = 12"),
    ("max_papers = 12.5", "digest.max_papers: must be a whole number from 1 to 1000, not 12.5"),
    ("max_papers = true", "digest.max_papers: must be a whole number from 1 to 1000, not true"),
    ("max_papers = 0", "digest.max_papers: must be a number from 1 to 1000, not 0"),
    ("max_papers = [3]", "digest.max_papers: must be a whole number from 1 to 1000, not [3]"),
    ("min_score = -1", "digest.min_score: must be a number from 0 to 1000, not -1"),
    ("min_score = nan", "digest.min_score: must be a number from 0 to 1000, not nan"),
    (
        'min_score = "0.5"',
        'digest.min_score: must be a number from 0 to 1000, not "0.5"; write min_score = 0.5 without quotes',
    ),
    ('timezone = "Berlin"', 'digest.timezone: must be a time zone, not "Berlin"; did you mean "Europe/Berlin"?'),
    (
        'timezone = "europe/berlin"',
        'digest.timezone: must be a time zone, not "europe/berlin"; did you mean "Europe/Berlin"?',
    ),
    ('timezone = "New York"', 'digest.timezone: must be a time zone, not "New York"; did you mean "America/New_York"?'),
    (
        'timezone = "Europe/Berln"',
        'digest.timezone: must be a time zone, not "Europe/Berln"; did you mean "Europe/Berlin"?',
    ),
    (
        'timezone = "US/New York"',
        'digest.timezone: must be a time zone, not "US/New York"; did you mean "America/New_York"?',
    ),
    (
        'timezone = "CEST"',
        'digest.timezone: must be a time zone, not "CEST"; write one like "Europe/Berlin" or "UTC"',
    ),
    (
        'timezone = "UTC+1"',
        'digest.timezone: must be a time zone, not "UTC+1"; write the zone of a place, like "Europe/Berlin": it also knows when clocks change',
    ),
    (
        'timezone = "../etc"',
        'digest.timezone: must be a time zone, not "../etc"; write one like "Europe/Berlin" or "UTC"',
    ),
    ("timezone = 07:30:00", "digest.timezone: must be a string in quotes, not 07:30:00"),
    ('when_empty = "sent"', 'digest.when_empty: must be "skip" or "send", not "sent"; did you mean "send"?'),
    ('when_empty = "never"', 'digest.when_empty: must be "skip" or "send", not "never"'),
    (
        'days = ["monday"]',
        'digest.days: must be days of the week, not "monday" (did you mean "mon"?)',
    ),
    (
        'days = ["mon", "monday", "Fri", "weekend", "tues", "3"]',
        'digest.days: must be days of the week, not "monday" (did you mean "mon"?) or "weekend" or "tues" (did you mean "tue"?) or "3"; write "mon", "tue", "wed", "thu", "fri", "sat" or "sun"',
    ),
    ('days = "mon, fri"', 'digest.days: must be a list of strings, not "mon, fri"; write days = ["mon", "fri"]'),
    ("days = []", 'digest.days: must not be empty; write days like "mon" and "fri"'),
    ("days = [1]", 'digest.days: must be a list of strings, not [1]; write something like days = ["mon", "fri"]'),
    (
        'templates = "nowhere"',
        'digest.templates: must be a folder, not "nowhere"; write the folder that holds your templates',
    ),
    ('database = ""', "digest.database: must not be empty; write a path, or put # in front of the line"),
    ("title = 5", "digest.title: must be a string in quotes, not 5"),
    (
        'title = ["News"]',
        'digest.title: must be a string in quotes, not ["News"]; write title = "News" without brackets',
    ),
    (
        'timezone = "\\u009b1m\\u202e"',
        'digest.timezone: must be a time zone, not "\\x9b1m\\u202e"; write one like "Europe/Berlin" or "UTC"',
    ),
    ('variety = "yes"', 'digest.variety: must be true or false, not "yes"'),
    ('variety = "True"', 'digest.variety: must be true or false, not "True"; write variety = true without quotes'),
    ("variety = 1", "digest.variety: must be true or false, not 1"),
    ('host = "mail.example.org"', "digest.host: unknown key; it belongs in [smtp] or [inbox]"),
    ('mute = ["survey"]', "digest.mute: unknown key; it belongs in [[topics]]"),
]


@pytest.mark.parametrize(("line", "message"), LINES)
def test_a_problem_in_the_digest_table_names_its_key_and_what_to_write(tmp_path: Path, line: str, message: str) -> None:
    assert problems(tmp_path, GOOD.replace("[[sources]]", f"{line}\n[[sources]]")) == (message,)


# A whole file -> the start of one of the messages about it.
FILES = [
    ("", 'digest.from: is missing; write [digest] and below it from = "Paper Digest <digest@example.org>"'),
    ("[digest]\ntitle = 'x'", 'digest.from: is missing; write from = "Paper Digest <digest@example.org>"'),
    ("", 'sources: is missing; write [[sources]] and below it type = "huggingface"'),
    ("sources = 3", "sources: must be a list of tables; write [[sources]] with two brackets"),
    ("[sources]\ntype = 'file'", "sources: must be a list of tables; write [[sources]] with two brackets"),
    ("sources = [3]", "sources[1]: must be a table, not 3; write [[sources]]"),
    ("[[sources]]\npath = 'x'", 'sources[1].type: is missing; write type = "huggingface", "arxiv", '),
    (
        "[[sources]]\ntype = 'arxive'",
        'sources[1].type: must be "huggingface", "arxiv", "biorxiv", "medrxiv", "feed", "file" or "history", not "arxive"; did you mean "arxiv"?',
    ),
    (
        "[[sources]]\ntype = 'pubmed'",
        'sources[1].type: must be "huggingface", "arxiv", "biorxiv", "medrxiv", "feed", "file" or "history", not "pubmed"',
    ),
    (
        "[[sources]]\ntype = 3",
        'sources[1].type: must be "huggingface", "arxiv", "biorxiv", "medrxiv", "feed", "file" or "history", not 3',
    ),
    ("[[sources]]\ntype = 'arxiv'", 'sources[1].categories: is missing; write categories = ["cs.LG", "stat.ML"]'),
    (
        "[[sources]]\ntype = 'arxiv'\ncategories = 'cs.LG'",
        'sources[1].categories: must be a list of strings, not "cs.LG"; write categories = ["cs.LG"]',
    ),
    (
        "[[sources]]\ntype = 'arxiv'\ncategories = ['cs LG']",
        'sources[1].categories: must be arXiv categories, not "cs LG" (did you mean "cs.LG"?)',
    ),
    (
        "[[sources]]\ntype = 'arxiv'\ncategories = ['cs.LG', 'cs.ML', 'cs.lg', 'bio', 'math.XX', 'cs']",
        'sources[1].categories: must be arXiv categories, not "cs.ML" (did you mean "cs.LG" or "stat.ML"?) or "cs.lg" (did you mean "cs.LG"?) or "bio" or "math.XX"; write them like "cs.LG" or "math"',
    ),
    (
        "[[topics]]\nname = 'ML'\ncategories = ['neuroscience', 'cs.ml', 'CS.CL']",
        'topics[1].categories: must be arXiv categories, not "cs.ml" (did you mean "cs.LG" or "stat.ML"?) or "CS.CL" (did you mean "cs.CL"?)',
    ),
    ("[[topics]]\nname = 'X'", 'topics[1]: "X" matches nothing; write below its name match = ["a phrase"]'),
    ("[[topics]]\nname = 'X'\nmatch = [' ']\nweight = 2", 'topics[1]: "X" matches nothing; write below its name match'),
    ("[[topics]]\nname = ' '\nmute = ['x']", 'topics[1].name: must not be empty; write name = "Diffusion"'),
    (
        "[[topics]]\nname = 'Vision'\nmatch = ['x']\n[[topics]]\nname = 'Y'\n[[topics]]\nname = 'vision'\nmute = ['x']",
        'topics[3].name: "vision" is the name of topics[1] too; write another name, or make them one',
    ),
    (
        "[[sources]]\ntype = 'huggingface'\nurl = 'ftp://x'",
        'sources[1].url: must be a web address, not "ftp://x"; write one that starts with https://',
    ),
    (
        "[[sources]]\ntype = 'huggingface'\ncategories = ['x']",
        "sources[1].categories: unknown key; valid keys: lookback_days, name, type, url, weight",
    ),
    (
        "[[sources]]\ntype = 'huggingface'\ntoken = 'x'",
        "sources[1].token: secrets do not belong in this file; write HF_TOKEN=… into .env next to it",
    ),
    ("[[sources]]\ntype = 'file'", 'sources[1].path: is missing; write path = "papers.jsonl"'),
    ("max_papers = 3", "max_papers: unknown key; it belongs in [digest]"),
    ("[smpt]\nhost = 'x'", "smpt: unknown key; did you mean smtp?"),
    ("[smtp]\nport = 25", 'smtp.host: is missing; write host = "smtp.example.org"'),
    ("[smtp]\nhost = 'x'\nport = 0", "smtp.port: must be a number from 1 to 65535, not 0"),
    (
        "[smtp]\nhost = 'x'\nport = '587'",
        'smtp.port: must be a whole number from 1 to 65535, not "587"; write port = 587 without quotes',
    ),
    ("[smtp]\nhost = 'x:25'", 'smtp.host: "x:25" contains a port; write host = "x" and port = 25'),
    (
        "[smtp]\nhost = 'https://x.example'",
        'smtp.host: must be a host name, not "https://x.example"; write one like "smtp.example.org"',
    ),
    ("[smtp]\nhost = ''", 'smtp.host: must be a host name, not ""; write one like "smtp.example.org"'),
    ("[smtp]\nhost = []", 'smtp.host: must not be empty; write one like "smtp.example.org"'),
    ("[smtp]\nhost = ['a', 'b:25']", 'smtp.host: "b:25" contains a port; write host = "b" and port = 25'),
    ("[smtp]\nhost = 'a, b'", 'smtp.host: must be a host name, not "a, b"; write several as host = ["a", "b"]'),
    (
        "[smtp]\nhost = ['a', 25]",
        'smtp.host: must be a string in quotes or a list of strings, not ["a", 25];'
        ' write something like host = "smtp.example.org"',
    ),
    (
        "[smtp]\nhost = ['localhost', 'a.example', '127.0.0.2', 'b.example']\nsecurity = 'none'",
        'smtp.security: must not be "none" for a.example and b.example: mail would be sent unencrypted; write "starttls" or "tls" (port 465)',
    ),
    (
        "[smtp]\nhost = 'x'\nsecurity = 'ssl'",
        'smtp.security: must be "starttls", "tls" or "none", not "ssl"',
    ),
    (
        "[smtp]\nhost = 'x'\nport = 465",
        'smtp.security: must be "tls" for port 465, which is encrypted from the start; write "tls"',
    ),
    (
        "[smtp]\nhost = 'x.example'\nsecurity = 'none'",
        'smtp.security: must not be "none" for x.example: mail would be sent unencrypted; write "starttls" or "tls" (port 465)',
    ),
    (
        "[smtp]\nhost = 'x'\npassword = 'hunter2'",
        "smtp.password: secrets do not belong in this file; write DIGEST_SMTP_PASSWORD=… into .env next to it",
    ),
    ("[inbox]", 'inbox: has no mailbox; write host = "imap.example.org", or path = "Maildir"'),
    ("[inbox]\npath = 5", 'inbox.path: must be a path in quotes, not 5; write something like path = "Maildir"'),
    (
        "[inbox]\nhost = 'x'\nusername = 'y'\npath = 'z'",
        "inbox.path: cannot be used together with inbox.host; keep one of them",
    ),
    ("[inbox]\nhost = 'x'", 'inbox.username: is missing; write username = "digest@example.org"'),
    (
        "[inbox]\nhost = 'x'\npassword = 'hunter2'",
        "inbox.password: secrets do not belong in this file; write DIGEST_INBOX_PASSWORD=… into .env next to it",
    ),
    (
        "[inbox]\nhost = 'x'\nsecurity = 'tsl'",
        'inbox.security: must be "tls", "starttls" or "none", not "tsl"; did you mean "tls"?',
    ),
    (
        "[inbox]\nhost = 'x.example'\nusername = 'y'\nsecurity = 'none'",
        'inbox.security: must not be "none" for x.example: the password would be sent unencrypted; write "tls" or "starttls" (port 143)',
    ),
    ("inbox = 5", "inbox: must be a table, not 5; write [inbox]"),
    (
        "[notify]\nping = 'hc-ping.com/x'",
        'notify.ping: must be a web address, not "hc-ping.com/x"; write one that starts with https://',
    ),
    (
        "[notify]\nurl = 'x'",
        "notify.url: unknown key; it belongs in [unsubscribe] or [[sources]], the key here is ping",
    ),
    ("[smtp]\nhost = 'x'\npasswd = 'hunter2'", "smtp.passwd: secrets do not belong in this file; write "),
    ("[smtp]\nhost = 'x'\nrate = 'fast'", 'smtp.rate: must be a rate, not "fast"; write one like "14/s", '),
    ("[smtp]\nhost = 'x'\nmax_papers = 5", "smtp.max_papers: unknown key; it belongs in [digest]"),
    ("smtp = 'x'", 'smtp: must be a table, not "x"; write [smtp]'),
    (
        "[smtp]\nhost = 'x'\n[maildir]\npath = 'y'",
        "maildir: cannot be used together with [smtp]; keep one of them",
    ),
    ("[maildir]\npath = ''", "maildir.path: must not be empty; write a path, or put # in front of the line"),
    (
        "[unsubscribe]\nmailto = 'nobody'",
        'unsubscribe.mailto: "nobody" is not an email address; write one like "unsubscribe@example.org"',
    ),
    (
        "[unsubscribe]\nurl = 'https://example.org/u'",
        'unsubscribe.url: must be an address with one {token}, not "https://example.org/u"; write one like "https://example.org/u/{token}"',
    ),
    (
        "[unsubscribe]\nurl = 'http://example.org/{token}'",
        'unsubscribe.url: must be an https:// address, not "http://example.org/{token}";',
    ),
    ("[[topics]]\nmatch = ['x']", 'topics[1].name: is missing; write name = "Diffusion"'),
    ("[topics]\nname = 'x'", "topics: must be a list of tables; write [[topics]] with two brackets"),
    (
        "[[topics]]\nname = 'x'\nmatch = 'diffusion, flow'",
        'topics[1].match: must be a list of strings, not "diffusion, flow"; write match = ["diffusion", "flow"]',
    ),
    (
        "[digest]\nfrom = 'nobody'",
        'digest.from: "nobody" is not an email address; write one like "Paper Digest <digest@example.org>"',
    ),
    (
        "[digest]\nto = ['a@b.example', 'a b@c.example']",
        "digest.to: \"a b@c.example\" has an invalid part before the @: 'a b'; ",
    ),
    (
        "[digest]\nto = 'a@b.example'",
        'digest.to: must be a list of strings, not "a@b.example"; write to = ["a@b.example"]',
    ),
    ("digest = 5", "digest: must be a table, not 5; write [digest]"),
]


@pytest.mark.parametrize(("text", "message"), FILES)
def test_problems_elsewhere_name_their_key_and_what_to_write(tmp_path: Path, text: str, message: str) -> None:
    assert any(problem.startswith(message) for problem in problems(tmp_path, text)), problems(tmp_path, text)


# A file that is not TOML -> what is wrong, and the part of its line in front of the caret.
SYNTAX_ERRORS = [
    ("[digest]\ntitle = My papers\n", 'line 2: text without quotes; write title = "My papers"', "title = "),
    ("[digest]\nfrom = a@b.example # me\n", 'line 2: text without quotes; write from = "a@b.example"', "from = "),
    ("[digest]\r\ntitle = abc\r\n", 'line 2: text without quotes; write title = "abc"', "title = "),
    ('[digest]\ntitle = The "best"\n', "line 2: text without quotes; write title = 'The \"best\"'", "title = "),
    (
        "[digest]\nto = [a@b.example, c@d.example]\n",
        'line 2: text without quotes; write to = ["a@b.example", "c@d.example"]',
        "to = [",
    ),
    ("[digest]\nvariety = True\n", "line 2: True is not a TOML value; write variety = true", "variety = "),
    ("[digest]\nvariety = no\n", "line 2: no is not a TOML value; write variety = false", "variety = "),
    (
        "[sources]\n[sources]\n",
        "line 2: [sources] is already in line 1; write [[sources]] with two brackets in both lines",
        "[sources",
    ),
    (
        "[sources]\ntype = 'file'\n[[sources]]\n",
        "line 3: [sources] is already in line 1; write [[sources]] with two brackets in both lines",
        "[[sources",
    ),
    (
        "[digest]\n[smtp]\n[digest]\n",
        "line 3: [digest] is already in line 1; move these keys there",
        "[digest",
    ),
    (
        "[digest]\ntitle = 'a'\ntitle = 'b'\n",
        "line 3: title is already in line 2; keep one of the two lines",
        "title = 'b'",
    ),
    ("[digest]\ntitle = “a”\n", 'line 2: curly quotes or a special space; write title = "a"', "title = "),
    ("[digest]\nto = [‘a’]\n", "line 2: curly quotes or a special space; write to = ['a']", "to = ["),
    ("[digest]\nto = [\n“a”,\n]\n", 'line 3: curly quotes or a special space; write "a",', ""),
    ("[digest]\ntitle =\u00a0'a'\n", "line 2: curly quotes or a special space; write title = 'a'", "title ="),
    ('[digest]\ntitle = "abc\n', 'line 2: the closing quote is missing; write title = "abc"', 'title = "abc'),
    ("[digest]\ntitle = 'abc", "line 2: the closing quote is missing; write title = 'abc'", "title = 'abc"),
    ('[digest]\ntitle = """abc\n\n', "line 2: TOML syntax error: unterminated string", 'title = """abc'),
    (
        '[maildir]\npath = "C:\\Users\\ann"\n',
        "line 2: a backslash in double quotes; write path = 'C:\\Users\\ann'",
        'path = "C:\\U',
    ),
    (
        "[digest]\nto = ['a', 'b'\nmax_papers = 3\n",
        "line 2: the list is not closed; write ] after its last value",
        "to = ['a', 'b'",
    ),
    (
        "[digest]\nto = [\n'a',\n\n[smtp]\nhost = 'x'\n",
        "line 2: the list is not closed; write ] after its last value",
        "to = [",
    ),
    (
        "[digest]\nto = ['a'\ndays = [\n'mon',\n]\n",
        "line 2: the list is not closed; write ] after its last value",
        "to = ['a'",
    ),
    (
        "[digest]\ndays = [\n'mon',\n]\nto = ['a' 'b']\n",
        "line 5: TOML syntax error: unclosed array",
        "to = ['a' ",
    ),
    ("[digest]\ntitle: 'x'\n", "line 2: there must be = instead of the colon; write title = 'x'", "title"),
    ("[digest]\ntitle: x: y # me\n", 'line 2: there must be = instead of the colon; write title = "x: y"', "title"),
    ("[digest\n", "line 1: TOML syntax error: expected ']' at the end of a table declaration", "[digest"),
    ("[digest]\ntitle =\n", "line 2: TOML syntax error: invalid value", "title ="),
    ("[digest]\ntitle = 'a\x07'\n", "line 2: TOML syntax error: found invalid character '\\x07'", "title = 'a"),
    ("x = " + "[" * 5000, "line 1: the list is not closed; write ] after its last value", "x = " + "[" * 196),
]


@pytest.mark.parametrize(("text", "message", "before"), SYNTAX_ERRORS)
def test_a_syntax_error_shows_its_line_and_what_to_write(tmp_path: Path, text: str, message: str, before: str) -> None:
    (tmp_path / "config.toml").write_bytes(text.encode())
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "config.toml", {})
    problem, line, caret = caught.value.problems[0].split("\n")
    assert problem == message
    assert (caret.strip(), len(caret) - 1) == ("^", len(before) + 4)
    assert line.isprintable()
    assert line[4:].startswith(before)


@pytest.mark.parametrize(
    "line",
    [
        "password = hunter2",
        "DIGEST_SMTP_PASSWORD=hunter2",
        "'password' = hunter2",
        "token = hunter2",
        "port = 587 password = 'hunter2'",
        "password = [\nhunter2",
    ],
)
def test_a_syntax_error_never_shows_a_secret(tmp_path: Path, line: str) -> None:
    (problem,) = problems(tmp_path, f"[smtp]\n{line}\n")
    number = line.count("\n") + 2
    assert problem == (
        f"line {number}: TOML syntax error; secrets do not belong in this file: write them into .env next to it"
    )


@given(st.text(st.sampled_from("ab=[]\"'#\\\n .,:{}1-“\t\r"), max_size=40))
def test_every_syntax_error_has_a_message_with_its_line(text: str) -> None:
    message = "line 1: valid"
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = explain_toml_error(text, error)
    number, _, words = message.removeprefix("line ").partition(": ")
    assert 1 <= int(number) <= text.count("\n") + 1
    assert words[0].isprintable()


def test_a_number_beyond_the_limits_of_python_is_an_error_like_any_other(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "x = " + "9" * 5000)
    assert problem.startswith("line 1: TOML syntax error: exceeds the limit (4300 digits)")


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of config.toml in an empty folder that is both the current and the home folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DIGEST_CONFIG", raising=False)
    return tmp_path / "config.toml"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((GOOD.replace("[[sources]]", f"{line}\n[[sources]]"), message) for line, message in LINES),
        *FILES,
        *((text, message) for text, message, _ in SYNTAX_ERRORS),
    ],
)
def test_every_problem_ends_in_exit_code_2_and_changes_nothing(config_file: Path, text: str, message: str) -> None:
    config_file.write_bytes(text.encode())
    result = CliRunner().invoke(main, ["run"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert "hunter2" not in result.stderr
    assert len(result.stderr.splitlines()) <= 8
    assert list(config_file.parent.iterdir()) == [config_file]


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    text = '[digest]\nmax_papers = "x"\nwindow_days = -1\n[[sources]]\ntype = "nope"\n[smtp]\nport = "y"\n'
    keys = [problem.split(":")[0] for problem in problems(tmp_path, text)]
    assert keys == [
        "digest.from",
        "digest.max_papers",
        "digest.window_days",
        "sources[1].type",
        "smtp.host",
        "smtp.port",
    ]


def test_an_unreadable_file_is_reported_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read: No such file.*; create one with `digest init`"):
        load(tmp_path / "none.toml", {})
    with pytest.raises(ConfigError, match=r"Is a directory; name the file in it, like .*/config\.toml"):
        load(tmp_path, {})
    (tmp_path / "latin.toml").write_bytes("[digest]\ntitle = 'Übersicht'\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"line 2 is not UTF-8; save the file as UTF-8"):
        load(tmp_path / "latin.toml", {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission_says_who_needs_it(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(GOOD)
    (tmp_path / "config.toml").chmod(0)
    with pytest.raises(ConfigError, match="Permission denied; make it readable for the user that runs digest"):
        load(tmp_path / "config.toml", {})


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeff" + GOOD).digest.max_papers == 12


def test_a_city_suggests_its_own_zone() -> None:
    for zone, others in _CITIES.items():
        for city in (zone.rpartition("/")[2], *others.split(", ")):
            own = city == zone.rpartition("/")[2]  # the ways to write it are the same for the others
            for name in (city, city.lower(), f"Europe/{city}", f"{city} ") if own else (city,):
                if name != zone:
                    with pytest.raises(ValueError, match=f'did you mean "{zone}"'):
                        time_zone(name)


def test_an_offset_never_suggests_a_zone_of_the_opposite_sign() -> None:
    for name in ("GMT+2", "gmt-5", "UTC+02:00", "+0530", "Etc/GMT+99", "UTC +1"):
        with pytest.raises(ValueError, match="write the zone of a place"):
            time_zone(name)


def test_time_zones_of_every_kind_are_accepted(tmp_path: Path) -> None:
    for name in ("CET", "UTC", "Etc/GMT+1", "America/Argentina/Buenos_Aires"):
        assert str(read(tmp_path, GOOD.replace("to =", f'timezone = "{name}"\nto =')).digest.timezone) == name


def test_a_password_is_not_in_the_repr(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD + "[smtp]\nhost = 'x'\nusername = 'u'\n", DIGEST_SMTP_PASSWORD="hunter2")
    assert "hunter2" not in repr(config)
    assert isinstance(config.delivery, SmtpSettings)
    assert config.delivery.password == "hunter2"


def test_the_inbox_is_on_a_server_or_a_maildir(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD).inbox is None
    assert read(tmp_path, GOOD + "[inbox]\npath = 'Maildir'\n").inbox == InboxSettings(path=tmp_path / "Maildir")
    text = GOOD + "[inbox]\nhost = 'localhost'\nusername = 'me'\nsecurity = 'none'\nport = 143\n"
    config = read(tmp_path, text, DIGEST_INBOX_PASSWORD="hunter2")
    assert config.inbox is not None
    assert (config.inbox.host, config.inbox.port, config.inbox.password) == ("localhost", 143, "hunter2")
    assert "hunter2" not in repr(config)


def test_the_hugging_face_token_comes_from_the_environment_and_is_not_in_the_repr(tmp_path: Path) -> None:
    text = '[digest]\nfrom = "a@example.org"\n[[sources]]\ntype = "huggingface"\n'
    (tmp_path / "config.toml").write_text(text)
    for token, kept in ((" hf_secret\n", "hf_secret"), ("hf\nsecret", ""), ("gehéim", "")):
        config = load(tmp_path / "config.toml", {"HF_TOKEN": token})
        (source,) = config.sources
        assert isinstance(source, HuggingFace)
        assert source.token == kept
        assert "secret" not in repr(config)


def test_a_feed_is_named_after_its_host_and_needs_a_url(tmp_path: Path) -> None:
    text = '[digest]\nfrom = "a@example.org"\n[[sources]]\ntype = "feed"\n'
    assert 'sources[1].url: is missing; write url = "https://example.org/feed.xml"' in problems(tmp_path, text)
    (tmp_path / "config.toml").write_text(text + 'url = "https://www.journal.example.org/feed"\n')
    assert load(tmp_path / "config.toml", {}).sources[0].name == "journal.example.org"


# --- Shards

ARRAY = {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_COUNT": "8"}
READERS = json.dumps([f"reader{n}@example.org" for n in range(40)])


def sharded(tmp_path: Path, table: str, named: Shard | None = None, **environ: str) -> Config:
    path = tmp_path / "config.toml"
    path.write_text(re.sub(r"to = .*", f"to = {READERS}", GOOD) + table, encoding="utf-8")
    return load(path, environ, named)


def test_the_shards_of_a_digest_have_all_its_readers_once_and_a_database_each(tmp_path: Path) -> None:
    shards = [sharded(tmp_path, f"[shard]\ncount = 8\nindex = {index}") for index in range(1, 9)]
    everyone = [to for config in shards for to in config.digest.to]
    assert sorted(everyone) == sorted(f"reader{n}@example.org" for n in range(40))
    assert [config.digest.database.name for config in shards] == [f"history-{n}-of-8.db" for n in range(1, 9)]
    assert len({load_secret(config.digest.database) for config in shards}) == 1


@pytest.mark.parametrize(
    ("table", "named", "environ", "shard"),
    [
        ("", None, ARRAY, None),  # an array of different configurations
        ("", Shard(3, 8), {}, Shard(3, 8)),
        ("[shard]\ncount = 8", None, ARRAY, Shard(3, 8)),
        ("[shard]\ncount = 8\nindex = 5", None, ARRAY, Shard(5, 8)),
        ("[shard]\ncount = 8\nindex = 5", Shard(4, 8), ARRAY, Shard(4, 8)),
    ],
)
def test_the_command_line_goes_before_the_configuration_and_that_before_an_array_job(
    tmp_path: Path, table: str, named: Shard | None, environ: dict[str, str], shard: Shard | None
) -> None:
    assert sharded(tmp_path, table, named, **environ).shard == shard


@pytest.mark.parametrize(
    ("table", "named", "environ", "message"),
    [
        ("[shard]\ncount = 8", None, {}, "shard.index: is missing; write index = 1 to 8"),
        ("[shard]\ncount = 8\nindex = 9", None, {}, "shard.index: 9 is not one of 8 shards"),
        ("[shard]\nindex = 1", None, {}, "shard.count: is missing; write count = 8"),
        ("[shard]\ncount = 0", None, {}, "shard.count: must be a number from 1 to 1000, not 0"),
        ("[shard]\ncount = 4", None, ARRAY, "shard.count: SLURM_ARRAY_TASK_COUNT is 8, but there are 4 shards"),
        ("[shard]\ncount = 4\nindex = 1", Shard(3, 8), {}, "shard.count: is 4, but --shard is 3/8"),
    ],
)
def test_a_shard_that_is_not_certain_is_an_error(
    tmp_path: Path, table: str, named: Shard | None, environ: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        sharded(tmp_path, table, named, **environ)
    assert [problem for problem in caught.value.problems if problem.startswith(message)], caught.value.problems
