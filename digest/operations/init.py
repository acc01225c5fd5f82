"""Write the first config.toml and .env, filled in from the user's answers."""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import tomlkit
from tomlkit.items import AoT, Item, Table

from digest.config import parse
from digest.delivery import is_loopback
from digest.delivery.providers import find_provider
from digest.errors import ConfigError, SourceError
from digest.files import bundled_file, write_file
from digest.mail.address import parse_mailbox
from digest.sources.arxiv_categories import is_category
from digest.sources.library import is_library, read_library

# The options that can be answered, and the key of the configuration that each sets.
KEYS = {
    "to": "digest.to",
    "from": "digest.from",
    "timezone": "digest.timezone",
    "host": "smtp.host",
    "port": "smtp.port",
    "security": "smtp.security",
    "username": "smtp.username",
    "maildir": "maildir.path",
    "interest": "topics.match",
    "category": "topics.categories",
    "library": "topics.like",
}
# The options whose answers become a topic, and the name of that topic.
INTERESTS = ("interest", "category", "library")
_TOPIC = "My interests"
Answer = str | int | tuple[str, ...]
Answers = Mapping[str, Answer]

# No quote may follow the password: python-dotenv before 1.2.2 read on to it when a password ended in a backslash.
_ENV = """\
# The secrets of digest. Only you can read this file. Environment variables of the same names take precedence.
# Put a value with spaces, quotes or # into 'single quotes', with a \\ before each ' and \\ in it.

# The password of smtp.username. For Gmail: an app password (myaccount.google.com/apppasswords).
DIGEST_SMTP_PASSWORD={password}

# The password of inbox.username, the mailbox for replies.
# DIGEST_INBOX_PASSWORD=

# An access token of Hugging Face (huggingface.co/settings/tokens). Optional: raises its rate limit.
# HF_TOKEN=
"""


def example() -> str:
    """The example configuration that comes with the program."""
    return bundled_file("config.example.toml").read_text(encoding="utf-8")


def fill_example(answers: Answers) -> str:
    """The example configuration with these answers in it; all else stays as it is."""
    text = example()
    if "maildir" in answers:  # the commented-out [maildir] takes the place of [smtp]
        before, _, rest = text.partition("[smtp]\n")
        text = before + "[maildir]\n" + rest.partition("# [maildir]\n# ")[2]
    if "category" in answers:  # papers get their categories from arXiv, so it becomes a source
        start = text.index('# [[sources]]\n# type = "arxiv"')
        lines = text[start:].split("\n", 3)
        text = "\n".join([text[:start] + lines[0][2:], lines[1][2:], lines[2][2:], lines[3]])
    before, example_topic, rest = text.partition("# [[topics]]\n")
    document = tomlkit.parse(before + _format_topic(answers) + example_topic + rest)
    for option, answer in answers.items():
        table, _, key = KEYS[option].partition(".")
        if option == "category":
            _set_value(cast(AoT, document["sources"])[-1], "categories", answer)
        elif option not in INTERESTS:
            _set_value(cast(Table, document[table]), key, answer)
    return tomlkit.dumps(document)


def _format_topic(answers: Answers) -> str:
    """The topic of the reader's interests as TOML; '' without any."""
    found = {KEYS[option].partition(".")[2]: list(_texts(answers[option])) for option in INTERESTS if option in answers}
    if not found:
        return ""
    if "match" in found:
        found["match"] = [_to_phrase(text) for text in found["match"]]
    return tomlkit.dumps({"topics": [{"name": _TOPIC, **found}]}).lstrip("\n") + "\n"


def _texts(answer: Answer) -> tuple[str, ...]:
    return answer if isinstance(answer, tuple) else (str(answer),)


def _to_phrase(interest: str) -> str:
    """A phrase for `match`, with any ending: who writes "diffusion models" also means a diffusion model."""
    text = " ".join(interest.split())
    stem = text[:-1] if text.endswith("s") and not text.endswith(("ss", "is", "us")) else text
    return text if len(stem.split()[-1] if stem.split() else "") < 4 or text.endswith("*") else f"{stem}*"


def split_interests(text: str) -> dict[str, Answer]:
    """Sort a list with commas into phrases, categories of arXiv, and files of a reference manager."""
    found: dict[str, tuple[str, ...]] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        option = "library" if is_library(part) else "category" if is_category(part) else "interest"
        found[option] = (*found.get(option, ()), part)
    return dict(found)


def _set_value(table: Table, key: str, value: Answer) -> None:
    """Replace a value; a comment behind it stays in its column while there is room."""
    old, new = cast(Item, table.value.item(key)), tomlkit.item(value)
    if old.trivia.comment:
        column = len(old.as_string()) + len(old.trivia.comment_ws)
        new.trivia.comment_ws = " " * max(2, column - len(new.as_string()))
    table[key] = new


