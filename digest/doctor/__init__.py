"""What is wrong with an installation and how to mend it, a line each. Looks at everything and changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Mark(StrEnum):
    """`OK`: nothing to do. `WARN`: worth a look, mail goes out all the same. `FAIL`: a run cannot do its work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is not as it should be, and what to do about it ('' where `said` says it)."""

    mark: Mark
    said: str
    mend: str = ""

    @classmethod
    def told(cls, sentence: str) -> "Trouble":
        """A failure as the program tells it anywhere: what is wrong, a semicolon, what to do instead."""
        said, _, mend = sentence.partition("; ")
        return cls(Mark.FAIL, said, mend)


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at and how it stands; `said` and `mend` have a line for each thing that was found."""

    name: str
    mark: Mark
    said: str
    mend: str = ""

    @classmethod
    def of(cls, name: str, fine: str, troubles: Sequence[Trouble] = ()) -> "Check":
        """All that is wrong with one thing, under the worst of the marks; `fine` is said when nothing is."""
        if not troubles:
            return cls(name, Mark.OK, fine)
        worst = max((trouble.mark for trouble in troubles), key=list(Mark).index)
        said, mends = (trouble.said for trouble in troubles), (trouble.mend for trouble in troubles if trouble.mend)
        return cls(name, worst, "\n".join(said), "\n".join(mends))
