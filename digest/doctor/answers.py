"""The mailbox of answers: that it can be read. Looks at the letters of today at most, and acts on none."""

from datetime import date

from digest.doctor import Check, Mark, Trouble
from digest.errors import InboxError
from digest.inbox import Inbox
from digest.inbox.reading import name, requests


def examine(settings: Inbox, today: date) -> Check:
    """Open the mailbox as a run does."""
    try:
        next(requests(settings, "", today), None)
    except InboxError as problem:
        return Check.of("inbox", "", [Trouble.told(str(problem))])
    return Check("inbox", Mark.OK, f"{name(settings)} can be read")
