"""When the job runs by itself: that it does, once a day, and by a line that works."""

from collections.abc import Sequence

from digest.doctor import Check, Mark, Trouble
from digest.schedule import Found


def examine(scheduled: Sequence[Found]) -> Check:
    """`scheduled` is what runs this configuration by itself."""
    if not scheduled:
        trouble = Trouble(Mark.WARN, "nothing runs the job by itself", "digest schedule install")
        return Check.of("schedule", "", [trouble])
    troubles = [_trouble(found) for found in scheduled if found.trouble]
    if len(scheduled) > 1 and not troubles:
        places = " and ".join(f"{found.where} ({found.what})" for found in scheduled)
        troubles = [Trouble(Mark.WARN, f"the job runs more than once: {places}", "one of them is enough")]
    said = "; ".join(f"{found.what}, by {found.where}{_next(found)}" for found in scheduled)
    return Check.of("schedule", said, troubles)


def _trouble(found: Found) -> Trouble:
    told = Trouble.told(found.trouble)
    mend = told.mend or (
        "digest schedule install" if found.ours else "crontab -e, or digest schedule install in its place"
    )
    return Trouble(Mark.FAIL, f"{found.where}: {found.what}: {told.said}", mend)


def _next(found: Found) -> str:
    return f"; next on {found.next:%a %Y-%m-%d %H:%M}" if found.next else ""
