"""A plan in one time zone as lines of a crontab that is read in another: no day is left out, whatever the clocks do.

Debian's cron knows no CRON_TZ and reads every line in the machine's zone. So there is a line at each time that the plan
can be on the machine's clock, and in front of the command stands a guard that leaves when the line comes at the wrong
one. The guard names the wrong times, not the right one: a line that is started by hand, or a minute late, or after a
government has moved its clocks, runs. Running twice a day is harmless, never is not.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from digest.schedule.plan import DAYS, Plan

_SHORT = {"1,2,3,4,5": "1-5", "0,1,2,3,4": "0-4", "2,3,4,5,6": "2-6"}
Slots = set[tuple[time, int]]  # a time on the machine's clock, and by how many days its date is ahead


@dataclass(frozen=True)
class Lines:
    """The five fields of each line, and what the plan's clock shows when a line is to leave at once.

    `wrong` are times as %H%M. `right` are times as %H%M.%m.%u, to be run though they look wrong: the days on which
    the clocks are changed. Without `wrong` no guard is needed.
    """

    fields: tuple[str, ...]
    wrong: tuple[str, ...] = ()
    right: tuple[str, ...] = ()


def lines(plan: Plan, machine: tzinfo, today: date) -> Lines:
    """The lines for the two years from `today`; one plain line where both clocks show the same.

    Of all starts, one a day is right: that at the plan's moment, else the nearest, a later one before an earlier one.
    """
    days = dict(plan.moments(today))
    moments = days.values()
    if all(at.astimezone(machine).utcoffset() == at.astimezone(plan.zone).utcoffset() for at in moments):
        return Lines((f"{plan.at.minute} {plan.at.hour} * * {'1-5' if plan.weekdays else '*'}",))
    slots = _slots(days, machine)
    started = set(_starts(slots, machine, today))
    chosen = {at if at in started else _instead(at, started, plan) for at in moments}
    right = {at.astimezone(plan.zone) for at in chosen}
    wrong = {f"{at.astimezone(plan.zone):%H%M}" for at in started - chosen} - {f"{plan.at:%H%M}"}
    odd = {f"{at:%H%M.%m.%u}" for at in right if f"{at:%H%M}" in wrong and plan.has(at.date())}
    return Lines(tuple(_fields(plan, slots)), tuple(sorted(wrong)), tuple(sorted(odd)))


def _instead(at: datetime, started: set[datetime], plan: Plan) -> datetime:
    """The start that makes up for a moment without one: on the same day, if there is any."""

    def merit(start: datetime) -> tuple[bool, bool, timedelta]:
        return start.astimezone(plan.zone).date() != at.astimezone(plan.zone).date(), start < at, abs(start - at)

    return min(started, key=merit)


def _slots(days: Mapping[date, datetime], machine: tzinfo) -> Slots:
    """What the machine's clock shows at the moments of these days."""
    local = {day: at.astimezone(machine) for day, at in days.items()}
    return {(at.time().replace(fold=0), (at.date() - day).days) for day, at in local.items()}


def _fields(plan: Plan, slots: Slots) -> Iterator[str]:
    """The slots by minute; where it is another day on the machine, Monday to Friday are other days there."""
    hours = defaultdict(set)
    for at, ahead in slots:
        days = ",".join(str((day + ahead) % 7) for day in range(1, 6)) if plan.weekdays else "*"
        hours[at.minute, _SHORT.get(days, days)].add(at.hour)
    for (minute, days), found in sorted(hours.items()):
        yield f"{minute} {','.join(map(str, sorted(found)))} * * {days}"


def _starts(slots: Slots, machine: tzinfo, today: date) -> Iterator[datetime]:
    """When cron starts the lines: a time that comes twice once, one that is left out as soon as the clocks are past it.

    That is how Debian's cron treats jobs of a fixed time, cron(8), "Notes". Where another cron starts one twice, the
    second start is at the plan's time or harmless.
    """
    for number in range(-3, DAYS + 3):
        for at, _ in slots:
            local = datetime.combine(today + timedelta(days=number), at)
            while local.replace(tzinfo=machine).astimezone(UTC).astimezone(machine).replace(tzinfo=None) != local:
                local += timedelta(minutes=1)
            yield local.replace(tzinfo=machine).astimezone(UTC)
