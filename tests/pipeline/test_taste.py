"""What votes do to the mail of whoever votes, and to nobody else's; with real abstracts where there are any."""

import json
import lzma
import random
from typing import Any

import pytest

from digest.store.database import open_database
from digest.store.labels import Labels
from tests.conftest import MONDAY, SHARED, Workplace, text_of
from tests.correspondence import FEEDBACK, TOPICS, Post, reply

RECORDS = SHARED / "papers" / "arxiv-cs-20k.jsonl.xz"
VOTER, OTHER = "ann@reader.example", "bob@reader.example"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not RECORDS.is_file(), reason="needs the recorded papers in ../shared"),
]


def records() -> dict[str, list[dict[str, Any]]]:
    """The records by the first of their categories, in a random order."""
    fields: dict[str, list[dict[str, Any]]] = {}
    with lzma.open(RECORDS, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    random.Random(1).shuffle(rows)
    for row in rows:
        fields.setdefault(row["categories"][0], []).append(row)
    return fields


def line(row: dict[str, Any], votes: int = 50) -> dict[str, Any]:
    kept = ("id", "title", "abstract", "authors", "categories")
    return {**{key: row[key] for key in kept if key in row}, "upvotes": votes}


@pytest.fixture
def post(workplace: Workplace) -> Post:
    """Two readers who were sent the same mail of twelve papers: six each of cs.CR and cs.RO."""
    post = Post(workplace, FEEDBACK, to=[VOTER, OTHER])
    workplace.digest = {"max_papers": 12}
    workplace.more = workplace.more.replace(TOPICS, "")
    fields = records()
    post.list_papers(*(line(row) for field in ("cs.CR", "cs.RO") for row in fields[field][:6]))
    post.command("run")
    workplace.digest = {"max_papers": 10}
    return post


def security_papers(text: str, post: Post) -> int:
    with open_database(post.workplace.folder / "history.db") as db:
        papers = db.execute("SELECT title, facts FROM papers").fetchall()
    flat = " ".join(text.split())
    return sum(title in flat for title, facts in papers if json.loads(facts)["categories"][0] == "cs.CR")


def test_six_likes_and_six_dislikes_bring_three_more_papers_of_the_field_and_change_nobody_elses_mail(
    post: Post, tmp_path_factory: pytest.TempPathFactory
) -> None:
    fields = records()
    (mail,) = (mail for mail in post.mails() if mail["To"] == VOTER)
    with open_database(post.workplace.folder / "history.db") as db:
        names = db.execute(
            "SELECT key + 1, p.facts FROM editions e, json_each(e.papers) JOIN papers p ON p.id = value ORDER BY key"
        ).fetchall()
    votes = [f"{'+' if json.loads(facts)['categories'][0] == 'cs.CR' else '-'}{place}" for place, facts in names]
    assert sorted(vote[0] for vote in votes) == ["+"] * 6 + ["-"] * 6
    before = post.workplace.folder / "before.eml"
    chance = random.Random(2)
    others = chance.sample([field for field in fields if field not in ("cs.CR", "cs.RO")], 8)
    rows = [*fields["cs.CR"][6:18], *fields["cs.RO"][6:18], *(row for field in others for row in fields[field][:7])]
    chance.shuffle(rows)
    post.list_papers(*map(line, rows))
    post.later(days=1)
    post.command("preview", "--to", OTHER, "--format", "eml", "--output", str(before))
    post.get(reply(mail, " ".join(votes)))
    post.command("run")
    mails = {str(mail["To"]): mail for mail in post.mails()}
    found = {to: security_papers(text_of(mail), post) for to, mail in mails.items()}
    print(found)
    assert found[VOTER] >= found[OTHER] + 3
    assert "because you asked for more like" in " ".join(text_of(mails[VOTER]).split())
    assert "because you asked" not in text_of(mails[OTHER])
    (sent,) = (
        p
        for p in (post.workplace.folder / "mail" / "new").iterdir()
        if str(mails[OTHER]["Message-ID"])[1:] in p.read_text() + ">"
    )
    assert sent.read_bytes() == before.read_bytes().replace(b"\r\n", b"\n"), "nobody else's mail changes"


def test_the_days_top_paper_appears_however_much_its_like_is_disliked(post: Post) -> None:
    fields = records()
    with open_database(post.workplace.folder / "history.db") as db:
        for number, facts in db.execute("SELECT id, facts FROM papers").fetchall():
            robots = json.loads(facts)["categories"][0] == "cs.RO"
            Labels(db).put(1, number, not robots, MONDAY)
    top = line(fields["cs.RO"][20], votes=900)
    post.list_papers(
        top, *(line(row) for row in fields["cs.CR"][20:50]), *(line(row) for row in fields["cs.RO"][30:40])
    )
    post.later(days=1)
    post.mails()
    post.command("run")
    mails = {str(mail["To"]): " ".join(text_of(mail).split()) for mail in post.mails()}
    assert " ".join(top["title"].split())[:40] in mails[VOTER]
