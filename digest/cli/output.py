"""What the commands print: results as text for a terminal, or as rows of JSON."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from digest.mail.edition import format_authors, format_date
from digest.papers.text.fit import format_bytes, format_table, plural, snippet

if TYPE_CHECKING:
    from digest.mail.edition import Edition
    from digest.papers import Paper
    from digest.pipeline.backtest import DayComparison
    from digest.pipeline.explain import Explanation, PaperStatus
    from digest.pipeline.inbox import InboxReport
    from digest.pipeline.preview import Preview
    from digest.pipeline.run import RunReport
    from digest.ranking.trending import Ranked
    from digest.store.outbox import Appearance
    from digest.store.prune import PruneResult

_TITLE = 70  # characters of a title in a table


def format_run(report: "RunReport") -> str:
    """One line on what a run did."""
    count = report.summary()
    if count["sent"]:
        papers = f" with {plural(int(count['papers']), 'paper')}" if count["papers"] else ""
        line = f"Sent {plural(int(count['sent']), 'message')}{papers}"
    else:
        line = "Sent no messages" if count["refused"] else "Nothing new to send"
    if count["refused"]:
        line += f"; {plural(int(count['refused']), 'message')} refused: see `digest status`"
    return f"{line}."


def format_held(report: "RunReport") -> str:
    """One line on what a run with --hold queued."""
    if not report.waiting:
        return "Nothing new to send."
    return f"{plural(report.waiting, 'message')} in the queue; `digest send` delivers mail."


def format_fetch(report: "RunReport") -> str:
    """One line on what a fetch found."""
    seen = sum(f.papers for f in report.fetched)
    return f"Read {plural(seen, 'paper')}, {report.new:,} of them new."


def format_plan(editions: "Sequence[tuple[int, Edition]]") -> str:
    """What a run would queue."""
    if not any(edition.entries for _, edition in editions):
        return "Nothing new to send."
    return "\n".join(line for size, edition in editions for line in _plan(size, edition))


def _plan(size: int, edition: "Edition") -> Iterator[str]:
    yield f"Would send {plural(len(edition.entries), 'paper')} to {plural(size, 'subscriber')}:"
    for entry in edition.entries:
        yield f"{entry.place:4}. {entry.title}" + (f"  ({entry.votes})" if entry.votes else "")


def format_preview(preview: "Preview") -> str:
    """How many papers and bytes a preview has, and how far that is from Gmail's limit."""
    from email import message_from_bytes

    from digest.mail.render import GMAIL_LIMIT

    html = next(p for p in message_from_bytes(preview.content).walk() if p.get_content_type() == "text/html")
    size = len(str(html.get_payload()))
    what = "already queued for that day" if preview.queued else plural(preview.papers, "paper")
    distance = f"{format_bytes(abs(GMAIL_LIMIT - size))} {'below' if size <= GMAIL_LIMIT else 'above'}"
    return f"{what}, {format_bytes(size)} of HTML, {distance} the size at which Gmail clips."


def format_inbox(report: "InboxReport") -> str:
    """What was found in the replies, in a sentence or two."""
    parts = [
        f"{plural(len(report.unsubscribed), 'subscriber')} unsubscribed" if report.unsubscribed else "",
        f"mail to {plural(len(report.bounced), 'address', 'addresses')} bounced" if report.bounced else "",
        f"{plural(report.forged, 'message')} had an unknown token" if report.forged else "",
    ]
    found = ", ".join(filter(None, parts)) or "Nothing new"
    return f"{found[0].upper()}{found[1:]}; {plural(report.ignored, 'other message')} ignored."


def format_found(paper: "Paper", first_seen: date) -> str:
    facts = (first_seen.isoformat(), format_authors(paper.authors), paper.link)
    return f"{paper.title}\n    {'  '.join(filter(None, facts))}"


