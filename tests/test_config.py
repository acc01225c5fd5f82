"""Every mistake in the configuration is found at once, by its key, with what to write instead."""

import tomllib
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from digest.config import Config, load
from digest.delivery import Maildir, Smtp
from digest.errors import ConfigError
from digest.inbox import Inbox
from digest.render import shipped
from digest.sources.arxiv import Arxiv
from digest.sources.biorxiv import Biorxiv, Medrxiv
from digest.sources.feed import Feed
from digest.sources.file import File
from digest.sources.huggingface import HuggingFace

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
    config = read(tmp_path, shipped("config.example.toml").read_text(encoding="utf-8"), DIGEST_SMTP_PASSWORD="secret")
    assert isinstance(config.delivery, Smtp)
    assert config.delivery.password == "secret"


def test_what_the_example_shows_as_switched_off_can_be_switched_on(tmp_path: Path) -> None:
    text = shipped("config.example.toml").read_text(encoding="utf-8")
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
    assert config.inbox == Inbox(host="imap.example.org", username="digest@example.org")
    assert tomllib.loads(on)["digest"]["window_days"] == config.digest.window_days


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    text = GOOD.replace(
        "[[sources]]", 'database = "data/h.db"\n[[sources]]\ntype = "file"\npath = "p.jsonl"\n[[sources]]'
    )
    config = read(tmp_path, text + '[maildir]\npath = "mail"')
    assert config.digest.database == tmp_path / "data/h.db"
    assert isinstance(config.sources[0], File)
    assert config.sources[0].path == tmp_path / "p.jsonl"
    assert config.delivery == Maildir(tmp_path / "mail")


def test_sources_have_names_of_their_own(tmp_path: Path) -> None:
    more = '[[sources]]\ntype = "file"\npath = "a/papers.jsonl"\n[[sources]]\ntype = "file"\npath = "b/papers.jsonl"\n'
    config = read(tmp_path, GOOD + more + '[[sources]]\ntype = "huggingface"\nname = "mirror"\n')
    assert [source.name for source in config.sources] == ["huggingface", "papers", "papers-2", "mirror"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("max_paper = 3", "digest.max_paper: is not a key; did you mean max_papers?"),
        ('max_papers = "ten"', "digest.max_papers: 'ten' is a text; write a whole number"),
        ("max_papers = true", "digest.max_papers: true is true or false; write a whole number"),
        ("max_papers = 0", "digest.max_papers: 0 is out of range; write a number from 1 to 1000"),
        ("min_score = -1", "digest.min_score: -1 is out of range; write a number from 0 to 1000"),
        (
            'timezone = "Berlin"',
            'digest.timezone: \'Berlin\' is not a time zone; write one like "Europe/Berlin" or "UTC"',
        ),
        (
            'timezone = "../etc"',
            'digest.timezone: \'../etc\' is not a time zone; write one like "Europe/Berlin" or "UTC"',
        ),
        ('when_empty = "sent"', "digest.when_empty: 'sent' is not known; did you mean \"send\"?"),
        ('days = ["monday"]', "digest.days: 'monday' is not known; did you mean \"mon\"?"),
        (
            "days = [1]",
            'digest.days: [1] is a list with something else than texts in it; write a list of texts in brackets, as in days = ["mon", "fri"]',
        ),
        ('templates = "nowhere"', "digest.templates: 'nowhere' is not a folder; write one with templates in it"),
        ("title = 5", "digest.title: 5 is a number; write a text in quotes"),
        ('variety = "yes"', "digest.variety: 'yes' is a text; write true or false"),
    ],
)
def test_a_mistake_is_told_by_its_key_with_what_to_write(tmp_path: Path, line: str, sentence: str) -> None:
    assert problems(tmp_path, GOOD.replace("[[sources]]", f"{line}\n[[sources]]")) == (sentence,)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", 'digest.from: is missing; write from = "Paper Digest <digest@example.org>"'),
        ("", 'sources: is missing; write [[sources]] and below it type = "huggingface"'),
        ("sources = 3", "sources: is a single table; write [[sources]] with two brackets"),
        ("[sources]\ntype = 'file'", "sources: is a single table; write [[sources]] with two brackets"),
        ("sources = [3]", "sources[1]: 3 is a number; write a table: [sources[1]]"),
        (
            "[[sources]]\npath = 'x'",
            'sources[1].type: is missing; write one of type = "huggingface", type = "arxiv", ',
        ),
        ("[[sources]]\ntype = 'arxive'", "sources[1].type: 'arxive' is not known; did you mean \"arxiv\"?"),
        ("[[sources]]\ntype = 'arxiv'", 'sources[1].categories: is missing; write categories = ["cs.LG", "stat.ML"]'),
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
        ("[smpt]\nhost = 'x'", "smpt: is not a key; did you mean smtp?"),
        ("[smtp]\nport = 25", 'smtp.host: is missing; write host = "smtp.example.org"'),
        ("[smtp]\nhost = 'x'\nport = 0", "smtp.port: 0 is out of range; write a number from 1 to 65535"),
        (
            "[smtp]\nhost = 'x.example'\nsecurity = 'none'",
            'smtp.security: "none" would send the mail readable to x.example; write "starttls" or "tls" (port 465)',
        ),
        ("[smtp]\nhost = 'x'\npassword = 'y'", "smtp.password: is not a key"),
        (
            "[smtp]\nhost = 'x'\n[maildir]\npath = 'y'",
            "maildir: stands beside [smtp]; keep the one that mail should go to",
        ),
        (
            "[unsubscribe]\nmailto = 'nobody'",
            "unsubscribe.mailto: 'nobody': '' cannot stand before the @; write one like \"unsubscribe@example.org\"",
        ),
        (
            "[unsubscribe]\nurl = 'https://example.org/u'",
            "unsubscribe.url: 'https://example.org/u' has no {token} in it; write one like \"https://example.org/u/{token}\"",
        ),
        (
            "[unsubscribe]\nurl = 'http://example.org/{token}'",
            "unsubscribe.url: 'http://example.org/{token}' is not secure",
        ),
        ("[inbox]", 'inbox: names no mailbox; write host = "imap.example.org", or path = "Maildir"'),
        ("[inbox]\npath = 5", 'inbox.path: 5 is a number; write a path in quotes, as in path = "Maildir"'),
        (
            "[inbox]\nhost = 'x'\nusername = 'y'\npath = 'z'",
            "inbox.path: stands beside inbox.host; keep the one where answers arrive",
        ),
        ("[inbox]\nhost = 'x'", 'inbox.username: is missing; write username = "digest@example.org"'),
        ("[inbox]\nhost = 'x'\npassword = 'y'", "inbox.password: is not a key"),
        ("[inbox]\nhost = 'x'\nsecurity = 'tsl'", "inbox.security: 'tsl' is not known; did you mean \"tls\"?"),
        (
            "[inbox]\nhost = 'x.example'\nusername = 'y'\nsecurity = 'none'",
            'inbox.security: "none" would send the password readable to x.example; write "tls" or "starttls" (port 143)',
        ),
        ("inbox = 5", "inbox: 5 is a number; write a table: [inbox]"),
        ("[[topics]]\nmatch = ['x']", 'topics[1].name: is missing; write name = "Diffusion"'),
        (
            "[digest]\nfrom = 'nobody'",
            "digest.from: 'nobody': it is not a mail address; write one like \"Paper Digest <digest@example.org>\"",
        ),
        ("[digest]\nto = ['a@b.example', 'a b@c.example']", "digest.to: "),
        ("digest = 5", "digest: 5 is a number; write a table: [digest]"),
    ],
)
def test_mistakes_outside_the_digest_table_too(tmp_path: Path, text: str, sentence: str) -> None:
    assert any(problem.startswith(sentence) for problem in problems(tmp_path, text)), problems(tmp_path, text)


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


