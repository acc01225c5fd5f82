"""An account of a paper is complete, and its numbers add up."""

import json
import re
from datetime import date, timedelta

import pytest

from digest.cli.output import explanation_document, format_explanation
from digest.errors import PaperNotFound
from digest.pipeline.context import open_context
from digest.pipeline.explain import explain
from tests.conftest import MONDAY, Workplace, paper, text_of

TUESDAY = MONDAY + timedelta(1)
SOURCE = '[[sources]]\ntype = "file"\npath = "papers.jsonl"'
OTTERS = paper(2, upvotes=2, abstract="All about otters.", authors=["Ada Byron"], categories=["q-bio"])


def account(workplace: Workplace, name: str, day: date, to: str | None = None) -> str:
    with open_context(workplace.config()) as context:
        return format_explanation(explain(context, name, to, day))


def points(told: str) -> list[float]:
    """The summands of the score and, last, the sum."""
    return [float(number) for number in re.findall(r"^ +(\d+\.\d{3})  ", told, re.MULTILINE)]


@pytest.mark.parametrize("name", ["2604.00001", "arxiv:2604.00001v3", "https://arxiv.org/abs/2604.00001"])
def test_a_sent_paper_says_when_it_was_seen_and_sent(workplace: Workplace, name: str) -> None:
    workplace.lists(paper(1, upvotes=10))
    workplace.run(MONDAY)
    workplace.lists(paper(1, upvotes=480))
    workplace.run(TUESDAY)
    told = account(workplace, name, TUESDAY)
    assert re.search(r"2026-04-20  papers +2026-04-20  10\n", told)
    assert re.search(r"2026-04-21  papers +2026-04-20  480\n", told)
    assert "In the mail of 2026-04-20 at place 1: 1 message sent." in told
    assert "ann@example.org: is already in a mail; no paper is sent twice." in told
    assert points(told) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("topic", "added"),
    [
        ('match = ["otters"]\nweight = 2.5', 2.5),
        ('authors = ["ada byron"]', 1.0),
        ('match = ["zebra"]\ncategories = ["q-bio"]', 0.5),
        ('categories = ["q-bio"]\nweight = 3.0', 3.0),
    ],
)
def test_each_kind_of_match_adds_what_the_readme_says(workplace: Workplace, topic: str, added: float) -> None:
    workplace.lists(paper(1, upvotes=100), OTTERS)
    workplace.run(MONDAY)
    before = points(account(workplace, "2604.00002", MONDAY))
    workplace.more = f'[[topics]]\nname = "Otters"\n{topic}\n{SOURCE}'
    told = account(workplace, "2604.00002", MONDAY)
    *parts, total = points(told)
    assert parts == [before[-1], added]
    assert total == pytest.approx(sum(parts))
    assert "your topic Otters" in told


def test_a_paper_like_a_liked_one_rises_by_a_share_of_the_weight_and_says_which(workplace: Workplace) -> None:
    subjects = "graphs robots proteins speech proofs markets clouds galaxies enzymes traffic poems soils".split()
    others = [
        paper(n, upvotes=100 - n, title=f"On {word} in general", abstract=f"How {word} change and why {word} matter.")
        for n, word in enumerate(subjects, start=10)
    ]
    fur = "River otters keep their fur dense and dry by grooming it every hour near water."
    otters = [paper(n, upvotes=1, title=f"Dense fur of river otters {n}", abstract=fur) for n in (1, 2)]
    workplace.lists(*others, *otters)
    workplace.run(MONDAY)
    before = points(account(workplace, "2604.00002", MONDAY))
    workplace.more = f'[[topics]]\nname = "Fur"\nlike = ["arxiv:2604.00001"]\nweight = 2.0\n{SOURCE}'
    told = account(workplace, "2604.00002", MONDAY)
    *parts, total = points(told)
    assert parts[0] == before[-1]
    assert len(parts) == 2
    assert 0 < parts[1] <= 2.0
    assert total == pytest.approx(sum(parts), abs=0.0011)
    assert "similar to “Dense fur of river otters 1”" in told
    assert "Topic Fur: closest to “Dense fur of river otters 1”, nearer than 100 % of today's papers." in told
    assert "nearer than" not in account(workplace, "2604.00001", MONDAY), "it is the liked one itself"
    assert len(points(account(workplace, "2604.00010", MONDAY))) == 2, "one summand and the sum: it is like nothing"


