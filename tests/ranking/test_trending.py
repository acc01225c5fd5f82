"""Which papers trend, in which order and kind."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from digest.ranking import Candidate, Listing
from digest.ranking.trending import DayTrends, Trend, TrendKind

DAY = date(2026, 4, 20)
SINCE = DAY - timedelta(7)


def candidate(number: int, votes: int | None, ago: int = 0, source: str = "hf") -> Candidate:
    listed = DAY - timedelta(ago)
    return Candidate(number, listed, (Listing(source, listed, ((DAY, votes),)),))


def ranked(
    *candidates: Candidate,
    shown: tuple[int, ...] = (),
    weights: dict[str, float] | None = None,
    points: dict[int, float] | None = None,
) -> list[Trend]:
    """The trends of the candidates, the most trending first, whatever the reader's points add."""
    trends = DayTrends(candidates, SINCE, DAY, weights or {})
    wishes = trends.add_up([trends.ask(points or {})])
    ordered = sorted(trends.walk(wishes, frozenset(shown)), key=lambda place: place[1:])
    return [Trend(spot.paper, -score, spot.kind, spot.listing) for _, score, _, _, spot in ordered]


def ids(trends: list[Trend]) -> list[int]:
    return [trend.id for trend in trends]


def test_within_today_votes_decide() -> None:
    assert ids(ranked(candidate(1, 3), candidate(2, 30), candidate(3, 0), candidate(4, 12))) == [2, 4, 1, 3]


def test_the_most_trending_paper_scores_one_and_none_scores_more() -> None:
    trends = ranked(
        *(candidate(n, n * n) for n in range(1, 20)), *(candidate(n, None, source="arxiv") for n in range(30, 60))
    )
    assert max(t.score for t in trends) == 1.0
    assert min(t.score for t in trends) > 0


def test_a_paper_that_climbed_into_the_first_six_of_its_list_rises() -> None:
    yesterday = [candidate(n, 100 - n, ago=1) for n in range(1, 11)]
    trends = {t.id: t for t in ranked(*yesterday, candidate(20, 50), shown=(1, 2, 3))}
    assert [n for n, t in trends.items() if t.kind is TrendKind.RISING] == [4, 5, 6]
    assert [n for n, t in trends.items() if t.kind is TrendKind.MORE] == [7, 8, 9, 10]
    assert ids(ranked(*yesterday, candidate(20, 50), shown=(1, 2, 3)))[:4] == [4, 5, 6, 20]


def test_the_other_papers_come_after_those_of_today_and_the_rising_ones() -> None:
    old = [candidate(n, 1000 - n, ago=1) for n in range(1, 9)]
    assert ids(ranked(*old, candidate(20, 0), shown=(1, 2, 3, 4, 5, 6))) == [20, 7, 8]


def test_papers_of_an_incomplete_list_from_before_the_window_do_not_rise() -> None:
    listing = Listing("hf", SINCE - timedelta(1), ((DAY, 5),))
    (trend,) = ranked(Candidate(1, DAY, (listing,)))
    assert trend.kind is TrendKind.MORE


def test_a_shown_paper_never_comes_back() -> None:
    assert ids(ranked(candidate(1, 500), candidate(2, 5), shown=(1,))) == [2]


def test_a_source_without_votes_gets_every_fourth_place() -> None:
    voted = [candidate(n, 100 - n) for n in range(1, 10)]
    silent = [candidate(n, None, source="arxiv") for n in range(21, 24)]
    assert ids(ranked(*voted, *silent)) == [1, 2, 3, 21, 4, 5, 6, 22, 7, 8, 9, 23]


def test_a_source_of_double_weight_gets_more_places_and_one_of_weight_zero_the_last_ones() -> None:
    voted = [candidate(n, 100 - n) for n in range(1, 7)]
    silent = [candidate(n, None, source="arxiv") for n in range(21, 25)]
    assert ids(ranked(*voted, *silent, weights={"arxiv": 2.0}))[:5] == [1, 21, 2, 3, 22]
    assert ids(ranked(*voted, *silent, weights={"arxiv": 0.0}))[:6] == [1, 2, 3, 4, 5, 6]


def test_a_source_without_votes_alone_keeps_its_order_newest_first() -> None:
    assert ids(ranked(*(candidate(n, None, ago=n % 2) for n in range(1, 6)))) == [2, 4, 1, 3, 5]


def test_in_a_source_without_votes_the_points_of_topics_come_before_the_order_of_arrival() -> None:
    silent = [candidate(n, None, ago=n % 2, source="arxiv") for n in range(21, 27)]
    points = {23: 0.2, 26: 0.7, 21: 0.2}
    assert ids(ranked(*silent, points=points)) == [26, 21, 23, 22, 24, 25]
    voted = [candidate(n, 100 - n) for n in range(1, 10)]
    assert ids(ranked(*voted, *silent, points=points | {9: 5.0}))[:8] == [1, 2, 3, 26, 4, 5, 6, 21]


def test_a_paper_on_two_lists_counts_once_by_its_better_listing() -> None:
    both = Candidate(1, DAY, (Listing("arxiv", DAY, ((DAY, None),)), Listing("hf", DAY, ((DAY, 50),))))
    trends = ranked(both, candidate(2, 9))
    assert ids(trends) == [1, 2]
    assert trends[0].listing.source == "hf"


@given(
    st.permutations(
        [(n, votes, ago) for n, (votes, ago) in enumerate([(5, 0), (5, 0), (5, 1), (None, 0), (None, 1), (0, 3)])]
    )
)
def test_the_order_does_not_depend_on_the_order_of_the_candidates(rows: list[tuple[int, int | None, int]]) -> None:
    assert ids(ranked(*(candidate(*row) for row in rows))) == ids(
        ranked(*(candidate(*row) for row in sorted(rows, key=lambda r: r[0])))
    )


def test_no_candidates_give_no_trends() -> None:
    assert ranked() == []
    assert ranked(candidate(1, 5), shown=(1,)) == []
