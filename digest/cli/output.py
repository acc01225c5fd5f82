"""What the commands print: results as text for a terminal, or as rows of JSON."""

import math
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digest.mail.edition import format_authors, format_date
from digest.papers.text.fit import format_bytes, format_table, plural

if TYPE_CHECKING:
    from digest.mail.edition import Edition
    from digest.papers import Paper
    from digest.pipeline.backtest import DayComparison
    from digest.pipeline.explain import Explanation, PaperStatus
    from digest.pipeline.inbox import InboxReport
    from digest.pipeline.preview import Preview
    from digest.pipeline.run import RunReport
    from digest.pipeline.similar import Nearness
    from digest.ranking.trending import Ranked
    from digest.store.outbox import Appearance
    from digest.store.prune import PruneResult

_MAX_REASONS = 5  # why subscribers get nothing, that a line names


def format_run(report: "RunReport") -> str:
    """What a run did, and why there was nothing to send."""
    count = report.summary()
    if count["sent"]:
        papers = f" with {plural(int(count['papers']), 'paper')}" if count["papers"] else ""
        line = f"Sent {plural(int(count['sent']), 'message')}{papers}"
    else:
        line = "Sent no messages" if count["refused"] else f"Nothing new to send: {_why_nothing(report)}"
    if count["refused"]:
        line += f"; {plural(int(count['refused']), 'message')} refused: see `digest status`"
    if count["sent"] and report.empty:
        line += f"; nothing new for {_empty_readers(report)}"
    if report.answered:
        line += f"; answered {plural(report.answered, 'letter')}"
    return f"{line}."


def format_held(report: "RunReport") -> str:
    """One line on what a run with --hold queued."""
    if not report.waiting:
        return f"Nothing new to send: {_why_nothing(report)}."
    return f"{plural(report.waiting, 'message')} in the queue; `digest send` delivers mail."


def _why_nothing(report: "RunReport") -> str:
    if report.command == "send":
        return "the queue is empty"
    if not report.mail_day:
        return f"digest.days has no mail on a {report.day:%A}"
    if not report.readers:
        return f"no subscriber gets mail on this {report.day:%A}; `digest subscribers list --all` shows why"
    if report.mailed == report.readers:
        have = "has" if report.readers == 1 else "have"
        return f"{plural(report.readers, 'subscriber')} already {have} the mail of {report.day}"
    if report.readers == 1:
        return next(iter(report.empty)).format(whose="your")
    already = f"; {plural(report.mailed, 'subscriber')} had the mail of {report.day} already" if report.mailed else ""
    return _empty_readers(report) + already


def _empty_readers(report: "RunReport") -> str:
    """How many subscribers get nothing, for each of the commonest reasons."""
    reasons = report.empty.most_common(_MAX_REASONS)
    rest = report.empty.total() - sum(count for _, count in reasons)
    named = [f"{plural(count, 'subscriber')} ({why.format(whose='their')})" for why, count in reasons]
    return "; ".join([*named, f"{plural(rest, 'subscriber')} (other reasons)"] if rest else named)


def format_fetch(report: "RunReport") -> str:
    """One line on what a fetch found."""
    seen = sum(f.papers for f in report.fetched)
    return f"Read {plural(seen, 'paper')}, {report.new:,} of them new."


def format_plan(report: "RunReport", editions: "Sequence[tuple[int, Edition]]") -> str:
    """What a run would queue."""
    if not editions:
        return f"Nothing new to send: {_why_nothing(report)}."
    lines = [line for size, edition in editions for line in _plan(size, edition)]
    if report.unlisted:
        lines.append(f"Would send other mail to {plural(report.unlisted, 'more subscriber')}.")
    if report.empty and all(edition.picks for _, edition in editions):
        lines.append(f"Nothing new for {_empty_readers(report)}.")
    return "\n".join(lines)


def _plan(size: int, edition: "Edition") -> Iterator[str]:
    if not edition.picks:
        yield f"Would send a mail without papers to {plural(size, 'subscriber')}: {edition.intro}"
        return
    yield f"Would send {plural(len(edition.picks), 'paper')} to {plural(size, 'subscriber')}:"
    for pick in edition.picks:
        yield f"{pick.place:4}. {pick.entry.title}" + (f"  ({pick.entry.votes})" if pick.entry.votes else "")


def format_preview(preview: "Preview", form: str) -> str:
    """How many papers and bytes a preview has, and, with HTML, how far that is from Gmail's limit."""
    from email import message_from_bytes

    from digest.mail.render import GMAIL_LIMIT

    what = "already queued for that day" if preview.queued else plural(preview.papers, "paper")
    if form == "txt":
        return f"{what}."
    html = next(p for p in message_from_bytes(preview.content).walk() if p.get_content_type() == "text/html")
    size = len(str(html.get_payload()))
    distance = f"{format_bytes(abs(GMAIL_LIMIT - size))} {'below' if size <= GMAIL_LIMIT else 'above'}"
    return f"{what}, {format_bytes(size)} of HTML, {distance} the size at which Gmail clips."


