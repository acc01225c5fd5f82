"""search, explain and backtest as a person types them."""

import json
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from digest.cli import main
from tests.conftest import MONDAY, Workplace, paper


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DIGEST_CONFIG", raising=False)
    workplace = Workplace(tmp_path)
    workplace.lists(paper(1, upvotes=3, authors=["Yang Song"]), paper(2, upvotes=4, abstract="Otters, mostly."))
    workplace.run(MONDAY)
    return workplace


def digest(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def test_search_lists_what_it_found(place: Workplace) -> None:
    result = digest("search", "author:song", "something")
    assert (result.exit_code, result.stdout) == (
        0,
        "Paper number 1 on something\n    2026-04-20  Yang Song  https://arxiv.org/abs/2604.00001\n",
    )
    assert digest("search", "zebra").stdout == "Nothing found.\n"


def test_search_answers_machines_with_one_array(place: Workplace) -> None:
    (found,) = json.loads(digest("search", "otters", "--json").stdout)
    assert (found["title"], found["arxiv"], found["first_seen"]) == (
        "Paper number 2 on something",
        "2604.00002",
        "2026-04-20",
    )
    assert json.loads(digest("search", "--json", "zebra").stdout) == []
    assert len(json.loads(digest("search", "paper", "--json", "--limit", "1").stdout)) == 1
    assert json.loads(digest("search", "paper", "--json", "--since", "2026-04-21").stdout) == []


def test_search_like_needs_no_words_and_nothing_at_all_is_a_usage_error(place: Workplace) -> None:
    assert "number 2" in digest("search", "--like", "2604.00001").stdout
    unknown = digest("search", "--like", "2604.09999")
    assert (unknown.exit_code, unknown.stdout) == (2, "")
    assert "2604.09999" in unknown.stderr
    assert digest("search").exit_code == 2


@pytest.mark.parametrize("query", ['"', "AND", "NEAR(", "*", "x" * 3000, "'; DROP TABLE papers; --"])
def test_no_query_is_an_error(place: Workplace, query: str) -> None:
    result = digest("search", "--", query)
    assert (result.exit_code, result.stderr) == (0, "")


def test_explain_accounts_for_a_paper_and_names_what_is_unknown(place: Workplace) -> None:
    result = digest("explain", "https://arxiv.org/abs/2604.00001v2", "--date", "2026-04-20")
    assert result.exit_code == 0
    assert "In the mail of 2026-04-20 at place 2: 1 message sent." in result.stdout
    for words in (("2604.77777",), ("2604.00001", "--to", "nobody")):
        wrong = digest("explain", *words)
        assert (wrong.exit_code, wrong.stdout) == (2, "")
        assert words[-1] in wrong.stderr


def test_backtest_compares_with_another_file(place: Workplace) -> None:
    other = place.folder / "other.toml"
    other.write_text((place.path).read_text().replace("to = ", "max_papers = 1\nto = "), encoding="utf-8")
    result = digest("backtest", "--days", "1", "--config", str(other), "--date", str(date(2026, 4, 20)))
    assert result.stdout.splitlines()[1:] == [
        "2026-04-20     1 stay, 0 enter, 1 leave",
        "            -  Paper number 1 on something",
    ]
    assert len(place.titles()) == 1


def test_backtest_redacts_the_secrets_of_the_other_configuration(place: Workplace) -> None:
    other = place.folder / "other" / "config.toml"
    other.parent.mkdir()
    topic = '[[topics]]\nname = "Hidden"\nlike = ["arxiv:2604.99999"]\n[[sources]]'
    other.write_text(place.path.read_text().replace("[[sources]]", topic), encoding="utf-8")
    (other.parent / ".env").write_text("DIGEST_SMTP_PASSWORD=2604.99999\n")
    result = digest("backtest", "--config", str(other))
    assert (result.exit_code, "like=arxiv:***" in result.stderr, "2604.99999" in result.output) == (0, True, False)


def test_without_a_history_asking_says_what_makes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Workplace(tmp_path).config()
    for words in (("search", "a"), ("explain", "a"), ("backtest",)):
        result = digest(*words)
        assert result.exit_code == 3
        assert "does not exist yet" in result.stderr
