"""Every mistake in the configuration is found at once, by its key, with what to write instead."""

import os
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
from digest.inbound import InboxSettings
from digest.mail.render import bundled_file
from digest.sources.arxiv import Arxiv
from digest.sources.biorxiv import Biorxiv, Medrxiv
from digest.sources.feed import Feed
from digest.sources.file import File
from digest.sources.huggingface import HuggingFace
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


def test_little_is_needed(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD)
    assert config.digest.to == ("Ann@example.org", "bob@xn--bcher-kva.example")
    assert config.digest.from_.address == "digest@example.org"
    assert (config.digest.timezone, config.digest.max_papers, config.digest.window_days) == (ZoneInfo("UTC"), 12, 7)
    assert config.digest.database == tmp_path / "history.db"
    assert config.sources == (HuggingFace(),)
    assert config.delivery is None


def test_the_example_that_comes_with_the_program_can_be_used(tmp_path: Path) -> None:
    config = read(
        tmp_path, bundled_file("config.example.toml").read_text(encoding="utf-8"), DIGEST_SMTP_PASSWORD="secret"
    )
    assert isinstance(config.delivery, SmtpSettings)
    assert config.delivery.password == "secret"


def test_what_the_example_shows_as_switched_off_can_be_switched_on(tmp_path: Path) -> None:
    text = bundled_file("config.example.toml").read_text(encoding="utf-8")
    (tmp_path / "my-templates").mkdir()
    on = "\n".join(
        line[2:] if line.startswith("# ") and ("=" in line or "[" in line[:4]) else line for line in text.split("\n")
    )
    on = "\n".join(line for line in on.split("\n") if "digest preview" not in line).replace(
        '[maildir]\npath = "mail"', ""
    )
    config = read(tmp_path, on)
    assert [type(source) for source in config.sources] == [HuggingFace, Arxiv, Biorxiv, Medrxiv, Feed, File]
    assert config.topics[0].name == "Diffusion"
    assert config.unsubscribe.url.endswith("{token}")
    assert config.inbox == InboxSettings(host="imap.example.org", username="digest@example.org")
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


def test_sources_have_names_of_their_own(tmp_path: Path) -> None:
    more = '[[sources]]\ntype = "file"\npath = "a/papers.jsonl"\n[[sources]]\ntype = "file"\npath = "b/papers.jsonl"\n'
    config = read(tmp_path, GOOD + more + '[[sources]]\ntype = "huggingface"\nname = "mirror"\n')
    assert [source.name for source in config.sources] == ["huggingface", "papers", "papers-2", "mirror"]


