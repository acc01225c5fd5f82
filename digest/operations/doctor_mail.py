"""A made-up edition and the message of it: what templates are tried on, and what a test mail holds.

The templates, tried by really making mails with them: one with as many papers as fit, and an empty one.

How mail goes out: the server's door tried as a run would, or the Maildir; and a test mail for whoever wants one.
"""

from datetime import UTC, datetime
from pathlib import Path

from digest.config import Config
from digest.delivery import MaildirSettings, Message, ServerRejected, ServerUnreachable, SmtpSettings, State, maildir
from digest.errors import ConfigError
from digest.mail.edition import Edition, Entry, Section
from digest.mail.message import (
    fill_frame,
    quoted_printable,
)
from digest.mail.render import SIZE_LIMIT, Renderer, bundled_file
from digest.operations.checks import Check, Mark, Problem
from digest.papers.text.fit import plural
from digest.pipeline.context import delivery_method, make_renderer
from digest.ranking.selection import MAX_PAPERS

_SENTENCE = "This abstract was made up to see how a mail of today looks, with 3 < 4, “quotes”, α & β and an – dash. "
_SECRET = b"a made-up edition"  # makes placeholders; no token is made with it
_TEST = "This is a test by `digest doctor`: its papers are made up, and nothing of it is remembered."


def sample_edition(config: Config, now: datetime, papers: int) -> Edition:
    """An edition of so many papers, the second of them as bare as a paper can be; none at all for 0."""
    entries = tuple(_bare_entry(place) if place == 2 else _full_entry(place) for place in range(1, papers + 1))
    parts = (Section("Trending today", entries[1:]),) if papers > 1 else ()
    top = entries[0] if entries else None
    return Edition(config.digest.title, now.date(), _TEST, top, parts, ("A source is named here when it fails.",))


def _full_entry(place: int) -> Entry:
    return Entry(
        place=place,
        id=place,
        title=f"A made-up paper, number {place}: what it takes to read a title of ordinary length in the morning",
        link=f"https://arxiv.org/abs/2601.{place:05}",
        authors="Ada Example, Bo Beispiel, Chloé Exemple +4 more",
        votes="12 upvotes",
        movement="new",
        categories="cs.LG, stat.ML",
        abstract=_SENTENCE * 6,
        reasons=("matches a topic",),
        links=tuple((label, f"https://example.org/{place}/{label}") for label in ("PDF", "HTML", "Code", "Project")),
    )


def _bare_entry(place: int) -> Entry:
    return Entry(place, place, f"A made-up paper, number {place}", "", "", "", "", "", "", (), ())


def check_templates(config: Config, now: datetime) -> tuple[Check, int]:
    """How the configured templates do, and the bytes of the largest mail they make, 0 when they make none."""
    renderer = make_renderer(config, _SECRET)
    for papers in (0, most := min(config.digest.max_papers, MAX_PAPERS)):
        try:
            edition = sample_edition(config, now, papers)
            size = len(renderer.frame(edition, now).bytes)
        except ConfigError as problem:
            said = "\n".join(problem.problems) + (" (in a mail without papers)" if not papers else "")
            return Check("templates", Mark.FAIL, said, "mend that line, or remove the file"), 0
    said = f"{_whose(config.digest.templates)}; a mail of {plural(most, 'paper')} has {size:,} bytes"
    return Check.of("templates", said, [*_unused(config), *_shape(renderer, edition)]), size


def _overrides(folder: Path) -> list[str]:
    return sorted(path.name for path in bundled_file("templates").iterdir() if (folder / path.name).is_file())


def _whose(folder: Path | None) -> str:
    names = _overrides(folder) if folder else []
    return f"{len(names)} of your own ({', '.join(names)})" if names else "as shipped"


def _unused(config: Config) -> list[Problem]:
    folder = config.digest.templates
    if folder is None or _overrides(folder):
        return []
    names = ", ".join(sorted(path.name for path in bundled_file("templates").iterdir()))
    said = f"{folder} holds no file with the name of a template, so the shipped ones are used"
    return [Problem(Mark.WARN, said, f"name yours like the one it replaces: {names}")]


