"""Check the templates and the delivery of mail, and send a test message.

Templates are checked by rendering made-up papers: as many as fit in a mail, and none. Delivery is checked by connecting
and logging in as a run does.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import cycle

from digest.config import Config
from digest.delivery import MaildirSettings, Message, ServerRejected, ServerUnreachable, SmtpSettings, State, maildir
from digest.errors import ConfigError
from digest.files import bundled_file
from digest.mail.edition import Edition, Entry, Masthead, Pick, Section
from digest.mail.message import build_frame, fill_frame, quoted_printable
from digest.mail.render import GMAIL_LIMIT, DayMail
from digest.operations.checks import Check, Mark, Problem
from digest.papers.text.fit import plural
from digest.pipeline.context import delivery_method, make_renderer
from digest.ranking.selection import MAX_PAPERS

_SECRET = b"a made-up edition"  # for placeholders only: no token is signed with it
_RENEWAL_DAYS = 14  # days before it expires at which a certificate should have been renewed


def check_templates(config: Config, now: datetime) -> tuple[Check, int]:
    """Check the templates; also return the bytes of the largest mail they make, 0 if they cannot be rendered."""
    renderer = make_renderer(config, _SECRET)
    for papers in (0, most := min(config.digest.max_papers, MAX_PAPERS)):
        edition = _sample_edition(config, now, papers)
        try:
            mail = renderer.day(edition.masthead, now)
            fragments, _ = mail.fragments([edition, _rearranged(edition)])
            frame = build_frame(fragments, config.digest.from_.address)
            size = sum(map(len, frame.pieces))
        except ConfigError as error:
            message = "\n".join(error.problems) + ("" if papers else " (in a mail without papers)")
            fix = "fix that, or delete the file to use the built-in template"
            return Check("templates", Mark.FAIL, message, fix), 0
    names = [path.name for path in sorted(bundled_file("templates").iterdir())]
    folder = config.digest.templates
    custom = [name for name in names if folder and (folder / name).is_file()]
    used = f"{len(custom)} custom ({', '.join(custom)}), without access to files" if custom else "built-in"
    problems = list(_check_size_and_links(mail, edition))
    if folder and not custom:
        message = f"no file in {folder} has the name of a template, so the built-in ones are used"
        problems.append(Problem(Mark.WARN, message, f"name each file like the one it replaces: {', '.join(names)}"))
    return Check.of("templates", f"{used}; a mail with {plural(most, 'paper')} has {size:,} bytes", problems), size


def _check_size_and_links(mail: DayMail, edition: Edition) -> Iterator[Problem]:
    """Check what custom templates get wrong: Gmail clips long mails, and readers must be able to unsubscribe."""
    rendered, link = mail.render_whole(edition), mail.unsubscribe_link
    if (size := len(quoted_printable(rendered.html))) > GMAIL_LIMIT:
        clipped = f"Gmail hides everything after {GMAIL_LIMIT:,}, including the unsubscribe link"
        fix = "shorten digest.html or _parts.html, or lower digest.max_papers"
        yield Problem(Mark.WARN, f"the HTML has {size:,} bytes; {clipped}", fix)
    for name, text in (("digest.txt", rendered.text), ("digest.html", rendered.html.replace("&amp;", "&"))):
        if link not in text:
            fix = f"add {{{{ unsubscribe_link }}}} to your {name}"
            yield Problem(Mark.WARN, f"{name} has no unsubscribe link", fix)


def check_delivery(config: Config, now: datetime, largest: int) -> Iterator[Check]:
    """Check that a mail of `largest` bytes could be delivered, without sending one: a check for each relay."""
    try:
        delivery_method(config)
    except ConfigError as error:
        yield Check.of("delivery", "", [Problem.parse(error.problems[0])])
        return
    if isinstance(config.delivery, MaildirSettings):
        yield _check_maildir(config.delivery)
    elif isinstance(config.delivery, SmtpSettings):
        yield from _check_relays(config.delivery, now, largest)


def _check_maildir(settings: MaildirSettings) -> Check:
    try:
        maildir.probe(settings)
    except OSError as error:
        message = f"{settings.path} cannot be written to: {error.strerror}"
        return Check("maildir", Mark.FAIL, message, "check its permissions, or choose another folder in maildir.path")
    return Check("maildir", Mark.OK, f"{settings.path} is writable")


def _check_relays(settings: SmtpSettings, now: datetime, largest: int) -> Iterator[Check]:
    """Check each relay. One that does not work is left out of a run, so it fails only if none does."""
    checks = [_check_relay(settings, host, now, largest) for host in settings.host]
    if any(check.mark is not Mark.FAIL for check in checks):
        checks = [replace(check, mark=Mark.WARN) if check.mark is Mark.FAIL else check for check in checks]
    if len(checks) > 1:
        checks = [replace(check, name=f"smtp {host}") for check, host in zip(checks, settings.host, strict=True)]
    yield from checks


def _check_relay(settings: SmtpSettings, host: str, now: datetime, largest: int) -> Check:
    from digest.delivery import smtp

    try:
        server = smtp.check_server(settings, host)
    except ServerUnreachable as error:
        fix = "check smtp.host, smtp.port and your network; some providers block the ports of mail servers"
        return Check("smtp", Mark.FAIL, str(error), fix)
    except ServerRejected as error:
        return Check.of("smtp", "", [Problem.parse(str(error))])
    facts = [f"{host}:{settings.port}", server.tls or "unencrypted, on this machine"]
    expires = None if server.expires is None else datetime.fromtimestamp(server.expires, UTC)
    if expires:
        facts.append(f"certificate valid until {expires:%Y-%m-%d}")
    facts.append(f"logged in as {settings.username}" if settings.username else "no login")
    if server.max_bytes:
        facts.append(f"accepts messages up to {server.max_bytes:,} bytes")
    return Check.of("smtp", ", ".join(facts), _check_limits(expires, server.max_bytes, now, largest))


def _check_limits(expires: datetime | None, limit: int, now: datetime, largest: int) -> Iterator[Problem]:
    """Check when the server's certificate expires, and its limit in bytes (0 if unknown) against our largest mail."""
    if expires and (days := (expires - now).days) < _RENEWAL_DAYS:
        message = f"the server's certificate expires in {plural(days, 'day')}, on {expires:%Y-%m-%d %H:%M} UTC"
        fix = "ask the server's operator to renew it: once it has expired, no mail is sent"
        yield Problem(Mark.WARN, message, fix)
    if 0 < limit < largest:
        message = f"the server accepts messages up to {limit:,} bytes, and ours can have {largest:,}"
        yield Problem(Mark.FAIL, message, "lower digest.max_papers")


