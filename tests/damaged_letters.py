"""Letters as nobody should send them: the recorded ones, damaged at random, by a seed."""

import codecs
import encodings
import pkgutil
import random
from collections.abc import Callable

from tests.conftest import DATA

LETTERS = {path.stem: path.read_bytes() for path in sorted((DATA / "letters").glob("*.eml"))}
_TOKEN = b"abcdefghijklmnopqrstuvwx23"
_FIELDS = (
    b"To", b"Cc", b"Subject", b"From", b"Return-Path", b"Content-Type", b"Content-Transfer-Encoding", b"Auto-Submitted",
    b"Precedence", b"Action", b"Status", b"Final-Recipient", b"Original-Recipient", b"Diagnostic-Code", b"Message-ID",
    b"List-Unsubscribe", b"Feedback-Type", b"X-Auto-Response-Suppress", b"Delivered-To", b"Date", b"",
)  # fmt: skip
_PIECES = (
    b"\n", b"\r\n", b"\n\n", b"\r", b"\x00", b"\xff\xfe", b"\xe9", b"\xed\xa0\x80", b"\xc2\x85", b"\xe2\x80\xa8", b"=",
    b"=?", b"?=", b"=?utf-8?q?", b"=?utf-8?b?", b'"', b"'", b"<", b">", b"<>", b";", b":", b",", b"@", b"--", b"\n--",
    b"\t", b" ", b"rfc822;", b"multipart/report; boundary=", b"message/delivery-status", b"message/rfc822", b"base64",
    b"quoted-printable", b"unsubscribe ", _TOKEN, b"+" + _TOKEN + b"@", b"failed", b"5.1.1", b"MAILER-DAEMON", b"%00",
    b"%",
)  # fmt: skip
# Every codec of Python, also those that decode no text, and names that are none.
_CHARSETS = (
    *(module.name.encode() for module in pkgutil.iter_modules(encodings.__path__)),
    b"\xe9", b"\xff\xfe", b"", b"x" * 500, b"unicode_escape", b"utf-8*en", b"../../etc/passwd", b"%s", b"{0}",
)  # fmt: skip


def damaged_letter(chance: random.Random) -> bytes:
    """One of the letters with up to ten changes."""
    raw = LETTERS[chance.choice([*LETTERS])]
    for _ in range(chance.randint(1, 10)):
        raw = chance.choice(_DAMAGE)(raw, chance)
    return raw


def _insert(raw: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(raw) + 1)
    return raw[:at] + chance.choice(_PIECES) * chance.choice((1, 1, 1, 2, 50)) + raw[at + chance.choice((0, 0, 1, 9)) :]


def _delete(raw: bytes, chance: random.Random) -> bytes:
    start, end = sorted(chance.randrange(len(raw) + 1) for _ in range(2))
    return raw[:start] + raw[end:] if end - start < len(raw) // 2 else raw[start:end]


def _repeat(raw: bytes, chance: random.Random) -> bytes:
    start, end = sorted(chance.randrange(len(raw) + 1) for _ in range(2))
    return raw[:end] + raw[start:end] * chance.randint(1, 3) + raw[end:]


def _splice(raw: bytes, chance: random.Random) -> bytes:
    other = LETTERS[chance.choice([*LETTERS])]
    return raw[: chance.randrange(len(raw) + 1)] + other[chance.randrange(len(other)) :]


def _noise(raw: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(raw) + 1)
    return raw[:at] + chance.randbytes(chance.choice((1, 1, 4, 100))) + raw[at + 1 :]


def _lines(raw: bytes, chance: random.Random) -> bytes:
    return raw.replace(b"\n", chance.choice((b"\r\n", b"\r", b"\n ", b"\n\n", b"\x0b\n")), chance.choice((1, 5, -1)))


def _field(raw: bytes, chance: random.Random) -> bytes:
    """Put a field of pieces somewhere at the start of a line."""
    starts = [0, *(at + 1 for at, byte in enumerate(raw[:5000]) if byte == 10)]
    value = b"".join(chance.choice((*_PIECES, _word(chance))) for _ in range(chance.randint(0, 6)))
    at = chance.choice(starts)
    return raw[:at] + chance.choice(_FIELDS) + b": " + value + b"\n" + raw[at:]


def _word(chance: random.Random) -> bytes:
    """An encoded word in some character set."""
    text = chance.choice((b"unsubscribe " + _TOKEN, b"win", b"\xe9", b"=41=4", chance.randbytes(9)))
    charset, encoding = chance.choice(_CHARSETS), chance.choice((b"q", b"b", b"Q", b"B", b"x", b""))
    return b"=?%b?%b?%b?=" % (charset, encoding, codecs.encode(text, "base64").strip() if encoding in b"bB" else text)


_DAMAGE: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _insert, _insert, _delete, _repeat, _splice, _noise, _lines, _field, _field, _field,
)  # fmt: skip
