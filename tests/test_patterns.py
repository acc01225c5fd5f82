"""Regular expressions that meet foreign text take linear time.

Every pattern of the package is in one of two tables: `WORST` has texts that take it as long as possible, `OWN` the code
whose patterns meet only what the operator wrote. A new pattern belongs into one of them.
"""

import ast
import importlib
import re
import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from digest.mail.message import Placeholders
from digest.papers.text import latex
from digest.ranking.topics import _phrase_pattern

ROOT = Path(__file__).resolve().parents[1] / "digest"
FUNCTIONS = {f"re.{name}" for name in "compile search match fullmatch split findall finditer sub subn".split()}

# The configuration, the command line, the crontab and the systemd units. The hider of secrets looks for literal texts.
OWN = """
    delivery.smtp:_make_hider
    archive:_read_url archive:tag cli. config: delivery: inbound:_read_authserv mail.message:_list_id mail.shard:
    operations.crontab: operations.github: operations.init: operations.schedule: operations.systemd: settings:
    toml_hints:
""".split()


@dataclass(frozen=True)
class Worst:
    """Text on which a pattern is slow: `start`, as many `pump` as needed, `end`.

    name      the module, and the constant or the function that the pattern is in
    how       "find" (for search, split, findall and sub), "match" or "fullmatch"
    limit     how many characters the pattern meets at most, if the code around it sees to that
    pattern   one that is put together at run time
    """

    name: str
    start: str
    pump: str
    end: str
    how: str = "find"
    limit: int = 0
    pattern: "re.Pattern[Any] | None" = None