def format_published(folder: Path, editions: int, files: int) -> str:
    """What was written into the folder of the archive."""
    if not editions:
        return "Nothing to publish yet: each run from now on adds the day's edition."
    changed = f"{plural(files, 'file')} changed" if files else "no file changed"
    return f"Wrote {plural(editions, 'edition')} into {folder}: {changed}."


def format_inbox(report: "InboxReport") -> str:
    """What was found in the replies, in a sentence or two."""
    parts = [
        f"{plural(len(report.asked), 'address', 'addresses')} asked to subscribe" if report.asked else "",
        f"{plural(len(report.subscribed), 'subscriber')} confirmed" if report.subscribed else "",
        f"{plural(len(report.unsubscribed), 'subscriber')} unsubscribed" if report.unsubscribed else "",
        f"{plural(len(report.changed), 'subscriber')} asked or chose something" if report.changed else "",
        plural(report.votes, "vote") if report.votes else "",
        f"mail to {plural(len(report.bounced), 'address', 'addresses')} bounced" if report.bounced else "",
        f"{plural(len(report.unconfirmed), 'bounce')} could not be confirmed" if report.unconfirmed else "",
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


def format_explanation(explanation: "Explanation", width: int = 0) -> str:
    """Everything about a paper: sightings, mails, score, and its status for each subscriber."""
    paper, statuses = explanation.paper, explanation.statuses
    head = "\n".join(filter(None, (paper.title, format_authors(paper.authors), paper.link)))
    scores = ("\n".join(_format_score(explanation.day, s, s.ranked)) for s, _ in statuses if s.ranked)
    messages = [f"{', '.join(addresses)}{_silence(status)}: {status.message}." for status, addresses in statuses]
    parts = [head, _format_readings(explanation, width), _format_appearances(explanation.appearances)]
    nearness = "\n".join(map(_format_nearness, explanation.nearness))
    return "\n\n".join([*parts, *dict.fromkeys(scores), *filter(None, [nearness]), "\n".join(messages)]).rstrip()


def _silence(status: "PaperStatus") -> str:
    return f" ({status.silence})" if status.silence else ""


def _format_readings(explanation: "Explanation", width: int) -> str:
    rows = [("READ ON", "SOURCE", "LIST OF", "VOTES")]
    for reading in explanation.readings:
        votes = "-" if reading.votes is None else f"{reading.votes:,}"
        rows.append((reading.seen.isoformat(), reading.source, reading.listed.isoformat(), votes))
    return f"First seen on {explanation.first_seen}.\n{format_table(rows, width)}"


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


def _format_nearness(nearness: "Nearness") -> str:
    nearer = f"nearer than {math.floor(100 * nearness.nearer)} % of today's papers"
    return f"Topic {nearness.topic}: closest to “{nearness.to}”, {nearer}."


def _format_trend(ranked: "Ranked") -> str:
    listing = ranked.trend.listing
    votes = "no votes" if listing.votes is None else plural(listing.votes, "upvote")
    return f"trending ({ranked.trend.kind}): {votes} on the list of {listing.source} of {listing.day}"


def explanation_document(explanation: "Explanation") -> dict[str, Any]:
    """The document of `explain --json`."""
    return {
        **found_row(explanation.paper, explanation.first_seen),
        "day": explanation.day.isoformat(),
        "readings": [
            {"seen": r.seen.isoformat(), "source": r.source, "list": r.listed.isoformat(), "votes": r.votes}
            for r in explanation.readings
        ],
        "mails": [
            {"day": a.day.isoformat(), "place": a.place, "state": a.state, "messages": a.mails}
            for a in explanation.appearances
        ],
        "nearness": [{"topic": n.topic, "closest": n.to, "nearer": round(n.nearer, 4)} for n in explanation.nearness],
        "readers": [_status_row(status, addresses) for status, addresses in explanation.statuses],
    }


def _status_row(status: "PaperStatus", addresses: Sequence[str]) -> dict[str, Any]:
    ranked = status.ranked
    parts = ranked.parts if ranked else ()
    return {
        "addresses": list(addresses),
        "message": status.message,
        "silence": status.silence,
        "place": status.place or None,
        "rank": status.rank or None,
        "candidates": status.among,
        "score": ranked and ranked.score,
        "parts": [{"points": p.points, "reason": p.reason or _format_trend(ranked)} for p in parts if ranked],
    }


def format_backtest(days: Sequence["DayComparison"], width: int = 0) -> str:
    """A table: + enters, - leaves."""
    return format_table([("DATE", "", "PAPER"), *(row for day in days for row in _comparison_rows(day))], width)


def _comparison_rows(day: "DayComparison") -> Iterator[tuple[str, str, str]]:
    yield day.day.isoformat(), "", f"{day.staying} stay, {len(day.entering)} enter, {len(day.leaving)} leave"
    yield from (("", "+", paper.title) for paper in day.entering)
    yield from (("", "-", paper.title) for paper in day.leaving)


def backtest_rows(days: Sequence["DayComparison"]) -> list[dict[str, Any]]:
    """The array of `backtest --json`."""
    return [
        {
            "day": day.day.isoformat(),
            "staying": day.staying,
            "entering": [{"title": paper.title, "link": paper.link} for paper in day.entering],
            "leaving": [{"title": paper.title, "link": paper.link} for paper in day.leaving],
        }
        for day in days
    ]


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
