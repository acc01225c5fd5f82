"""The history of another digest on this machine or a shared disk: one digest fetches, others read what it recorded.

Its papers come with all their sightings, under the names of that digest's own sources, so they rank here as they do
there. Nothing is requested from a service. `digest.store.origin` reads the file.
"""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from digest.settings import number_between
from digest.sources import Request


@dataclass(frozen=True)
class History:
    path: Path = field(metadata={"example": '"/shared/history.db"'})
    name: str = ""
    weight: float = field(default=1.0, metadata={"read": number_between(0, 100)})
    pause: float = field(default=0.0, init=False)

    @property
    def default_name(self) -> str:
        """Name of the source if the configuration gives none."""
        return self.path.stem

    def requests(self, now: datetime, since: datetime | None = None) -> tuple[Request, ...]:
        return ()