def _shape(renderer: Renderer, edition: Edition) -> list[Problem]:
    """What a template of one's own can forget: that Gmail cuts long mails, and that readers must be able to leave."""
    troubles = []
    rendered, leave = renderer.render(edition), renderer.unsubscribe_link(edition)
    if (size := len(quoted_printable(rendered.html))) > SIZE_LIMIT:
        hidden = f"Gmail hides what comes after {SIZE_LIMIT:,}, the link to unsubscribe included"
        said = f"the page has {size:,} bytes; {hidden}"
        troubles.append(Problem(Mark.WARN, said, "make digest.html or _paper.html shorter, or digest.max_papers lower"))
    for name, text in (("digest.txt", rendered.text), ("digest.html", rendered.html.replace("&amp;", "&"))):
        if leave not in text:
            said = f"{name} has no link to unsubscribe"
            troubles.append(Problem(Mark.WARN, said, f"put {{{{ leave }}}} into your {name}"))
    return troubles


_SOON = 14  # days in which a certificate should have been renewed


def check_delivery(config: Config, now: datetime, largest: int) -> Check:
    """Whether the way of delivery is open to a mail of `largest` bytes, without sending one."""
    missing = _missing(config)
    if isinstance(config.delivery, SmtpSettings) and not missing:
        return _server(config.delivery, now, largest)
    if isinstance(config.delivery, MaildirSettings):
        return _folder(config.delivery)
    return Check.of("delivery", "", missing)


def deliver_test(config: Config, to: str, now: datetime) -> Check:
    """Send one message that says it is a test to `to` alone. Not in the outbox: nothing counts as shown.

    Raises ConfigError when there is no way to deliver, or no message can be made.
    """
    made = sample_edition(config, now, 3)
    frame = make_renderer(config, _SECRET).frame(made, now, subject_prefix="Test: ")
    # A new token each time, or the next test would have the Message-ID of this one and be taken for a copy.
    content = fill_frame(frame, to, f"test{now:%Y%m%d%H%M%S%f}", made.day.isoformat())
    message = Message(1, frame.sender, to, content)
    outcomes = [o for batch in delivery_method(config)(iter([message]), lambda: False) for o in batch]
    reply = outcomes[-1].reply if outcomes else "the server said nothing"
    if outcomes and outcomes[-1].state is State.SENT:
        return Check("test mail", Mark.OK, f"to {to}: {reply}")
    return Check("test mail", Mark.FAIL, f"to {to}: {reply}", "nothing is queued: mend it and try again")


def _missing(config: Config) -> list[Problem]:
    """What the configuration leaves out that a run would not begin without."""
    try:
        delivery_method(config)
    except ConfigError as problem:
        return [Problem.told(problem.problems[0])]
    return []


def _folder(settings: MaildirSettings) -> Check:
    try:
        maildir.probe(settings)
    except OSError as problem:
        said = f"{settings.path} cannot be written to: {problem.strerror}"
        return Check("maildir", Mark.FAIL, said, "check its permissions, or name another folder in maildir.path")
    return Check("maildir", Mark.OK, f"{settings.path} can be written to")


def _server(settings: SmtpSettings, now: datetime, largest: int) -> Check:
    from digest.delivery import smtp

    try:
        welcome = smtp.check_server(settings)
    except ServerUnreachable as problem:
        mend = "check smtp.host, smtp.port and the network; some providers block the ports of mail"
        return Check("smtp", Mark.FAIL, str(problem), mend)
    except ServerRejected as problem:
        return Check("smtp", Mark.FAIL, str(problem))
    said = [f"{settings.host}:{settings.port}", welcome.tls or "in clear text, on this machine"]
    ends = None if welcome.expires is None else datetime.fromtimestamp(welcome.expires, UTC)
    if ends is not None:
        said.append(f"certificate until {ends:%Y-%m-%d}")
    said.append(f"logged in as {settings.username}" if settings.username else "no login")
    if welcome.max_bytes:
        said.append(f"takes {welcome.max_bytes:,} bytes")
    return Check.of("smtp", ", ".join(said), [*_ending(ends, now), *_small(welcome.max_bytes, largest)])


def _ending(ends: datetime | None, now: datetime) -> list[Problem]:
    if ends is None or (ends - now).days >= _SOON:
        return []
    said = f"the certificate of the server ends in {(ends - now).days} days, on {ends:%Y-%m-%d %H:%M} UTC"
    return [Problem(Mark.WARN, said, "ask who runs the server to renew it: once it has ended no mail goes out")]


def _small(most: int, largest: int) -> list[Problem]:
    if not most or largest <= most:
        return []
    said = f"the server takes messages of {most:,} bytes, and ours have up to {largest:,}"
    return [Problem(Mark.FAIL, said, "set digest.max_papers lower")]