def test_broken_toml_and_a_missing_file_are_told_with_line_or_reason(tmp_path: Path) -> None:
    assert "line 2" in problems(tmp_path, "[digest]\nfrom = \n")[0]
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "none.toml", {})
    (tmp_path / "latin.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "latin.toml", {})


def test_a_password_shows_itself_nowhere(tmp_path: Path) -> None:
    config = read(tmp_path, GOOD + "[smtp]\nhost = 'x'\nusername = 'u'\n", DIGEST_SMTP_PASSWORD="hunter2")
    assert "hunter2" not in repr(config)
    assert isinstance(config.delivery, Smtp)
    assert config.delivery.password == "hunter2"


def test_a_mailbox_is_a_folder_on_a_server_or_a_maildir(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD).inbox is None
    assert read(tmp_path, GOOD + "[inbox]\npath = 'Maildir'\n").inbox == Inbox(path=tmp_path / "Maildir")
    text = GOOD + "[inbox]\nhost = 'localhost'\nusername = 'me'\nsecurity = 'none'\nport = 143\n"
    config = read(tmp_path, text, DIGEST_INBOX_PASSWORD="hunter2")
    assert config.inbox is not None
    assert (config.inbox.host, config.inbox.port, config.inbox.password) == ("localhost", 143, "hunter2")
    assert "hunter2" not in repr(config)


def test_the_token_for_hugging_face_comes_from_the_environment_and_shows_itself_nowhere(tmp_path: Path) -> None:
    text = '[digest]\nfrom = "a@example.org"\n[[sources]]\ntype = "huggingface"\n'
    (tmp_path / "config.toml").write_text(text)
    for given, kept in ((" hf_secret\n", "hf_secret"), ("hf\nsecret", ""), ("gehéim", "")):
        config = load(tmp_path / "config.toml", {"HF_TOKEN": given})
        (source,) = config.sources
        assert isinstance(source, HuggingFace)
        assert source.token == kept
        assert "secret" not in repr(config)


def test_a_feed_is_called_by_its_host_and_needs_an_address(tmp_path: Path) -> None:
    text = '[digest]\nfrom = "a@example.org"\n[[sources]]\ntype = "feed"\n'
    assert 'sources[1].url: is missing; write url = "https://example.org/feed.xml"' in problems(tmp_path, text)
    (tmp_path / "config.toml").write_text(text + 'url = "https://www.journal.example.org/feed"\n')
    assert load(tmp_path / "config.toml", {}).sources[0].name == "journal.example.org"