# A line of [digest] -> all that is said about it.
LINES = [
    ("max_paper = 3", "digest.max_paper: is not a key; did you mean max_papers?"),
    ('max_papers = "ten"', "digest.max_papers: 'ten' is a text; write a whole number"),
    ('max_papers = "10"', "digest.max_papers: '10' is a text; write max_papers = 10 without quotes"),
    ("max_papers = 12.0", "digest.max_papers: 12.0 is a number; write max_papers = 12"),
    ("max_papers = 12.5", "digest.max_papers: 12.5 is a number; write a whole number"),
    ("max_papers = true", "digest.max_papers: true is true or false; write a whole number"),
    ("max_papers = 0", "digest.max_papers: 0 is out of range; write a number from 1 to 1000"),
    ("max_papers = [3]", "digest.max_papers: [3] is a list with something else than texts in it; write a whole number"),
    ("min_score = -1", "digest.min_score: -1 is out of range; write a number from 0 to 1000"),
    ("min_score = nan", "digest.min_score: nan is out of range; write a number from 0 to 1000"),
    ('min_score = "0.5"', "digest.min_score: '0.5' is a text; write min_score = 0.5 without quotes"),
    ('timezone = "Berlin"', "digest.timezone: 'Berlin' is not a time zone; did you mean \"Europe/Berlin\"?"),
    (
        'timezone = "europe/berlin"',
        "digest.timezone: 'europe/berlin' is not a time zone; did you mean \"Europe/Berlin\"?",
    ),
    ('timezone = "New York"', "digest.timezone: 'New York' is not a time zone; did you mean \"America/New_York\"?"),
    (
        'timezone = "Europe/Berln"',
        "digest.timezone: 'Europe/Berln' is not a time zone; did you mean \"Europe/Berlin\"?",
    ),
    (
        'timezone = "US/New York"',
        "digest.timezone: 'US/New York' is not a time zone; did you mean \"America/New_York\"?",
    ),
    ('timezone = "UTC+1"', 'digest.timezone: \'UTC+1\' is not a time zone; write one like "Europe/Berlin" or "UTC"'),
    ('timezone = "../etc"', 'digest.timezone: \'../etc\' is not a time zone; write one like "Europe/Berlin" or "UTC"'),
    ("timezone = 07:30:00", "digest.timezone: 07:30:00 is a date or time; write a text in quotes"),
    ('when_empty = "sent"', "digest.when_empty: 'sent' is not known; did you mean \"send\"?"),
    ('when_empty = "never"', 'digest.when_empty: \'never\' is not known; write one of "skip", "send"'),
    ('days = ["monday"]', "digest.days: 'monday' is not known; did you mean \"mon\"?"),
    ('days = "mon, fri"', 'digest.days: \'mon, fri\' is a text; write it in brackets: days = ["mon", "fri"]'),
    (
        "days = [1]",
        'digest.days: [1] is a list with something else than texts in it; write a list of texts in brackets, as in days = ["mon", "fri"]',
    ),
    ('templates = "nowhere"', "digest.templates: 'nowhere' is not a folder; write one with templates in it"),
    ('database = ""', "digest.database: is empty; write a path, or # in front of the line"),
    ("title = 5", "digest.title: 5 is a number; write a text in quotes"),
    ('title = ["News"]', "digest.title: ['News'] is a list; write it without brackets: title = \"News\""),
    ('variety = "yes"', "digest.variety: 'yes' is a text; write true or false"),
    ('variety = "True"', "digest.variety: 'True' is a text; write variety = true without quotes"),
    ("variety = 1", "digest.variety: 1 is a number; write true or false"),
    ('host = "mail.example.org"', "digest.host: is not a key; it belongs below [smtp] or [inbox]"),
    ('mute = ["survey"]', "digest.mute: is not a key; it belongs below [[topics]]"),
]


@pytest.mark.parametrize(("line", "sentence"), LINES)
def test_a_mistake_is_told_by_its_key_with_what_to_write(tmp_path: Path, line: str, sentence: str) -> None:
    assert problems(tmp_path, GOOD.replace("[[sources]]", f"{line}\n[[sources]]")) == (sentence,)


