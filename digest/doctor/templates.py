"""The templates, tried by really making mails with them: one with as many papers as fit, and an empty one."""

from datetime import datetime
from pathlib import Path

from digest.config import Config
from digest.doctor import Check, Mark, Trouble, sample
from digest.edition import MOST_PAPERS
from digest.errors import ConfigError
from digest.leaving import leave_link
from digest.message import Rendered, quoted_printable, slots
from digest.render import LIMIT, shipped
from digest.table import many


def examine(config: Config, now: datetime) -> tuple[Check, int]:
    """How the configured templates do, and the bytes of the largest mail they make, 0 when they make none."""
    for papers in (0, most := min(config.digest.max_papers, MOST_PAPERS)):
        try:
            rendered, frame = sample.mailed(config, sample.edition(config, now, papers), now)
        except ConfigError as problem:
            said = "\n".join(problem.problems) + (" (in a mail without papers)" if not papers else "")
            return Check("templates", Mark.FAIL, said, "mend that line, or remove the file"), 0
    size = len(frame.bytes)
    said = f"{_whose(config.digest.templates)}; a mail of {many(most, 'paper')} has {size:,} bytes"
    return Check.of("templates", said, [*_unused(config), *_shape(config, rendered, now)]), size


def _overrides(folder: Path) -> list[str]:
    return sorted(path.name for path in shipped("templates").iterdir() if (folder / path.name).is_file())


def _whose(folder: Path | None) -> str:
    names = _overrides(folder) if folder else []
    return f"{len(names)} of your own ({', '.join(names)})" if names else "as shipped"


def _unused(config: Config) -> list[Trouble]:
    folder = config.digest.templates
    if folder is None or _overrides(folder):
        return []
    names = ", ".join(sorted(path.name for path in shipped("templates").iterdir()))
    said = f"{folder} holds no file with the name of a template, so the shipped ones are used"
    return [Trouble(Mark.WARN, said, f"name yours like the one it replaces: {names}")]


def _shape(config: Config, rendered: Rendered, now: datetime) -> list[Trouble]:
    """What a template of one's own can forget: that Gmail cuts long mails, and that readers must be able to leave."""
    troubles = []
    if (size := len(quoted_printable(rendered.html))) > LIMIT:
        said = f"the page has {size:,} bytes; Gmail hides what comes after {LIMIT:,}, the link to unsubscribe included"
        troubles.append(Trouble(Mark.WARN, said, "make digest.html or _paper.html shorter, or digest.max_papers lower"))
    token = slots(b"a made-up edition", now.date()).token
    leave = leave_link(config.unsubscribe, config.digest.from_, token)
    for name, text in (("digest.txt", rendered.text), ("digest.html", rendered.html.replace("&amp;", "&"))):
        if leave not in text:
            said = f"{name} has no link to unsubscribe"
            troubles.append(Trouble(Mark.WARN, said, f"put {{{{ leave }}}} into your {name}"))
    return troubles
