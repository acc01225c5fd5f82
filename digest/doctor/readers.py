"""Who receives: that what each chose is still there to be had. Only reads."""

from collections.abc import Iterator

from digest.config import Config
from digest.doctor import Check, Mark, Trouble
from digest.ledger import reading
from digest.table import many


def examine(config: Config) -> Iterator[Check]:
    """A check when readers chose topics that the configuration does not have; none when all is well."""
    with reading(config.digest.database) as ledger:
        lost = ledger.lost_topics(topic.name for topic in config.topics)
    troubles = [
        Trouble(
            Mark.WARN,
            f"{many(count, 'reader')} chose the topic {name!r}, which is not in the configuration",
            f"write {name!r} into [[topics]] again, or choose anew with digest subscribers add ADDR --topic NAME",
        )
        for name, count in lost.items()
    ]
    if troubles:
        yield Check.of("readers", "", troubles)