def found_row(paper: "Paper", first_seen: date) -> dict[str, Any]:
    return {
        "title": paper.title,
        "authors": list(paper.authors),
        "first_seen": first_seen.isoformat(),
        "link": paper.link,
        "arxiv": paper.arxiv,
        "doi": paper.doi,
        "categories": list(paper.categories),
        "abstract": paper.abstract,
    }


def format_explanation(explanation: "Explanation") -> str:
    """Everything about a paper: sightings, mails, score, and its status for each subscriber."""
    paper, statuses = explanation.paper, explanation.statuses
    head = "\n".join(filter(None, (paper.title, format_authors(paper.authors), paper.link)))
    scores = ("\n".join(_format_score(explanation.day, s, s.ranked)) for s, _ in statuses if s.ranked)
    messages = [f"{', '.join(addresses)}: {status.message}." for status, addresses in statuses]
    parts = [head, _format_readings(explanation), _format_appearances(explanation.appearances)]
    return "\n\n".join([*parts, *dict.fromkeys(scores), "\n".join(messages)]).rstrip()


def _format_readings(explanation: "Explanation") -> str:
    rows = [("READ ON", "SOURCE", "LIST OF", "VOTES")]
    for reading in explanation.readings:
        votes = "-" if reading.votes is None else f"{reading.votes:,}"
        rows.append((reading.seen.isoformat(), reading.source, reading.listed.isoformat(), votes))
    return f"First seen on {explanation.first_seen}.\n{format_table(rows)}"


def _format_appearances(appearances: Sequence["Appearance"]) -> str:
    if not appearances:
        return "In no mail so far."
    return "\n".join(
        f"In the mail of {a.day} at place {a.place}: {plural(a.mails, 'message')} {a.state}." for a in appearances
    )


def _format_score(day: date, status: "PaperStatus", ranked: "Ranked") -> Iterator[str]:
    """The score as a sum: what is printed adds up to the last digit."""
    yield f"Score on {format_date(day)}, rank {status.rank} of {status.among} candidates:"
    for part in ranked.parts:
        yield f"  {part.points:7.3f}  {part.reason or _format_trend(ranked)}"
    yield f"  {sum(round(part.points, 3) for part in ranked.parts):7.3f}  in total"


def _format_trend(ranked: "Ranked") -> str:
    listing = ranked.trend.listing
    votes = "no votes" if listing.votes is None else plural(listing.votes, "upvote")
    return f"trending ({ranked.trend.kind}): {votes} on the list of {listing.source} of {listing.day}"


def format_backtest(days: Sequence["DayComparison"]) -> str:
    """A table: + enters, - leaves."""
    return format_table([("DATE", "", "PAPER"), *(row for day in days for row in _comparison_rows(day))])


def _comparison_rows(day: "DayComparison") -> Iterator[tuple[str, str, str]]:
    yield day.day.isoformat(), "", f"{day.staying} stay, {len(day.entering)} enter, {len(day.leaving)} leave"
    yield from (("", "+", snippet(title, _TITLE)) for title in day.entering)
    yield from (("", "-", snippet(title, _TITLE)) for title in day.leaving)


def format_pruned(result: "PruneResult", *, dry_run: bool) -> str:
    """What was deleted, or would be."""
    parts = [
        _count(result.papers, "paper", "that were in no mail"),
        _count(result.texts, "abstract", "of papers that were"),
        _count(result.sightings, "sighting"),
        _count(result.mails, "mail text"),
        _count(result.deliveries, "message", "that were never sent"),
        _count(result.replies, "server reply", words="server replies"),
        _count(result.runs, "run"),
        _count(result.fetches, "result", "of sources"),
    ]
    deleted = ", ".join(filter(None, parts)) or "nothing"
    if dry_run:
        return f"Would delete: {deleted}."
    return f"Deleted: {deleted}.\n{format_bytes(result.before)} before, {format_bytes(result.after)} now."


def _count(count: int, word: str, more: str = "", words: str = "") -> str:
    return f"{plural(count, word, words)} {more}".rstrip() if count else ""