_J, _O, _C = latex._JOINT, latex._OPEN, latex._CLOSE
WORST = [
    Worst("archive:anchors", "", "a-", ""),
    Worst("archive.bibtex:_NOT_PLAIN", "", "é", ""),
    Worst("archive.bibtex:_WHOLE_NAME", "", "an ", ""),
    Worst("archive.bibtex:_WHOLE_NAME", "", "a", " ", limit=120),
    Worst("archive.bibtex:_fields", "", "a.", "!", "fullmatch"),
    Worst("archive.bibtex:_keep_capitals", "", "a ", ""),
    Worst("archive.bibtex:_published", "", "a", "!", "match"),
    Worst("archive.site:_DRAFT", ".12.html.", "a", "!", "fullmatch"),
    Worst("mail.templates:_WIDTH", "", "123456a", ""),
    Worst("operations.subscriber_files:_NAME", "arxiv:", "a", "\n", "fullmatch"),
    Worst("operations.subscriber_files:_parse_days", "", "mon ", ""),
    Worst("operations.subscriber_files:_parse_days", "mon", " ", ""),
    Worst("sources.library:_RIS_TAG", "", "TY -", ""),
    Worst("sources.syndication:_DECLARED", "<?xml", "encoding=", "", limit=1_000),
    Worst("sources.syndication:_ATTRIBUTES", "", "<a 'x", ""),
    Worst("sources.syndication:_ATTRIBUTES", "<a ", "'x' ", ""),
    Worst("sources.syndication:_ATTRIBUTES", "", "<a '\"", ""),
    Worst("sources.syndication:_GENERAL_ENTITY", "<!ENTITY", " ", "%"),
    Worst("sources.syndication:_GENERAL_ENTITY", "", "<!ENTITY ", ""),
    Worst("sources.syndication:_FIRST_ELEMENT", "", "<", ""),
    Worst("papers:_ARXIV", "arxiv:", " ", "!", "match", limit=1_500),
    Worst("papers:_ARXIV", "", "a-", ".!", "match", limit=1_500),
    Worst("papers:_ARXIV", "2401.00001v", "1", "!", "match", limit=1_500),
    Worst("papers:_ARXIV_DOI", "10.48550/arxiv.", "a-", ".!", "match", limit=1_500),
    Worst("papers:_DOI", "10.1000/", "a", " ", "match", limit=1_500),
    Worst("papers:_DOI_LINK", "doi:", " ", "?", "match", limit=1_500),
    Worst("papers:_PAPER_PAGE", "http://", "a", "!", "match", limit=1_500),
    Worst("papers:_PAPER_PAGE", "http://arxiv.org/abs/", "a", "?", "match", limit=1_500),
    Worst("papers:_GENERIC_TITLE", "", "reply", "", "fullmatch"),
    Worst("papers:_BARE_HOST", "", "a.", "!", "match", limit=1_500),
    Worst("papers:_BARE_HOST", "", "a", "!", "match", limit=1_500),
    Worst("papers:_HOST", "", "a.", ":!", "fullmatch", limit=1_500),
    Worst("papers.text.clean:_STRAY_JOINER", "", "\u200c", ""),
    Worst("papers.text.clean:_STRAY_JOINER", "", "\u0905\u200c", ""),
    Worst("papers.text.clean:_INVISIBLE", "", "\ufe0f", ""),
    Worst("papers.text.clean:_MANY_MARKS", "", "\u0301" * 16 + "a", ""),
    Worst("papers.text.clean:_MANY_MARKS", "", "\u0301", ""),
    Worst("papers.text.clean:_SUSPICIOUS", "", "\u0301" * 7 + "a", ""),
    Worst("papers.text.clean:_UTF8_AS_LATIN1", "", "\xf0\x80\x80", ""),
    Worst("papers.text.clean:_C1_CONTROL", "", "a", ""),
    Worst("papers.text.finding:_SECTION", "results", " ", "!", "match"),
    Worst("papers.text.finding:_SECTION", "results:", " ", "!", "match"),
    Worst("papers.text.finding:_CONTRIBUTION", "", "we we, ", "!"),
    Worst("papers.text.finding:_CONTRIBUTION", "we ", "a", "!"),
    Worst("papers.text.finding:_CONTRIBUTION", "here", ",", "!"),
    Worst("papers.text.finding:_FINDING", "", "we our results ", "!"),
    Worst("papers.text.finding:_FINDING", "we ", "a", "!"),
    Worst("papers.text.finding:_BACKGROUND", "", "challenging", "!"),
    Worst("papers.text.finding:_CODE", "", "data", "!"),
    Worst("papers.text.finding:_WORD", "", "a ", ""),
    Worst("papers.text.fit:_LOOSE_END", "", " the", "!", limit=601),
    Worst("papers.text.fit:_LOOSE_END", "", ",", "!", limit=601),
    Worst("papers.text.fit:_SENTENCE_END", "", "." + ")" * 9, ""),
    Worst("papers.text.fit:_SENTENCE_END", ".", ")", "", limit=425),
    Worst("papers.text.fit:_ABBREVIATION", "", "e.g", "", limit=12),
    Worst("papers.text.fit:_ABBREVIATION", "", "et ", "", limit=12),
    Worst("papers.text.fit:_LINE_BREAK", "", "語。", ""),
    Worst("papers.text.fit:_NO_MARKUP", "", "a ", "!", "fullmatch"),
    Worst("papers.text.fit:_STYLED", "", "a", ""),
    Worst("papers.text.readable:_MARKUP", "", "-'", ""),
    Worst("papers.text.readable:_BLOCK_TAG", "", "<p" + " a='x'" * 9, ""),
    Worst("papers.text.readable:_BLOCK_TAG", "", "<p a='" + "x" * 500, ""),
    Worst("papers.text.readable:_BLOCK_TAG", "", "<jats:list-item ", ""),
    Worst("papers.text.readable:_INLINE_TAG", "", "<sup" + " a='x'" * 9, ""),
    Worst("papers.text.readable:_INLINE_TAG", "", "<i " + "a" * 40, ""),
    Worst("papers.text.readable:_SCRIPT_TAG", "", "<sup>" + "x" * 40, ""),
    Worst("papers.text.readable:_ENTITY", "", "&" + "a" * 32, ""),
    Worst("papers.text.readable:_BOLD", "", "**" + "x" * 300, ""),
    Worst("papers.text.readable:_BOLD", "", "** x", ""),
    Worst("papers.text.readable:_LINK", "", "[" + "x" * 300, ""),
    Worst("papers.text.readable:_LINK", "", "[x](http://" + "[x]" * 300, ""),
    Worst("papers.text.readable:_VERBATIM", "", "http://", ""),
    Worst("papers.text.readable:_VERBATIM", "", "a" * 200 + "\\", ""),
    Worst("papers.text.readable:_VERBATIM", "", "a ", "\\d+"),
    Worst("papers.text.readable:_VERBATIM", "C:\\", "a", "{"),
    Worst("papers.text.readable:_VERBATIM", "", "\\d", ""),
    Worst("papers.text.readable:_PLACEHOLDER", "", "a", ""),
    Worst("papers.text.readable:_APOSTROPHE", "", "a\\'s-", ""),
    Worst("papers.text.readable:_OPENING_ESCAPED", "", '(\\"', ""),
    Worst("papers.text.readable:_CLOSING_ESCAPED", "", '\\"a', ""),
    Worst("papers.text.readable:_DOUBLE_QUOTE", "", "`", ""),
    Worst("papers.text.readable:_DOUBLE_QUOTE", "", "'", ""),
    Worst("papers.text.readable:_SINGLE_QUOTES", "", " `" + "a" * 81, ""),
    Worst("papers.text.readable:_DASHES", "", "-", ""),
    Worst("papers.text.readable:_DASHES", "", " --", ""),
    Worst("papers.text.readable:_TIE", "a", "~", "!"),
    Worst("papers.text.readable:_TIE", "", "a~ ", "!"),
    Worst("papers.text.readable:_replace_tie", "", "a", "", limit=16),
    Worst("papers.text.latex:_STRUCTURE", "", "\\begin{eqn", ""),
    Worst("papers.text.latex:_TEX", "", "a", ""),
    Worst("papers.text.latex:_WORD_PAIR", "", "ab,", "", limit=2_000),
    Worst("papers.text.latex:_WORD_PAIR", "ab", ",", "", limit=2_000),
    Worst("papers.text.latex:_WORD_PAIR", "", "aa,aaA ", "", limit=2_000),
    Worst("papers.text.latex:_THREE_WORDS", "", "ab,,,,,,,,", "A", limit=2_000),
    Worst("papers.text.latex:_THREE_WORDS", "", "aa aaA,", "", limit=2_000),
    Worst("papers.text.latex:_TEXT_COMMAND", "", "\\math", "", limit=2_000),
    Worst("papers.text.latex:_TWO_WORDS", "", "aaa !", "", limit=2_000),
    Worst("papers.text.latex:_TWO_WORDS", "aaa", " ", "!", limit=2_000),
    Worst("papers.text.latex:_TWO_WORDS", "", "aaa " + "x" * 20 + " ", "", limit=2_000),
    Worst("papers.text.latex:_AMOUNT", "", "1", "", "match", limit=2_000),
    Worst("papers.text.latex:_AMOUNT", "1 ", "1 ", "", "match", limit=2_000),
    Worst("papers.text.latex:_NO_VARIABLE", "", "1", "!", limit=2_000),
    Worst("papers.text.latex:_NO_VARIABLE", "", " ", "!", limit=2_000),
    Worst("papers.text.latex:_NAME", "", "\\", ""),
    Worst("papers.text.latex:_PLAIN_TEXT", "", "a", ""),
    Worst("papers.text.latex:_PLAIN_FORMULA", "", "a", ""),
    Worst("papers.text.latex:_OPTION", "", "[" + "a" * 80, ""),
    Worst("papers.text.latex:_SINGLE", "", " a", ""),
    Worst("papers.text.latex:_read_document_command", "", "\\", ""),
    Worst("papers.text.latex:_JOINT_BEFORE_SCRIPT", _J, "^(a", ""),
    Worst("papers.text.latex:_JOINT_BEFORE_SCRIPT", "", _J + "^(", ""),
    Worst("papers.text.latex:_JOINT_BEFORE_SCRIPT", "", _J + "²", ""),
    Worst("papers.text.latex:_LETTERS_MEET", "a", _J, ""),
    Worst("papers.text.latex:_LETTERS_MEET", "", "a" + _J, ""),
    Worst("papers.text.latex:_FRACTION", "", _O, ""),
    Worst("papers.text.latex:_FRACTION", "a", _J, ""),
    Worst("papers.text.latex:_FRACTION", "", f"a{_O}", _C),
    Worst("papers.text.latex:_FRACTION", f"{_O}{_C}", _J, ""),
    Worst("papers.text.latex:_FACTOR", "", "1", "!", "fullmatch", limit=200),
    Worst("papers.text.latex:_FACTOR", "", "a", "!", "fullmatch", limit=200),
    Worst("papers.text.latex:_FACTOR", "(", "a", "", "fullmatch", limit=200),
    Worst("papers.text.latex:_TERM", "", "a", " ", "fullmatch", limit=200),
    Worst("ranking.topics:_phrase_pattern", "", "ab a", "", pattern=_phrase_pattern("a* a* b")[1]),
    Worst("ranking.topics:_phrase_pattern", "a", "a", "", pattern=_phrase_pattern("a* a* b")[1]),
    Worst("ranking.topics:_phrase_pattern", "", "a ", "", pattern=_phrase_pattern("a* " + "a " * 99 + "b")[1]),
    Worst("ranking.topics:_phrase_pattern", "", "a* ", "", pattern=re.compile(r"(\w+)(\*?)")),
    Worst("ranking.topics:normalize_words", "", "a", "", pattern=re.compile("[a-z0-9*]+")),
    Worst("sources.feed:_DOI_IN_URL", "", "/10.1000", "", limit=1_500),
    Worst("sources.feed:_DOI_IN_URL", "/10.1000/", "a", " ", limit=1_500),
    Worst("sources.feed:_VERSION", "", "v123", "!", limit=1_500),
    Worst("sources.feed:_authors", "", ", an", ""),
    Worst("sources.feed:_authors", "", " an", ""),
    Worst("sources.syndication:strip_markup", "", "a", ""),
    Worst("sources.arxiv:_GUID", "", "oai:arXiv.org:", " "),
    Worst("sources.arxiv:_PREAMBLE", "arXiv:", "a", "!"),
    Worst("sources.arxiv:_PREAMBLE", "arXiv:a", " ", "!"),
    Worst("sources.arxiv:_PREAMBLE", "arXiv:a Announce Type:", " ", ""),
    Worst("sources.arxiv:_PREAMBLE", "", "arXiv:", ""),
    Worst("store.origin:_NAME", "arxiv:", "a", "\n", "fullmatch"),
    Worst("store.search:_TERM", "", "title:", ""),
    Worst("store.search:_TERM", "", '"', ""),
    Worst("store.search:_TERM", "title:", " ", ""),
    Worst("mail.address:_LOCAL", "", "a.", "!@", "fullmatch", limit=600),
    Worst("mail.address:_DOMAIN", "", "a-", "", "fullmatch", limit=600),
    Worst("mail.address:_DOMAIN", "", "a.", "-", "fullmatch", limit=600),
    Worst("mail.address:_NAMED", "", " ", "!", "fullmatch", limit=600),
    Worst("mail.address:_NAMED", "", "a ", "<", "fullmatch", limit=600),
    Worst("mail.address:_NAMED", '"', "\\\\", "", "fullmatch", limit=600),
    Worst("mail.address:parse_mailbox", "", "\\", "", limit=600),
    Worst("ranking.similarity:_WORDS", "", "ab ", ""),
    Worst("ranking.similarity:_WORDS", "", "ab_", ""),
    Worst("ranking.similarity:_WORDS", "", "a", ""),
    Worst("mail.message:pattern", "", "PLACEHOLDER", "", pattern=Placeholders("X").pattern),
    Worst(
        "mail.message:split_at_marks", "", "PLACEHOLDERXMARK1", "", pattern=re.compile("PLACEHOLDERXMARK([0-9]+)END")
    ),
    Worst(
        "mail.message:split_at_marks", "PLACEHOLDERXMARK", "1", "", pattern=re.compile("PLACEHOLDERXMARK([0-9]+)END")
    ),
    Worst("mail.message:_GAP", "", "\0", ""),
    Worst("mail.message:_GAP", "\0", "a", ""),
    Worst("mail.message:_LEADING_DOT", "", "\n\0address", ""),
    Worst("mail.render:_squeeze", "", "\n", ""),
    Worst("mail.render:_squeeze", "", "\n\n ", ""),
    Worst("delivery.smtp_protocol:_REPLY_LINE", "250-", "a", "\r", "fullmatch"),
    Worst("delivery.smtp_protocol:_SIZE", "", "1", "!", "fullmatch"),
    Worst("delivery.smtp:_LONG_WORD", "", "a", ""),
    Worst("delivery.smtp_protocol:_ENHANCED_CODE", "", "5.111.111", "!"),
    Worst("delivery.smtp_protocol:_ADDRESS", "", "@", " ", "fullmatch", limit=600),
    Worst("inbound.parts:_BOUNDARY", "", "; ", ""),
    Worst("inbound.parts:_BOUNDARY", ";", " ", ""),
    Worst("inbound.parts:_BOUNDARY", "", '; boundary="' + "a" * 200, ""),
    Worst("inbound.dsn:_STATUS", "", " ", "", "match"),
    Worst("inbound.dsn:_REPLY", "", "550 #5.111.111", "1"),
    Worst("inbound.dsn:_MESSAGE_ID", "", "<" + "a" * 250, ""),
    Worst("inbound.dsn:_TOKEN", "", "a" * 26, ""),
    Worst("inbound.dsn:_HARD", "5.1.", "1", "!", "fullmatch"),
    Worst("inbound.parts:split_parts", "--b", " ", "!", pattern=re.compile(rb"^--b(--)?[ \t]*$", re.MULTILINE)),
    Worst("inbound.parts:split_parts", "", "--b \n", "", pattern=re.compile(rb"^--b(--)?[ \t]*$", re.MULTILINE)),
    Worst("inbound.headers:_FOLD", "", "\n ", ""),
    Worst("inbound.headers:_FOLD", "\n", " ", ""),
    Worst("inbound.imap:_UID", "", "UID 1", ""),
    Worst("inbound.imap:_number", "", "1", "", "fullmatch"),
    Worst("inbound.imap:_quote_folder", "", "é", ""),
    Worst("inbound.parts:_CHARSET", "", "; ", ""),
    Worst("inbound.parts:_CHARSET", ";", " ", ""),
    Worst("inbound.parts:_SPACE", "", " ", ""),
    Worst("inbound.parts:_TAG", "", "<" + "a" * 2000, ""),
    Worst("inbound.parts:_NEW_LINE", "<", "p", "", "match", limit=2_100),
    Worst("inbound.parts:_UNSEEN", "<", "head", "", "match", limit=2_100),
    Worst("inbound.parts:_QUOTE_TAG", "<", "border-top:", "", "match", limit=2_100),
    Worst("inbound.parts:_QUOTE_TAG", "<border-top:", " ", "", "match", limit=2_100),
    Worst("inbound.commands:_VOTE", "", "+1", ""),
    Worst("inbound.commands:_VOTES", "+1", " +1", "!", "fullmatch", limit=300),
    Worst("inbound.commands:_VOTES", "+1", " ", "!", "fullmatch", limit=300),
    Worst("inbound.commands:_WORD", "max", " ", "", "fullmatch", limit=300),
    Worst("inbound.commands:_ARGUMENTS", "mon", " and mon", "!", "fullmatch", limit=300),
    Worst("inbound.commands:_ARGUMENTS", "mon", " ", "!", "fullmatch", limit=300),
    Worst("inbound.commands:_ABOVE_QUOTE", "", "wrote ", "!", "match", limit=300),
    Worst("inbound.commands:_ABOVE_QUOTE", "wrote", ":", "!", "match", limit=300),
    Worst("inbound.commands:_weekdays", "", ", ", "", limit=300),
    Worst("inbound.letters:_CONFIRMATION", "", "a" * 41, ""),
    Worst("inbound.letters:_FEEDBACK_IN_ADDRESS", "", "+" + "a" * 32, ""),
    Worst("inbound.letters:_FEEDBACK", "", "more ", "", limit=1_000),
    Worst("inbound.letters:_FEEDBACK", "more a:", "%2", "!", limit=1_000),
    Worst("inbound.letters:_FEEDBACK", "more", "%20", "!", limit=1_000),
    Worst("inbound.letters:_MESSAGE_ID", "", "<" + "a" * 250, "", limit=1_000),
    Worst("inbound.letters:_OUR_MESSAGE_ID", "<20260420." + "a" * 20 + "@", "a", "", limit=1_000),
    Worst("inbound.letters:_COMMENTED", "", "a", " (", "fullmatch"),
    Worst("inbound.letters:_COMMENTED", "a", " ", "", "fullmatch"),
    Worst("inbound.letters:_SUBSCRIBE", "", "unsubscribe", "", limit=1_000),
    Worst("inbound.letters:_LEAVE", "", "unsubscribed ", "", limit=1_000),
    Worst("inbound.letters:_AUTOMATIC_SUBJECT", "", "auto", "", "match"),
    Worst("inbound.letters:_DMARC_FAILED", "", "dmarc ", ""),
    Worst("inbound.letters:_DMARC_FAILED", "dmarc", " ", ""),
    Worst("inbound.letters:_AUTHSERV", "(", "a", "", "match"),
    Worst("inbound.letters:_AUTHSERV", "", " ", "", "match"),
    Worst("inbound.letters:_asks_to_subscribe", "", "a@", "", pattern=re.compile(r"(?<![\w.+-])a@b\.c(?![\w.-])")),
    Worst("inbound.letters:_AUTOMATIC_VALUES", "", "bulk", "", "match"),
    Worst("inbound.letters:_TOKEN_IN_ADDRESS", "", "+" + "a" * 26, ""),
    Worst("inbound.letters:_REQUEST", "", "unsubscribe ", ""),
    Worst("inbound.letters:_REQUEST", "unsubscribe", " ", ""),
    Worst("inbound.letters:_REQUEST", "unsubscribe", "%20", "!"),
    Worst("inbound.letters:_MARKS", "", "[", "", "match"),
    Worst("inbound.letters:_MARKS", "", "[]", "(", "match"),
    Worst("inbound.letters:_MARKS", "", "fwd ", "x", "match"),
    Worst("inbound.letters:_MAIL_SERVER", "", " postmaster", ""),
    Worst("inbound.letters:_MAIL_SERVER", " postmaster", " ", "!"),
    Worst("operations.subscriber_files:_next_value", "", ", ", ""),
    Worst("operations.subscriber_files:_PLAIN_TOPIC", "", "a", "\n", "fullmatch"),
    Worst("logs:_UNSAFE", "", "\x1b", ""),
    Worst("operations.subscriber_files:_parse_limit", "", "1", "", "fullmatch"),
]


