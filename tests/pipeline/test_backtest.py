"""What would have been, beside what was; and nothing is sent or marked by asking."""

from datetime import timedelta

from digest.cli.output import format_backtest
from digest.config import Config
from digest.pipeline.backtest import backtest, last_days
from digest.pipeline.context import open_context
from tests.conftest import MONDAY, Workplace, paper

TUESDAY = MONDAY + timedelta(1)


def compared(workplace: Workplace, config: Config, days: int = 2) -> str:
    with open_context(config) as context:
        ann = context.subscribers.by_address("ann@example.org")
        return format_backtest(backtest(context, config, ann, last_days(days, TUESDAY)))


def two_days(workplace: Workplace) -> None:
    workplace.digest = {"max_papers": 2}
    for later in range(2):
        workplace.lists(*(paper(n, upvotes=n) for n in range(1 + 4 * later, 5 + 4 * later)))
        workplace.run(MONDAY + timedelta(later))


def test_the_configuration_as_it_was_changes_nothing(workplace: Workplace) -> None:
    two_days(workplace)
    workplace.lists(*(paper(n, upvotes=100 - n) for n in range(1, 12)))
    workplace.run(TUESDAY)  # reads other votes, and makes no second mail
    assert compared(workplace, workplace.config()).splitlines()[1:] == [
        "2026-04-20    2 stay, 0 enter, 0 leave",
        "2026-04-21    2 stay, 0 enter, 0 leave",
    ]


def test_another_configuration_shows_what_enters_and_leaves_and_marks_nothing(workplace: Workplace) -> None:
    two_days(workplace)
    workplace.more = (
        '[[topics]]\nname = "One"\nmatch = ["number 1"]\nmute = ["number 8"]\n'
        '[[sources]]\ntype = "file"\npath = "papers.jsonl"'
    )
    table = compared(workplace, workplace.config())
    assert [line.split()[:5] for line in table.splitlines() if line.startswith(" ")] == [
        ["+", "Paper", "number", "1", "on"],
        ["-", "Paper", "number", "3", "on"],
        ["+", "Paper", "number", "6", "on"],
        ["-", "Paper", "number", "8", "on"],
    ]
    assert compared(workplace, workplace.config()) == table
    workplace.lists(paper(9))
    workplace.run(TUESDAY)
    assert len(workplace.titles()) == 2
