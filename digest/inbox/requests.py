"""A letter, and what it can ask for."""

from dataclasses import dataclass

LIMIT = 1_000_000  # octets of a letter that are read; what it can ask for stands in the first few thousand


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter and the cursor behind it. `raw` is at most `LIMIT` octets, and empty where the head asks for nothing."""

    cursor: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Leave:
    """Whoever this token stands for wants no more mail. Whether it stands for anybody, the subscribers know."""

    token: str


@dataclass(frozen=True, slots=True)
class Bounce:
    """Mail to `recipient` failed for good or for now, says a delivery status notification (RFC 3464).

    `hard` says that there is no such mailbox. `returned` says that some of the failed mail came back with the report:
    then `message_id` and `token` are what its headers hold, else they are ''. Anyone can write such a report; only one
    that holds what we sent is known to answer it.
    """

    recipient: str
    status: str
    hard: bool
    diagnostic: str
    returned: bool
    message_id: str
    token: str


@dataclass(frozen=True, slots=True)
class Complaint:
    """A reader called our mail spam, says her mail service (RFC 5965)."""

    message_id: str
    token: str


Request = Leave | Bounce | Complaint