# A whole file -> how one of the things begins that are said about it.
FILES = [
    ("", 'digest.from: is missing; write [digest] and below it from = "Paper Digest <digest@example.org>"'),
    ("[digest]\ntitle = 'x'", 'digest.from: is missing; write from = "Paper Digest <digest@example.org>"'),
    ("", 'sources: is missing; write [[sources]] and below it type = "huggingface"'),
    ("sources = 3", "sources: 3 is no table; write [[sources]] with two brackets"),
    ("[sources]\ntype = 'file'", "sources: is a single table; write [[sources]] with two brackets"),
    ("sources = [3]", "sources[1]: 3 is a number; write a table: [[sources]]"),
    ("[[sources]]\npath = 'x'", 'sources[1].type: is missing; write one of type = "huggingface", type = "arxiv", '),
    ("[[sources]]\ntype = 'arxive'", "sources[1].type: 'arxive' is not known; did you mean \"arxiv\"?"),
    ("[[sources]]\ntype = 'pubmed'", "sources[1].type: 'pubmed' is not known; write one of \"huggingface\", "),
    ("[[sources]]\ntype = 'arxiv'", 'sources[1].categories: is missing; write categories = ["cs.LG", "stat.ML"]'),
    (
        "[[sources]]\ntype = 'arxiv'\ncategories = 'cs.LG'",
        "sources[1].categories: 'cs.LG' is a text; write it in brackets: categories = [\"cs.LG\"]",
    ),
    (
        "[[sources]]\ntype = 'arxiv'\ncategories = ['cs LG']",
        'sources[1].categories: \'cs LG\' is not an arXiv category; write them like "cs.LG" or "math"',
    ),
    (
        "[[sources]]\ntype = 'huggingface'\nurl = 'ftp://x'",
        "sources[1].url: 'ftp://x' is not a web address; write one that begins with https://",
    ),
    (
        "[[sources]]\ntype = 'huggingface'\ncategories = ['x']",
        "sources[1].categories: is not a key; known here: lookback_days, name, type, url, weight",
    ),
    (
        "[[sources]]\ntype = 'huggingface'\ntoken = 'x'",
        "sources[1].token: is not a key; secrets do not belong here: put HF_TOKEN=… into .env beside this file",
    ),
    ("[[sources]]\ntype = 'file'", 'sources[1].path: is missing; write path = "papers.jsonl"'),
    ("max_papers = 3", "max_papers: is not a key; it belongs below [digest]"),
    ("[smpt]\nhost = 'x'", "smpt: is not a key; did you mean smtp?"),
    ("[smtp]\nport = 25", 'smtp.host: is missing; write host = "smtp.example.org"'),
    ("[smtp]\nhost = 'x'\nport = 0", "smtp.port: 0 is out of range; write a number from 1 to 65535"),
    ("[smtp]\nhost = 'x'\nport = '587'", "smtp.port: '587' is a text; write port = 587 without quotes"),
    ("[smtp]\nhost = 'x:25'", "smtp.host: 'x:25' contains a port; write host = \"x\" and port = 25"),
    (
        "[smtp]\nhost = 'https://x.example'",
        "smtp.host: 'https://x.example' is not a host name; write one like \"smtp.example.org\"",
    ),
    ("[smtp]\nhost = ''", "smtp.host: '' is not a host name; write one like \"smtp.example.org\""),
    (
        "[smtp]\nhost = 'x'\nsecurity = 'ssl'",
        'smtp.security: \'ssl\' is not known; write one of "starttls", "tls", "none"',
    ),
    (
        "[smtp]\nhost = 'x'\nport = 465",
        'smtp.security: "starttls" does not go with port 465, which is TLS from the start; write "tls"',
    ),
    (
        "[smtp]\nhost = 'x.example'\nsecurity = 'none'",
        'smtp.security: "none" would send the mail readable to x.example; write "starttls" or "tls" (port 465)',
    ),
    (
        "[smtp]\nhost = 'x'\npassword = 'hunter2'",
        "smtp.password: is not a key; secrets do not belong here: put DIGEST_SMTP_PASSWORD=… into .env beside this file",
    ),
    ("[inbox]", 'inbox: names no mailbox; write host = "imap.example.org", or path = "Maildir"'),
    ("[inbox]\npath = 5", 'inbox.path: 5 is a number; write a path in quotes, as in path = "Maildir"'),
    (
        "[inbox]\nhost = 'x'\nusername = 'y'\npath = 'z'",
        "inbox.path: stands beside inbox.host; keep the one where answers arrive",
    ),
    ("[inbox]\nhost = 'x'", 'inbox.username: is missing; write username = "digest@example.org"'),
    (
        "[inbox]\nhost = 'x'\npassword = 'hunter2'",
        "inbox.password: is not a key; secrets do not belong here: put DIGEST_INBOX_PASSWORD=… into .env beside this file",
    ),
    ("[inbox]\nhost = 'x'\nsecurity = 'tsl'", "inbox.security: 'tsl' is not known; did you mean \"tls\"?"),
    (
        "[inbox]\nhost = 'x.example'\nusername = 'y'\nsecurity = 'none'",
        'inbox.security: "none" would send the password readable to x.example; write "tls" or "starttls" (port 143)',
    ),
    ("inbox = 5", "inbox: 5 is a number; write a table: [inbox]"),
    (
        "[notify]\nping = 'hc-ping.com/x'",
        "notify.ping: 'hc-ping.com/x' is not a web address; write one that begins with",
    ),
    (
        "[notify]\nurl = 'x'",
        "notify.url: is not a key; it belongs below [unsubscribe] or [[sources]]; the key here is ping",
    ),
    ("[smtp]\nhost = 'x'\npasswd = 'hunter2'", "smtp.passwd: is not a key; secrets do not belong here: put "),
    ("[smtp]\nhost = 'x'\nrate = 'fast'", "smtp.rate: 'fast' is not a rate; write one like \"14/s\", "),
    ("[smtp]\nhost = 'x'\nmax_papers = 5", "smtp.max_papers: is not a key; it belongs below [digest]"),
    ("smtp = 'x'", "smtp: 'x' is a text; write a table: [smtp]"),
    (
        "[smtp]\nhost = 'x'\n[maildir]\npath = 'y'",
        "maildir: stands beside [smtp]; keep the one that mail should go to",
    ),
    ("[maildir]\npath = ''", "maildir.path: is empty; write a path, or # in front of the line"),
    (
        "[unsubscribe]\nmailto = 'nobody'",
        "unsubscribe.mailto: 'nobody' is not an email address; write one like \"unsubscribe@example.org\"",
    ),
    (
        "[unsubscribe]\nurl = 'https://example.org/u'",
        "unsubscribe.url: 'https://example.org/u' must contain {token} once; write one like \"https://example.org/u/{token}\"",
    ),
    (
        "[unsubscribe]\nurl = 'http://example.org/{token}'",
        "unsubscribe.url: 'http://example.org/{token}' is not secure",
    ),
    ("[[topics]]\nmatch = ['x']", 'topics[1].name: is missing; write name = "Diffusion"'),
    ("[topics]\nname = 'x'", "topics: is a single table; write [[topics]] with two brackets"),
    (
        "[[topics]]\nname = 'x'\nmatch = 'diffusion, flow'",
        'topics[1].match: \'diffusion, flow\' is a text; write it in brackets: match = ["diffusion", "flow"]',
    ),
    (
        "[digest]\nfrom = 'nobody'",
        "digest.from: 'nobody' is not an email address; write one like \"Paper Digest <digest@example.org>\"",
    ),
    (
        "[digest]\nto = ['a@b.example', 'a b@c.example']",
        "digest.to: 'a b@c.example' has an invalid part before the @: 'a b'; ",
    ),
    (
        "[digest]\nto = 'a@b.example'",
        "digest.to: 'a@b.example' is a text; write it in brackets: to = [\"a@b.example\"]",
    ),
    ("digest = 5", "digest: 5 is a number; write a table: [digest]"),
]