def find_patterns() -> dict[str, list["re.Pattern[Any]"]]:
    """Return the patterns of the package by "module:name", without those that are put together at run time."""
    found: dict[str, list[re.Pattern[Any]]] = {}
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        scope = vars(importlib.import_module(f"digest.{name}".removesuffix(".__main__")))
        for where, call in calls(ast.parse(path.read_text(encoding="utf-8")), ""):
            patterns = found.setdefault(f"{name}:{where}", [])
            try:
                pattern = eval(ast.unparse(call.args[0]), dict(scope))  # noqa: S307  our own source
                flags = [ast.unparse(flag) for flag in call.args[1:] if ast.unparse(call.func) == "re.compile"]
                patterns.append(re.compile(pattern, eval(flags[0], dict(scope)) if flags else 0))  # noqa: S307
            except NameError:
                continue
    return found


def calls(node: ast.AST, where: str) -> Iterator[tuple[str, ast.Call]]:
    """Yield the calls that take a pattern, and the constant or function that each one is in."""
    if isinstance(node, ast.FunctionDef):
        where = node.name
    elif isinstance(node, ast.Assign) and not where:
        where = ast.unparse(node.targets[0])
    if isinstance(node, ast.Call) and ast.unparse(node.func) in FUNCTIONS:
        yield where, node
    for child in ast.iter_child_nodes(node):
        yield from calls(child, where)


