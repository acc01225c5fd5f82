"""Lines of a crontab that somebody wrote by hand to run digest: when they run, and what cron would trip over."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import islice, pairwise
from pathlib import Path

_ASSIGNMENT = re.compile(r"^\s*([A-Za-z_]\w*)\s*=\s*(.*?)\s*$")  # NAME = value, before the five fields (crontab(5))
_SHORTHAND = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
# One of the five fields (crontab(5)); cronsim would also take what other crons know: L, W and #.
_FIELD = re.compile(r"(?:(?:\*|\d{1,4}|[a-z]{3})(?:-(?:\d{1,4}|[a-z]{3}))?(?:/\d{1,4})?(?:,(?=.)|$))+", re.IGNORECASE)
_PATH = "/usr/bin:/bin"  # what Debian's cron starts with


@dataclass(frozen=True)
class Handmade:
    """A line and what of it matters: `when` is "" where there are no times in it, `path` the PATH it runs with."""

    line: str
    when: str
    words: tuple[str, ...]
    path: str

    @property
    def program(self) -> str:
        """The word that ends in `digest`, or Python where that comes after -m."""
        return self.words[self._start - 2 if self.words[self._start - 1] == "-m" else self._start]

    @property
    def _start(self) -> int:
        return next(number for number, word in enumerate(self.words) if word.endswith("digest"))

    @property
    def folder(self) -> str:
        """Where relative paths begin: in the home folder, unless the line goes elsewhere first."""
        return self.words[1] if self.words[0] == "cd" and len(self.words) > 2 else ""

    @property
    def config(self) -> str:
        """What -c names; "" without one."""
        after = self.words[self._start :]
        for word, following in zip(after, [*after[1:], ""], strict=True):
            if word in ("-c", "--config"):
                return following
            if word.startswith("--config="):
                return word.partition("=")[2]
        return ""


def handmade(text: str) -> Iterator[Handmade]:
    """The lines of a crontab's text that run digest, those between marks of digest's own left out."""
    path, ours = _PATH, False
    for line in text.split("\n"):
        if line.startswith(("# BEGIN digest ", "# END digest ")):
            ours = line.startswith("# BEGIN")
        elif ours or not line.strip() or line.lstrip().startswith("#"):
            continue
        elif setting := _ASSIGNMENT.match(line):
            path = setting[2].strip("\"'") if setting[1] == "PATH" else path
        else:
            when, command = _parted(line)
            words = command_words(command)
            if any(word.endswith("digest") for word in words) and "run" in words:
                yield Handmade(line.strip(), when, words, path)


def _parted(line: str) -> tuple[str, str]:
    """The times and the command; where there are fewer than five fields before the program, those there are."""
    count = 1 if line.lstrip().startswith("@") else 5
    early = (number for number, word in enumerate(line.split(maxsplit=count)[:count]) if word.endswith("digest"))
    count = next(early, count)
    parts = line.split(maxsplit=count)
    return " ".join(parts[:count]), " ".join(parts[count:])


def command_words(command: str) -> tuple[str, ...]:
    r"""The words of a command as a shell would part them, what belongs to the shell being words of its own."""
    plain = command.replace(r"\%", "%")
    try:
        lexer = shlex.shlex(plain, posix=True, punctuation_chars=True)
        lexer.whitespace_split, lexer.commenters = True, ""
        return tuple(lexer)
    except ValueError:  # a quote without its partner
        return tuple(plain.split())


def times(line: Handmade, now: datetime, zone: tzinfo) -> tuple[datetime | None, str]:
    """When a line runs next on a machine in `zone`, and what is wrong with its times: a sentence or ''."""
    from cronsim import CronSim, CronSimError  # here, because most crontabs hold no such line

    if line.when.lower() == "@reboot":
        return None, ""
    when = _SHORTHAND.get(line.when.lower(), line.when)
    try:
        if not all(_FIELD.fullmatch(field) for field in when.split()):
            raise CronSimError("Bad field")
        runs = CronSim(when, now.astimezone(zone))
    except CronSimError as problem:
        return None, f"cron cannot read its times, {line.when!r}: {str(problem).lower()}"
    ahead = list(islice(runs, 3))
    if not ahead:
        return None, f"its times, {line.when!r}, never come"
    # Three, for `now` may stand just before the last minute of the hour in `* 7 * * *`.
    if all(later - at > timedelta(minutes=1) for at, later in pairwise(ahead)):
        return ahead[0], ""
    hour = line.when.split()[1]
    once = f"0 {hour} * * *" if hour.isdigit() else "30 7 * * *"
    return ahead[0], f"it runs every minute, up to sixty times an hour; once a day is {once}"


def trouble(program: str, config: str, home: Path, folder: str = "", path: str = _PATH) -> str:
    """What keeps cron from running this program with this configuration: a sentence or ''."""
    if "/" not in program and not _on(path, program):
        return f"cron finds no {program}, for its PATH is {path}; write the whole path, as `which digest` tells it"
    if "/" in program and not _there(wanted := place(program, home, folder)):
        return f"there is no program {wanted}"
    if config and not _there(wanted := place(config, home, folder)):
        return f"there is no configuration {wanted}"
    return ""


def _on(path: str, program: str) -> bool:
    from shutil import which  # with every kind of archive, 2 ms

    return which(program, path=path) is not None


def _there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that may not be looked into
        return False


def place(word: str, home: Path, folder: str = "") -> Path:
    """The path that a word in a line means: relative to `folder`, that to the home folder. Only HOME is expanded."""
    return home / _expanded(folder, home) / _expanded(word, home)


def _expanded(word: str, home: Path) -> str:
    return re.sub(r"^~(?=/|$)|\$HOME\b|\$\{HOME\}", lambda _: str(home), word)