@pytest.mark.parametrize(("text", "sentence"), FILES)
def test_mistakes_outside_the_digest_table_too(tmp_path: Path, text: str, sentence: str) -> None:
    assert any(problem.startswith(sentence) for problem in problems(tmp_path, text)), problems(tmp_path, text)


# A file that is not TOML -> what is said, and the part of its line in front of the caret.
SLIPS = [
    ("[digest]\ntitle = My papers\n", 'line 2: has a text without quotes; write title = "My papers"', "title = "),
    ("[digest]\nfrom = a@b.example # me\n", 'line 2: has a text without quotes; write from = "a@b.example"', "from = "),
    (
        "[digest]\nto = [a@b.example, c@d.example]\n",
        'line 2: has texts without quotes; write to = ["a@b.example", "c@d.example"]',
        "to = [",
    ),
    ("[digest]\nvariety = True\n", "line 2: has a value that is not TOML; write variety = true", "variety = "),
    ("[digest]\nvariety = no\n", "line 2: has a value that is not TOML; write variety = false", "variety = "),
    (
        "[digest]\ntitle =\n",
        'line 2: has no value; write one behind the =, or # in front of the line: title = "…"',
        "title =",
    ),
    ("[digest\n", "line 1: is not a whole heading of a table; write [digest]", "[digest"),
    ("[[sources]\n", "line 1: is not a whole heading of a table; write [[sources]]", "[[sources"),
    (
        "[digest] title = 'x'\n",
        "line 1: goes on behind the heading [digest]; write the rest in a line of its own",
        "[digest] ",
    ),
    (
        "[sources]\n[sources]\n",
        "line 2: has one bracket, but there are several; write [[sources]] above each, in line 1 as well",
        "[sources",
    ),
    (
        "[sources]\ntype = 'file'\n[[sources]]\n",
        "line 3: has one bracket, but there are several; write [[sources]] above each, in line 1 as well",
        "[[sources",
    ),
    (
        "[digest]\n[smtp]\n[digest]\n",
        "line 3: opens the table [digest] again; put its keys below the first one, in line 1",
        "[digest",
    ),
    (
        "[digest]\ntitle = 'a'\ntitle = 'b'\n",
        "line 3: says title a second time; keep this line or line 2",
        "title = 'b'",
    ),
    (
        "[digest]\ntitle = “a”\n",
        'line 2: has curly quotes, as web pages and word processors write them; write title = "a"',
        "title = ",
    ),
    (
        "[digest]\nto = [‘a’]\n",
        "line 2: has curly quotes, as web pages and word processors write them; write to = ['a']",
        "to = [",
    ),
    (
        "[digest]\ntitle =\u00a0'a'\n",
        "line 2: has a special space in it (U+00A0), as web pages do; write a plain one",
        "title =",
    ),
    ('[digest]\ntitle = "abc\n', 'line 2: has no closing quote; write title = "abc"', 'title = "abc'),
    ("[digest]\ntitle = 'abc", "line 2: has no closing quote; write title = 'abc'", "title = 'abc"),
    (
        '[digest]\ntitle = """abc\n\n',
        'line 2: opens a text with three quotes that nothing closes; write title = "abc"',
        'title = """abc',
    ),
    (
        '[digest]\ntitle = "My "best" ones"\n',
        "line 2: has quotes inside quotes; write title = 'My \"best\" ones'",
        'title = "My "',
    ),
    (
        "[digest]\ntitle = 'Ann's papers'\n",
        'line 2: has quotes inside quotes; write title = "Ann\'s papers"',
        "title = 'Ann'",
    ),
    (
        '[maildir]\npath = "C:\\Users\\ann"\n',
        "line 2: has a \\ in double quotes, where it means something else; write path = 'C:\\Users\\ann'",
        'path = "C:\\U',
    ),
    (
        "[digest]\nto = ['a', 'b'\nmax_papers = 3\n",
        "line 2: opens a list that is never closed; write ] behind its last value, as in to = ['a', 'b']",
        "to = ['a', 'b'",
    ),
    (
        "[digest]\nto = [\n'a',\n\n[smtp]\nhost = 'x'\n",
        "line 2: opens a list that is never closed; write ] behind its last value",
        "to = [",
    ),
    ("[digest]\nto = ['a' 'b']\n", "line 2: has no comma between two values of the list; write one", "to = ['a' "),
    ("[digest]\ntitle: 'x'\n", "line 2: has a : where = belongs; write title = 'x'", "title"),
    ("[digest]\ntitle 'x'\n", "line 2: has no = in it; write title = 'x'", "title "),
    ("[digest]\nmax papers = 3\n", "line 2: has a key that cannot be one; write max_papers = 3", "max "),
    ("[digest]\ntitle = 'a',\n", "line 2: ends in a comma, and no line does; write title = 'a'", "title = 'a'"),
    (
        "[digest]\nmax_papers = 3;\n",
        "line 2: ends in a semicolon, and no line does; write max_papers = 3",
        "max_papers = 3",
    ),
    (
        "[digest]\ntitle = 'a' max_papers = 3\n",
        "line 2: has two keys in it; write max_papers = 3 in a line of its own",
        "title = 'a' ",
    ),
    ("[smtp]\nport = 0587\n", "line 2: has a number that begins with 0; write port = 587", "port = 0"),
    (
        "[digest]\nat = 7:30\n",
        'line 2: has a value that is no number; if it is a text, write it in quotes: at = "7:30"',
        "at = 7",
    ),
    (
        "[digest]\nmax_papers = 3 papers\n",
        "line 2: goes on after its value; write max_papers = 3, and # in front of a comment",
        "max_papers = 3 ",
    ),
    ("// mine\n", "line 1: begins a comment in the way of another language; write # in front of it", ""),
    (
        "[digest]\nmy settings\n",
        "line 2: is neither a [table] nor a key = value; put # in front of it if it is a comment",
        "my ",
    ),
    ("[digest]\r\ntitle = abc\r\n", 'line 2: has a text without quotes; write title = "abc"', "title = "),
    ("[digest]\ntitle = 'a\x07'\n", "line 2: is not TOML: found invalid character '\\x07'", "title = 'a"),
]