def test_a_muted_a_weak_a_waiting_and_an_old_paper_say_so(workplace: Workplace) -> None:
    workplace.digest = {"max_papers": 1, "days": ["sun"]}
    workplace.lists(paper(1, upvotes=100), OTTERS)
    workplace.run(MONDAY)
    assert "is number 2, but a mail has at most 1 paper; it can be in a later one" in account(
        workplace, "2604.00002", MONDAY
    )
    assert "rank 2 of 2 candidates" in account(workplace, "2604.00002", MONDAY)
    assert "is number 1 in that day's mail (at most 1 paper)" in account(workplace, "2604.00001", MONDAY)
    assert "window_days = 7" in account(workplace, "2604.00002", MONDAY + timedelta(8))
    workplace.digest["min_score"] = 0.9
    assert "below min_score = 0.9" in account(workplace, "2604.00002", MONDAY)
    workplace.digest = {"topics_only": True}
    assert "matches no topic" in account(workplace, "2604.00002", MONDAY)
    workplace.more = f'[[topics]]\nname = "Never"\nmute = ["otters"]\n{SOURCE}'
    told = account(workplace, "2604.00002", MONDAY)
    assert "muted by the topic Never: otters" in told
    assert "In no mail so far." in told


def test_readers_who_stand_alike_share_a_line_and_one_can_be_asked_for(workplace: Workplace) -> None:
    workplace.to = ("ann@example.org", "bob@example.org")
    workplace.lists(paper(1))
    workplace.run(MONDAY)
    workplace.to = (*workplace.to, "eve@example.org")
    told = account(workplace, "2604.00001", TUESDAY)
    assert "ann@example.org, bob@example.org: is already in a mail" in told
    assert "eve@example.org: is number 1 in that day's mail (at most 12 papers)" in told
    assert "2 messages sent" in told
    only = account(workplace, "2604.00001", TUESDAY, "eve@example.org")
    assert "In no mail so far." in only
    assert "ann@" not in only


def test_without_an_address_everyone_in_digest_to_is_covered(workplace: Workplace) -> None:
    workplace.to = [f"reader{n}@example.org" for n in range(25)]
    workplace.lists(paper(1))
    workplace.run(MONDAY)
    assert account(workplace, "2604.00001", TUESDAY).count("@example.org") == 25


def test_an_unknown_paper_is_named(workplace: Workplace) -> None:
    workplace.lists(paper(1))
    workplace.run(MONDAY)
    with pytest.raises(PaperNotFound, match=re.escape("2604.99999")):
        account(workplace, "2604.99999", MONDAY)


def test_from_ten_votes_to_480_in_two_days_leads_the_third_mail_and_says_so(workplace: Workplace) -> None:
    workplace.digest = {"max_papers": 5}
    others = [paper(n, upvotes=100 + n) for n in range(10, 20)]
    for day, votes in enumerate((10, 200, 480)):
        late = paper(1, upvotes=votes) if day != 1 else paper(1, upvotes=9)
        workplace.lists(late, *others, *(paper(30 + 10 * day + n, upvotes=150 + n) for n in range(10)))
        workplace.run(MONDAY + timedelta(day))
    mails = workplace.titles()
    assert mails[2][0] == "Paper number 1 on something"
    assert "480 upvotes, from Mon 20 Apr · +470 in 2 days" in text_of(workplace.mails()["ann@example.org"][2])
    assert all("Paper number 1 on something" not in mail for mail in mails[:2])


