"""The views of a message that `preview` gives: the HTML or plain text inside it, or the whole as it goes out."""

from email import message_from_bytes, policy
from pathlib import Path

from digest.errors import ConfigError
from digest.files import write_file
from digest.pipeline.run import Preview

_GMAIL = 102 * 1024  # where Gmail clips, as far as anybody has measured


def message_part(message: bytes, form: str) -> bytes:
    """`html` or `txt` as a reader's mail program decodes it, `eml` untouched."""
    if form == "eml":
        return message
    parsed = message_from_bytes(message, policy=policy.default)
    body = parsed.get_body(("html",) if form == "html" else ("plain",))
    return body.get_content().encode("utf-8") if body is not None else b""


def describe_preview(shown: Preview) -> str:
    """How many papers and bytes there are, and how far that is under Gmail's limit."""
    parsed = message_from_bytes(shown.bytes)
    html = next(p for p in parsed.walk() if p.get_content_type() == "text/html")
    size = len(str(html.get_payload()))
    what = "already queued for that day" if shown.queued else f"{shown.papers} papers"
    return f"{what}, {size / 1024:.0f} KB of HTML, {(_GMAIL - size) / 1024:.0f} KB under the size at which Gmail clips."


def save_preview(path: Path, content: bytes) -> None:
    """Write the file whole or not at all. Raises ConfigError when it cannot be written."""
    try:
        write_file(path, content)
    except OSError as problem:
        raise ConfigError([f"{path} cannot be written: {problem.strerror}; name another file with -o"]) from None
