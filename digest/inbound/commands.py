"""Read the commands that a reader typed. Pure: no I/O.

Only lines above the first quoted one count, and of these only the ones that hold nothing but a command:

    +2 -5                        more like the second paper of that mail, less like the fifth
    topics Diffusion, Robotics   only these topics; "topics all" for all
    max 5                        papers in a mail at most; "max default" for as many as the digest has
    days mon thu                 mail only on these days; "days all" for every day
    pause 2 weeks                no mail for that long; "pause until 2026-05-04", "pause" until further notice
    resume, help, unsubscribe, reset
"""

import re
from collections.abc import Iterator

from digest.inbound import Command, DigestAddresses
from digest.settings import WEEKDAYS

_MAX_LINES = 200  # above the quotation
_MAX_LINE = 300  # characters
_MAX_COMMANDS = 50  # of a letter

_DAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?s?"
_VOTE = re.compile(r"([+-])\s?([0-9]{1,3})")
_VOTES = re.compile(r"[+-]\s?[0-9]{1,3}(?:[\s,;]+[+-]\s?[0-9]{1,3})*")
# ASCII, here and in other patterns: else the letters s and k include ſ and K, whose lower case is another word.
_WORD = re.compile(r"(topics?|max|days?|pause|resume|help|unsubscribe|reset)(?:[\s:]+(.*))?", re.IGNORECASE | re.ASCII)
_ARGUMENTS = {
    "topics": re.compile(r".+"),
    "max": re.compile(r"[0-9]{1,4}|default"),
    "days": re.compile(rf"all|every day|weekdays|{_DAY}(?:[\s,;]+(?:and\s)?{_DAY})*"),
    "pause": re.compile(r"|(?:for\s)?[0-9]{1,3}\s?(?:day|week|month)s?|until [0-9]{4}-[0-9]{2}-[0-9]{2}"),
}
# What stands above a quotation where its lines have no mark: "On Monday … wrote:", Outlook's header and lines.
_ABOVE_QUOTE = re.compile(
    r"[>|]|--\s*$|-{4}|_{5}|={5}|-+\s?(?:original|ursprüngliche|forwarded|weitergeleitete|message d'origine)"
    r"|(?:from|von|de|da|van|från|fra|od|от|发件人|差出人)\s?:"
    r"|.*\b(?:wrote|schrieb|écrit|escribió|scritto|escreveu|schreef|skrev)\b.*:$|.*(?:wrote|写道|のメール)\s?:?$",
    re.IGNORECASE,
)


def parse_commands(text: str, addresses: DigestAddresses) -> tuple[Command, ...]:
    """Return the commands in the text of a letter, in their order.

    If its first line begins like a command but is not one, the reader mistyped it: the result is the command "help".
    """
    found: list[Command] = []
    for number, line in enumerate(_own_lines(text, addresses)):
        found += _parse_line(line)
        if number == 0 and not found and _WORD.fullmatch(line):
            found.append(Command("help"))
    return tuple(found[:_MAX_COMMANDS])


def _own_lines(text: str, addresses: DigestAddresses) -> Iterator[str]:
    """Yield the lines above the first quoted one that are not empty, without spaces around them and a dot at the end.

    A line with one of our addresses, or with the digest's title alone, is from our mail or says who wrote it.
    """
    for line in text.split("\n", _MAX_LINES)[:_MAX_LINES]:
        line = " ".join(line[:_MAX_LINE].split())
        low = line.lower()
        ours = any(address in low for address in addresses.own) or (line and low == addresses.title.lower())
        if ours or _ABOVE_QUOTE.match(line):
            return
        if line := line.rstrip(".!").rstrip():
            yield line


def _parse_line(line: str) -> list[Command]:
    line = line.replace("\u2212", "-").replace("\u2013", "-")  # what mail programs make of a hyphen
    if _VOTES.fullmatch(line):
        return [Command("more" if sign == "+" else "less", str(int(n))) for sign, n in _VOTE.findall(line)]
    match = _WORD.fullmatch(line)
    if match is None:
        return []
    word, argument = match[1].lower(), (match[2] or "").strip()
    word = {"topic": "topics", "day": "days"}.get(word, word)
    if word != "topics":
        argument = argument.lower()
    if word not in _ARGUMENTS:
        return [] if argument else [Command(word)]
    if not _ARGUMENTS[word].fullmatch(argument):
        return []
    return [Command(word, _weekdays(argument) if word == "days" else argument)]


def _weekdays(argument: str) -> str:
    """Return days of the week as "mon thu", or "all"."""
    if argument in ("all", "every day"):
        return "all"
    if argument == "weekdays":
        return " ".join(WEEKDAYS[:5])
    named = {word[:3] for word in re.split(r"[\s,;]+", argument)}
    return " ".join(day for day in WEEKDAYS if day in named)