# ---- days that were mailed -------------------------------------------------------------------------------------------


def test_a_mailed_day_is_explained_by_its_mail_whatever_was_read_later(workplace: Workplace) -> None:
    """The place in that mail, and the score among the candidates of that mail."""
    workplace.digest = {"max_papers": 3}
    workplace.lists(*(paper(n, upvotes=100 - n) for n in range(1, 9)))
    workplace.run(MONDAY)
    then = {n: account(workplace, f"2604.{n:05}", MONDAY) for n in (2, 3, 5)}
    assert "ann@example.org: is number 2 of 3 in the mail of 2026-04-20." in then[2]
    assert "rank 2 of 8 candidates" in then[2]
    assert "is number 5, but the mail of 2026-04-20 has 3 papers; it can be in a later one" in then[5]
    # Later on that day votes change, a new paper comes, and a known one joins another list; a day later it goes on.
    workplace.more = f'{SOURCE}\n[[sources]]\ntype = "file"\nname = "other"\npath = "other.jsonl"'
    (workplace.folder / "other.jsonl").write_text('{"id": "arxiv:2604.00005", "title": "Paper number 5 on something"}')
    workplace.lists(*(paper(n, upvotes=100 * n) for n in range(1, 10)))
    workplace.run(MONDAY)
    workplace.run(TUESDAY)
    for number in (2, 3):
        assert scores(account(workplace, f"2604.{number:05}", MONDAY)) == scores(then[number])
    again = account(workplace, "2604.00005", MONDAY)
    assert "is number 5, but the mail of 2026-04-20 has 3 papers" in again
    assert scores(again) == scores(then[5])
    assert "no source had listed it when the mail of 2026-04-20 was made" in account(workplace, "2604.00009", MONDAY)
    assert "is number 1 of 3 in the mail of 2026-04-21" in account(workplace, "2604.00009", TUESDAY)
    assert "rank 1 of 6 candidates" in account(workplace, "2604.00009", TUESDAY), "three were in the first mail"


def scores(told: str) -> str:
    return told.partition("Score on ")[2].partition("\n\n")[0]


def test_a_title_or_its_beginning_names_a_paper_unless_several_begin_so(workplace: Workplace) -> None:
    workplace.lists(paper(1, title="Otters and Rivers"), paper(2, title="Otters at Sea"), paper(3, title="Otters"))
    workplace.run(MONDAY)
    for name, title in (
        ("otters AND rivers", "Otters and R"),
        ("Otters and R", "Otters and R"),
        ("OTTERS", "Otters\n"),
    ):
        assert account(workplace, name, MONDAY).startswith(title)
    with pytest.raises(
        PaperNotFound, match=r"several titles begin with 'Otters a'; .*\n  Otters and Rivers\n  Otters at"
    ):
        account(workplace, "Otters a", MONDAY)
    for name in ("Rivers", "", "  ", "title:", "%"):
        with pytest.raises(PaperNotFound, match="no paper found"):
            account(workplace, name, MONDAY)


def test_json_has_what_the_text_has(workplace: Workplace) -> None:
    workplace.lists(paper(1, upvotes=7))
    workplace.run(MONDAY)
    with open_context(workplace.config()) as context:
        document = explanation_document(explain(context, "2604.00001", None, MONDAY))
    assert json.loads(json.dumps(document)) == document
    assert document["readings"] == [{"seen": "2026-04-20", "source": "papers", "list": "2026-04-20", "votes": 7}]
    assert document["mails"] == [{"day": "2026-04-20", "place": 1, "state": "sent", "messages": 1}]
    (reader,) = document["readers"]
    assert (reader["addresses"], reader["place"], reader["rank"], reader["candidates"]) == (
        ["ann@example.org"],
        1,
        1,
        1,
    )
    assert reader["score"] == pytest.approx(sum(part["points"] for part in reader["parts"]))