def send_test(config: Config, to: str, now: datetime) -> Check:
    """Send one test message to the address `to`, without the outbox: nothing is recorded or counts as shown."""
    now = now.astimezone(config.digest.timezone)
    edition = _sample_edition(config, now, 3)
    try:
        mail = make_renderer(config, _SECRET).day(
            edition.masthead, now, subject_prefix=f"Test: {config.digest.title} · "
        )
        frame = build_frame(mail.fragments([edition])[0], config.digest.from_.address)
        # A new token each time: the same Message-ID again would be taken for a copy.
        content = fill_frame(frame, to, f"test{now:%Y%m%d%H%M%S%f}", edition.masthead.day)
        batches = delivery_method(config)(iter([Message(1, frame.sender, to, content)]), lambda: False)
    except ConfigError as error:
        return Check("test mail", Mark.FAIL, f"not sent to {to}: {error.problems[0]}")
    outcomes = [outcome for batch in batches for outcome in batch]
    reply = outcomes[-1].reply if outcomes else "the server did not reply"
    if outcomes and outcomes[-1].state is State.SENT:
        return Check("test mail", Mark.OK, f"to {to}: {reply}")
    return Check("test mail", Mark.FAIL, f"to {to}: {reply}", "nothing is queued; fix the problem and try again")


def _sample_edition(config: Config, now: datetime, papers: int) -> Edition:
    """An edition of that many made-up papers; the second one has a title and nothing else."""
    picks = tuple(
        Pick(place, Entry(place, f"Made-up paper number {place}") if place == 2 else _full_entry(place), badges)
        for place, badges in zip(range(1, papers + 1), cycle([("Made-up topic",), ()]), strict=False)
    )
    sections = (Section("Trending today", picks[1:]),) if papers > 1 else ()
    masthead = Masthead(config.digest.title, now.date(), ("If a source fails, it is named here.",))
    intro = "This is a test message from `digest doctor`. Its papers are made up, and nothing is recorded."
    return Edition(masthead, intro, picks[0] if picks else None, sections)


def _rearranged(edition: Edition) -> Edition:
    """The same papers in another order and at other levels of detail: parts of a mail must not depend on each other."""
    picks = tuple(replace(pick, place=place) for place, pick in enumerate(reversed(edition.picks), start=1))
    return replace(edition, top=None, sections=(Section("More papers", picks),) if picks else ())


def _full_entry(number: int) -> Entry:
    sentence = "This summary is made up to show how a mail looks, with 3 < 4, “quotes”, α & β and an – dash. "
    return Entry(
        id=number,
        title=f"Made-up paper number {number}: a title of ordinary length, to see how it looks in a mail",
        link=f"https://arxiv.org/abs/2601.{number:05}",
        organization="Example University",
        authors="Ada Example, Bo Beispiel, Chloé Exemple +4 more",
        votes="12 upvotes",
        movement="+3 since yesterday",
        categories="cs.LG, stat.ML",
        abstract=sentence * 6,
        finding=sentence * 3,
        finding_by="a made-up service",
        links=tuple((words, f"https://example.org/{number}/{words}") for words in ("HTML", "PDF", "Code", "Project")),
    )