def find_problems(answers: Answers) -> dict[str, str]:
    """What is wrong with each invalid answer, by its option."""
    found = {option: "must contain only printable characters" for option, a in answers.items() if not _is_printable(a)}
    if (smtp := [option for option in answers if KEYS[option].startswith("smtp.")]) and "maildir" in answers:
        found["maildir"] = f"cannot be used together with --{smtp[0]}; keep one of them"
    if found:
        return found
    for path in map(Path, _texts(answers.get("library", ()))):
        try:
            if not is_library(path.name):
                raise SourceError(f"{path.name} is not a .bib or .ris file")
            read_library(path)
        except SourceError as error:
            return {"library": str(error)}
    options = {key: option for option, key in KEYS.items()}
    options |= {"sources[2].categories": "category", "topics[1].categories": "category", "topics[1]": "interest"}
    try:
        parse(fill_example(answers), Path("config.toml"), {})
    except ConfigError as error:
        problems = (problem.partition(": ") for problem in error.problems)
        return {options.get(key, key): message for key, _, message in problems}
    return {}


def _is_printable(answer: Answer) -> bool:
    return all(str(part).isprintable() for part in (answer if isinstance(answer, tuple) else (answer,)))


def add_defaults(answers: Answers, zone: str) -> dict[str, Answer]:
    """The answers, and defaults that follow from them for the others. `zone` is this machine's time zone, or ""."""
    found = dict(answers)
    if library := found.get("library"):  # paths in the configuration are relative to its own folder
        found["library"] = tuple(str(Path(path).expanduser().absolute()) for path in _texts(library))
    to = found.get("to")
    address = _address_of(to[0]) if isinstance(to, tuple) else ""
    if zone:
        found.setdefault("timezone", zone)
    if "maildir" not in found:
        if (provider := find_provider(address)) and not found.keys() & {"host", "port", "security"}:
            found |= {"host": provider.host, "port": provider.port}
        if found.keys() & {"host", "port", "security"}:
            _add_server_defaults(found, address)
    if sender := _address_of(str(found.get("username", ""))) or address:
        found.setdefault("from", f"Paper Digest <{sender}>")
    return found


def _add_server_defaults(found: dict[str, Answer], address: str) -> None:
    """Add the usual port and security, and the address as user name; a server on this machine needs none."""
    local = is_loopback(str(found.get("host")))
    ports = {"tls": 465, "starttls": 587, "none": 25}
    security = found.get("security") or ("none" if local else "starttls")
    found.setdefault("port", ports.get(str(security).lower(), 587))
    found.setdefault("security", "tls" if found["port"] == 465 else "none" if local else "starttls")
    if local or (address and "host" in found):
        found.setdefault("username", "" if local else address)


def _address_of(mailbox: str) -> str:
    """The address in `Name <address>` or a bare address; "" if it is invalid."""
    try:
        return parse_mailbox(mailbox).address
    except ValueError:
        return ""


def zone_name(machine: ZoneInfo) -> str:
    """The name of this machine's time zone as the configuration takes it; UTC for a zone without a name."""
    name = machine.key.removeprefix("Etc/")
    return "UTC" if name.startswith("/") else name


def format_env(password: str = "") -> str:
    """The text of .env. python-dotenv reads back exactly this password, whatever characters it has."""
    return _ENV.format(password=_quote_secret(password))


def _quote_secret(secret: str) -> str:
    """As it is if that is safe, else in single quotes; in double quotes if it has line breaks, which need escapes."""
    if re.fullmatch(r"[\w!%&()*+,./:;<=>?@\[\]^{|}~-]*", secret, re.ASCII):
        return secret
    if not re.search(r"[\r\n]", secret):
        return "'" + re.sub(r"(['\\])", r"\\\1", secret) + "'"
    return '"' + re.sub(r'(["\\])', r"\\\1", secret).replace("\r", r"\r").replace("\n", r"\n") + '"'


def has_config(folder: Path) -> bool:
    """Whether there is a config.toml in `folder`. Raises ConfigError if that cannot be checked."""
    try:
        return (folder / "config.toml").exists()
    except OSError as error:
        raise ConfigError([f"{folder} cannot be read: {error.strerror}"]) from None


def write(folder: Path, answers: Answers | None = None, password: str = "") -> list[Path]:
    """Create config.toml and .env (mode 600) in `folder`, but keep files that exist; return the created files.

    Raises ConfigError when a file cannot be written; it is not left behind half written.
    """
    files = (
        (folder / "config.toml", fill_example(answers or {}), 0o644),
        (folder / ".env", format_env(password), 0o600),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [path for path, text, mode in files if _create(path, text, mode)]
    except OSError as error:
        raise ConfigError([f"{folder} cannot be written to: {error.strerror}"]) from None


def _create(path: Path, text: str, mode: int) -> bool:
    """Write a new file whole or not at all; False if it exists."""
    with suppress(FileExistsError):
        if not path.exists():
            write_file(path, text.encode(), mode=mode, replace=False)
            return True
    return False