@pytest.mark.parametrize(("text", "sentence", "before"), SLIPS)
def test_what_is_not_toml_is_shown_with_what_to_write(tmp_path: Path, text: str, sentence: str, before: str) -> None:
    (tmp_path / "config.toml").write_bytes(text.encode())
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "config.toml", {})
    said, line, caret = caught.value.problems[0].split("\n")
    assert said == sentence
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
    ],
)
def test_a_secret_in_a_line_that_is_not_toml_is_not_shown(tmp_path: Path, line: str) -> None:
    (said,) = problems(tmp_path, f"[smtp]\n{line}\n")
    assert said == "line 2: is not TOML; secrets do not belong here: put them into .env beside this file"


@given(st.text(st.sampled_from("ab=[]\"'#\\\n .,:{}1-“\t\r"), max_size=40))
def test_there_is_something_to_say_about_whatever_is_not_toml(text: str) -> None:
    said = "line 1: it is TOML"
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        said = explain_toml_error(text, problem)
    assert said.startswith("line ")


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration of somebody who types `digest run` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DIGEST_CONFIG", raising=False)
    return tmp_path / "config.toml"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        *((GOOD.replace("[[sources]]", f"{line}\n[[sources]]"), sentence) for line, sentence in LINES),
        *FILES,
        *((text, sentence) for text, sentence, _ in SLIPS),
    ],
)
def test_every_mistake_ends_in_exit_code_2_and_nothing_is_done(typed: Path, text: str, sentence: str) -> None:
    typed.write_bytes(text.encode())
    result = CliRunner().invoke(main, ["run"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert "hunter2" not in result.stderr
    assert len(result.stderr.splitlines()) <= 8
    assert list(typed.parent.iterdir()) == [typed]


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
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


def test_a_file_that_cannot_be_read_is_told_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read: No such file.*; `digest init` writes one"):
        load(tmp_path / "none.toml", {})
    with pytest.raises(ConfigError, match=r"Is a directory; name the file in it, like .*/config\.toml"):
        load(tmp_path, {})
    (tmp_path / "latin.toml").write_bytes("[digest]\ntitle = 'Übersicht'\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"not UTF-8 text \(line 2\); save it as UTF-8"):
        load(tmp_path / "latin.toml", {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told_with_who_must_be_able_to(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(GOOD)
    (tmp_path / "config.toml").chmod(0)
    with pytest.raises(ConfigError, match="Permission denied; let whoever runs digest read it"):
        load(tmp_path / "config.toml", {})


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeff" + GOOD).digest.max_papers == 12


def test_zones_of_every_kind_are_taken(tmp_path: Path) -> None:
    for name in ("CET", "UTC", "Etc/GMT+1", "America/Argentina/Buenos_Aires"):
        assert str(read(tmp_path, GOOD.replace("to =", f'timezone = "{name}"\nto =')).digest.timezone) == name


def test_a_password_shows_itself_nowhere(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD + "[smtp]\nhost = 'x'\nusername = 'u'\n", DIGEST_SMTP_PASSWORD="hunter2")
    assert "hunter2" not in repr(config)
    assert isinstance(config.delivery, SmtpSettings)
    assert config.delivery.password == "hunter2"


def test_a_mailbox_is_a_folder_on_a_server_or_a_maildir(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD).inbox is None
    assert read(tmp_path, GOOD + "[inbox]\npath = 'Maildir'\n").inbox == InboxSettings(path=tmp_path / "Maildir")
    text = GOOD + "[inbox]\nhost = 'localhost'\nusername = 'me'\nsecurity = 'none'\nport = 143\n"
    config = read(tmp_path, text, DIGEST_INBOX_PASSWORD="hunter2")
    assert config.inbox is not None
    assert (config.inbox.host, config.inbox.port, config.inbox.password) == ("localhost", 143, "hunter2")
    assert "hunter2" not in repr(config)


def test_the_token_for_hugging_face_comes_from_the_environment_and_shows_itself_nowhere(tmp_path: Path) -> None:
    text = '[digest]\nfrom = "a@example.org"\n[[sources]]\ntype = "huggingface"\n'
    (tmp_path / "config.toml").write_text(text)
    for token, kept in ((" hf_secret\n", "hf_secret"), ("hf\nsecret", ""), ("gehéim", "")):
        config = load(tmp_path / "config.toml", {"HF_TOKEN": token})
        (source,) = config.sources
        assert isinstance(source, HuggingFace)
        assert source.token == kept
        assert "secret" not in repr(config)


def test_a_feed_is_called_by_its_host_and_needs_an_address(tmp_path: Path) -> None:
    text = '[digest]\nfrom = "a@example.org"\n[[sources]]\ntype = "feed"\n'
    assert 'sources[1].url: is missing; write url = "https://example.org/feed.xml"' in problems(tmp_path, text)
    (tmp_path / "config.toml").write_text(text + 'url = "https://www.journal.example.org/feed"\n')
    assert load(tmp_path / "config.toml", {}).sources[0].name == "journal.example.org"
