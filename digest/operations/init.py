"""Where mail is handed in at well-known providers, by the domain of an address. Touches nothing.

The files a newcomer starts from: config.toml and .env, every option explained, with what is known filled in.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from digest.config import parse
from digest.delivery import LOOPBACK
from digest.errors import ConfigError
from digest.mail.address import parse_mailbox
from digest.mail.render import bundled_file


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider's server for outgoing mail; `note` is what its help pages ask for beside the password, or ''."""

    host: str
    port: int = 587
    note: str = ""


_APP = "it takes an app password, not your own: {}"
_OAUTH = "it mostly takes access tokens instead of passwords: see token_command in config.toml"

# By the providers' own help pages. Port 465 speaks TLS from the first byte, 587 after STARTTLS (RFC 8314).
_GMAIL = Provider("smtp.gmail.com", 587, _APP.format("myaccount.google.com/apppasswords"))
_OUTLOOK = Provider("smtp-mail.outlook.com", 587, _OAUTH)
_FASTMAIL = Provider("smtp.fastmail.com", 465, _APP.format("Settings, Privacy & Security"))
_ICLOUD = Provider("smtp.mail.me.com", 587, _APP.format("account.apple.com, Sign-In and Security"))
_YAHOO = Provider("smtp.mail.yahoo.com", 465, _APP.format("Account security"))
_GMX = Provider("mail.gmx.net", 587, "switch on POP3 and IMAP in its settings first")
_PROTON = Provider("smtp.protonmail.ch", 587, "it takes an SMTP token, for addresses of your own domain")

_DOMAINS = {
    "gmail.com googlemail.com": _GMAIL,
    "outlook.com hotmail.com live.com msn.com": _OUTLOOK,
    "onmicrosoft.com": Provider("smtp.office365.com", 587, _OAUTH),
    "fastmail.com fastmail.fm": _FASTMAIL,
    "icloud.com me.com mac.com": _ICLOUD,
    "yahoo.com yahoo.de yahoo.fr yahoo.co.uk yahoo.es yahoo.it ymail.com": _YAHOO,
    "aol.com": Provider("smtp.aol.com", 465, _APP.format("Account security")),
    "gmx.de gmx.net gmx.at gmx.ch": _GMX,
    "gmx.com": Provider("mail.gmx.com", 587, _GMX.note),
    "web.de": Provider("smtp.web.de", 587, _GMX.note),
    "posteo.de posteo.net posteo.org posteo.eu": Provider("posteo.de", 465),
    "mailbox.org": Provider("smtp.mailbox.org", 465),
    "proton.me protonmail.com pm.me": _PROTON,
    "qq.com": Provider("smtp.qq.com", 465, "it takes an authorization code instead of your password"),
    "163.com": Provider("smtp.163.com", 465, "it takes an authorization code instead of your password"),
    "runbox.com": Provider("smtp.runbox.com", 465),
    "disroot.org": Provider("disroot.org", 587),
}
_BY_DOMAIN = {domain: provider for domains, provider in _DOMAINS.items() for domain in domains.split()}


def find_provider(address: str) -> Provider | None:
    """The provider of a mail address; None for one that is not in the table, as most are."""
    domain = address.rpartition("@")[2].rstrip("> ").lower()
    parent = domain.partition(".")[2]
    return _BY_DOMAIN.get(domain) or (_BY_DOMAIN.get(parent) if parent == "onmicrosoft.com" else None)


# What may be answered, by the name of its option, and the key that it is the value of.
KEYS = {
    "to": "digest.to",
    "from": "digest.from",
    "timezone": "digest.timezone",
    "host": "smtp.host",
    "port": "smtp.port",
    "security": "smtp.security",
    "username": "smtp.username",
    "maildir": "maildir.path",
}
Answer = str | int | tuple[str, ...]
Answers = Mapping[str, Answer]

# Each secret on a line of its own. There is no quote in what stands below the password: python-dotenv before 1.2.2 read
# on to it when a password ended in a backslash.
_ENV = """\
# Secrets, kept out of config.toml. Only you can read this file; the real environment wins over it.
# Put a secret with spaces, quotes or # in it in 'single quotes', with a \\ before each ' and \\ of its own.

# The password of smtp.username. Gmail: an app password (myaccount.google.com/apppasswords).
DIGEST_SMTP_PASSWORD={password}

# The password of inbox.username: the mailbox that takes mail to unsubscribe.
# DIGEST_INBOX_PASSWORD=

# A token of Hugging Face (huggingface.co/settings/tokens): raises its limit. It works without one.
# HF_TOKEN=
"""
_KEY = re.compile(r'(?:# )?(?P<key>\w+) = (?P<value>"[^"]*"|\[[^\]]*\]|[\w.]+)(?P<gap> *)(?P<comment>#.*)?')
_TABLE = re.compile(r"(?:# )?\[{1,2}(\w+)\]{1,2}")


def example() -> str:
    """The example configuration that comes with the program."""
    return bundled_file("config.example.toml").read_text(encoding="utf-8")


def filled(answers: Answers) -> str:
    """The example configuration with these answers in it; comments stay where they are. Without any: byte for byte."""
    values = {KEYS[option]: _toml(answer) for option, answer in answers.items()}
    return "\n".join(_lines(example().split("\n"), values))