PATTERNS = find_patterns()


def test_every_pattern_that_meets_foreign_text_has_its_worst_text() -> None:
    foreign = {name for name in PATTERNS if not name.startswith(tuple(OWN))}
    assert foreign == {worst.name for worst in WORST}


@pytest.mark.slow
@pytest.mark.parametrize("worst", WORST, ids=lambda worst: f"{worst.name} {worst.pump[:8]!a}")
def test_a_pattern_takes_linear_time(worst: Worst) -> None:
    for pattern in [worst.pattern] if worst.pattern else PATTERNS[worst.name]:
        if worst.limit:
            assert seconds(pattern, worst, worst.limit) / worst.limit < 4 / 1_000_000, "over 4 seconds a MB"
        else:
            small, large = seconds(pattern, worst, 20_000), seconds(pattern, worst, 160_000)
            assert large < max(0.1, 24 * small), "not linear"


def seconds(pattern: "re.Pattern[Any]", worst: Worst, size: int) -> float:
    """Return the CPU time, which no other process changes, of a pattern on its worst text; the best of three."""
    text: Any = worst.start + worst.pump * (size // len(worst.pump)) + worst.end
    text = text.encode() if isinstance(pattern.pattern, bytes) else text
    times = []
    with time_limit(20):
        for _ in range(3):
            began = time.process_time()
            if worst.how == "find":
                deque(pattern.finditer(text), maxlen=0)
            else:
                getattr(pattern, worst.how)(text)
            times.append(time.process_time() - began)
    return min(times)


@contextmanager
def time_limit(limit: int) -> Iterator[None]:
    """Fail after so many seconds; a pattern can be interrupted in the main thread only."""

    def fail(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"takes more than {limit} seconds")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(limit)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
