"""Any text a person may type is a query, and the index is never out of step with the papers."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from digest.papers import build_paper
from digest.ranking.embeddings import Basis
from digest.sources import Sighting
from digest.store import database
from digest.store.database import open_database
from digest.store.papers import Papers
from digest.store.schema import MIGRATIONS
from digest.store.search import SearchIndex, query_terms

DAY = date(2026, 4, 20)
PAPERS = [
    build_paper("Score-based diffusion models", abstract="Sampling by reverse SDEs.", authors=["Yang Söng", "Ada L."]),
    build_paper("Walking robots", abstract="We compare to diffusion models and to song birds.", authors=["Bob Stone"]),
    build_paper(
        "Flow matching", abstract="A model of flows; matching is simple.", authors=["Yann Lee"], identifiers=["p3"]
    ),
]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with open_database(tmp_path / "history.db") as db:
        Papers(db).record("file", [Sighting(paper) for paper in PAPERS], DAY)
        yield db


def found(db: Database, query: str) -> list[int]:
    return [hit.id for hit in SearchIndex(db).search(query)]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("diffusion", [1, 2]),
        ("DIFFUSION model", [1, 2]),
        ("diffusion robots", [2]),
        ('"diffusion models" reverse', [1]),
        ('"models diffusion"', []),
        ("author:song", [1]),
        ("authors:söng", [1]),
        ('author: "yang song"', [1]),
        ("song", [1, 2]),
        ("title:diffusion", [1]),
        ("match*", [3]),
        ("score-based", [1]),
        ("robots zebras", [2]),
        ('"flow matching', [3]),
        ("zebras", []),
        ("", []),
    ],
)
def test_a_query_means_what_a_person_would_think(db: Database, query: str, rows: list[int]) -> None:
    assert found(db, query) == rows or (query == "song" and sorted(found(db, query)) == rows)


@pytest.mark.parametrize(
    "query",
    [
        '"',
        '""',
        "AND",
        "NOT",
        "NEAR(",
        "NEAR(a b, 2)",
        "*",
        "^a",
        "a:b",
        "author:",
        'author:"',
        "x" * 3000,
        "a " * 3000,
        "'; DROP TABLE papers; --",
        "\x00",
        "\udcff",
        "🦦",
        "ﷺ",
        "(((",
        "-a",
        "{a b}: c",
        "a + b",
    ],
)
def test_no_query_is_an_error(db: Database, query: str) -> None:
    found(db, query)
    assert found(db, "robots") == [2]


@settings(deadline=None, max_examples=300)
@given(query=st.text(max_size=80) | st.text(alphabet='"*:()^-+{}ab AND', max_size=40))
def test_no_text_at_all_is_an_error(query: str) -> None:
    db = Database(memory=True)
    db.execute("CREATE VIRTUAL TABLE words USING fts5 (title, abstract, authors, keywords)")
    for expression in (" AND ".join(query_terms(query)), " OR ".join(query_terms(query))):
        if expression:
            db.execute("SELECT * FROM words WHERE words MATCH ?", [expression]).fetchall()


def test_the_index_keeps_step_when_texts_change_and_rows_are_joined(db: Database) -> None:
    history = Papers(db)
    fuller = build_paper("Flow matching", abstract="A model of flows; matching is simple, and so are zebras.")
    history.record("other", [Sighting(fuller)], DAY)
    assert found(db, "zebras") == [3]
    history.record("other", [Sighting(build_paper("Nothing yet", identifiers=["10.1000/x"]))], DAY)
    both = build_paper("Nothing yet", identifiers=["10.1000/x", "2604.00001"])
    history.record("third", [Sighting(build_paper("Walking robots", identifiers=["2604.00001"]))], DAY)
    history.record("third", [Sighting(both)], DAY)
    assert found(db, "nothing yet") == []
    assert found(db, "robots") == [2]
    db.execute("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")


def test_keywords_are_found_and_what_changes_no_word_leaves_index_and_vectors_alone(db: Database) -> None:
    history, index = Papers(db), SearchIndex(db)
    basis = index.replace_basis(Basis(("robots",), b"axes"), papers=3).id
    index.store_vectors(basis, {2: b"v"})
    history.record("file", [Sighting(build_paper("Walking robots", stars=50))], DAY)
    assert index.vectors(basis, [2]) == {2: b"v"}
    history.record("file", [Sighting(build_paper("Walking robots", stars=60, keywords=["legged locomotion"]))], DAY)
    assert found(db, "locomotion") == found(db, "keywords:legged") == found(db, "keyword:legged") == [2]
    assert found(db, "title:locomotion") == []
    assert index.vectors(basis, [2]) == {2: b"v"}
    db.execute("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")


def test_a_history_from_before_there_were_keywords_opens_and_learns_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(database, "MIGRATIONS", {name: MIGRATIONS[name] for name in ("first", "standing")})
        database.migrations.cache_clear()
        with open_database(tmp_path / "old.db") as old:
            facts = '{"authors": ["Ada Otter"], "huggingface": "https://huggingface.co/papers/1"}'
            old.execute("INSERT INTO papers VALUES (7, 'On otters', 'They float.', ?, '2026-04-01')", [facts])
            old.execute("INSERT INTO names VALUES ('title:onotters', 7)")
            old.conn.commit()
    database.migrations.cache_clear()
    with open_database(tmp_path / "old.db") as db:
        assert found(db, "float") == found(db, "author:otter") == [7]
        assert Papers(db).load([7])[7].keywords == ()
        Papers(db).record("file", [Sighting(build_paper("On otters", keywords=["mustelids"], tldr="They do."))], DAY)
        assert found(db, "mustelids") == [7]
        assert Papers(db).load([7])[7].tldr == "They do."
        db.execute("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")


def test_the_title_weighs_more_and_old_papers_can_be_left_out(db: Database) -> None:
    assert found(db, "diffusion models") == [1, 2]
    assert SearchIndex(db).search("diffusion", since=DAY + timedelta(1)) == []
    assert len(SearchIndex(db).search("diffusion", limit=1)) == 1