def _lines(lines: Iterable[str], values: Mapping[str, str]) -> Iterator[str]:
    table, local = "", "maildir.path" in values
    for line in lines:
        if heading := _TABLE.fullmatch(line):
            table = heading[1]
            yield {"smtp": "# [smtp]", "maildir": "[maildir]"}.get(table, line) if local else line
            continue
        found = _KEY.fullmatch(line)
        if found and (value := values.get(f"{table}.{found['key']}")):
            yield _aligned(found, f"{found['key']} = {value}")
        elif found and table == "smtp" and local and not line.startswith("#"):
            yield _aligned(found, f"# {found['key']} = {found['value']}")
        else:
            yield line


def _aligned(found: re.Match[str], line: str) -> str:
    """`line` with the comment of the one it replaces, in its column while there is room."""
    return f"{line.ljust(found.start('comment') - 2)}  {found['comment']}" if found["comment"] else line


def _toml(answer: Answer) -> str:
    if isinstance(answer, tuple):
        return f"[{', '.join(_toml(one) for one in answer)}]"
    return str(answer) if isinstance(answer, int) else json.dumps(answer, ensure_ascii=False)


def mistakes(answers: Answers) -> dict[str, str]:
    """What is wrong with each answer that cannot stand in a configuration, by its option."""
    found = {o: "holds a character that cannot be written" for o, a in answers.items() if not _writable(a)}
    if (rivals := [option for option in answers if KEYS[option].startswith("smtp.")]) and "maildir" in answers:
        found["maildir"] = f"stands beside --{rivals[0]}; keep the one that mail should go to"
    if found:
        return found
    options = {key: option for option, key in KEYS.items()}
    try:
        parse(filled(answers), Path("config.toml"), {})
    except ConfigError as problem:
        told = (sentence.partition(": ") for sentence in problem.problems)
        return {options.get(key, key): sentence for key, _, sentence in told}
    return {}


def _writable(answer: Answer) -> bool:
    return all(str(part).isprintable() for part in (answer if isinstance(answer, tuple) else (answer,)))


def suggested(answers: Answers, zone: str) -> dict[str, Answer]:
    """The answers, and what follows from them for what was not answered. `zone` is the machine's time zone."""
    found = dict(answers)
    to = found.get("to")
    reader = _bare(to[0]) if isinstance(to, tuple) else ""
    if zone:
        found.setdefault("timezone", zone)
    if "maildir" not in found:
        if (provider := find_provider(reader)) and not found.keys() & {"host", "port", "security"}:
            found |= {"host": provider.host, "port": provider.port}
        if found.keys() & {"host", "port", "security"}:
            found = _server(found, reader)
    if sender := _bare(str(found.get("username", ""))) or reader:
        found.setdefault("from", f"Paper Digest <{sender}>")
    return found


def _server(found: dict[str, Answer], reader: str) -> dict[str, Answer]:
    """What is usual for the server: its port and security, and the address as user name."""
    near = str(found.get("host")).lower() in LOOPBACK
    usual = {"tls": 465, "starttls": 587, "none": 25}
    security = found.get("security") or ("none" if near else "starttls")
    found.setdefault("port", usual.get(str(security).lower(), 587))
    found.setdefault("security", "tls" if found["port"] == 465 else "none" if near else "starttls")
    if near or (reader and "host" in found):
        found.setdefault("username", "" if near else reader)
    return found


def _bare(given: str) -> str:
    """The address in what may be `Name <address>`; '' for none."""
    try:
        return parse_mailbox(given).address
    except ValueError:
        return ""


def zone(machine: ZoneInfo) -> str:
    """What a configuration calls the machine's time zone; UTC for one without a name."""
    name = machine.key.removeprefix("Etc/")
    return "UTC" if name.startswith("/") else name


def secrets(password: str = "") -> str:
    """The text of .env. python-dotenv reads back the very `password`, whatever is in it."""
    return _ENV.format(password=_quoted(password))


def _quoted(secret: str) -> str:
    """As it is if that is plain, else in single quotes; a line break needs double ones, which alone can escape it."""
    if re.fullmatch(r"[\w!%&()*+,./:;<=>?@\[\]^{|}~-]*", secret, re.ASCII):
        return secret
    if not re.search(r"[\r\n]", secret):
        return "'" + re.sub(r"(['\\])", r"\\\1", secret) + "'"
    return '"' + re.sub(r'(["\\])', r"\\\1", secret).replace("\r", r"\r").replace("\n", r"\n") + '"'


def begun(folder: Path) -> bool:
    """Whether there is a config.toml. Raises ConfigError where that cannot be told."""
    try:
        return (folder / "config.toml").exists()
    except OSError as problem:
        raise ConfigError([f"{folder} cannot be looked into: {problem.strerror}"]) from None


def write(folder: Path, answers: Answers | None = None, password: str = "") -> list[Path]:
    """Put config.toml and .env (mode 600) into `folder` where they are missing; return what was written.

    Raises ConfigError when that cannot be done; no half file is left then.
    """
    wanted = ((folder / "config.toml", filled(answers or {}), 0o644), (folder / ".env", secrets(password), 0o600))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [path for path, text, mode in wanted if _new(path, text, mode)]
    except OSError as problem:
        raise ConfigError([f"{folder} cannot be written to: {problem.strerror}"]) from None


def _new(path: Path, text: str, mode: int) -> bool:
    try:
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8")
    except FileExistsError:
        return False
    try:
        with file:
            file.write(text)
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise
    return True
