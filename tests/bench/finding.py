"""How much the excerpt of an abstract says of what Hugging Face's own one-sentence summary of the paper says.

The measure is ROUGE-1 F (Lin 2004) over content words: 2 × shared words / (words of one + words of the other), repeated
words as often as both have them, without stop words. The summaries are hidden from the rule. It was made on every other
day, so the days between are the ones that count.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from digest.papers import Paper
from digest.papers.text.finding import find_finding
from digest.papers.text.fit import snippet
from digest.sources.huggingface import HuggingFace
from tests.conftest import MORNING

LISTS = Path(__file__).resolve().parents[3] / "shared" / "upstream" / "huggingface" / "daily_papers"
LIMIT, WANTED = 340, 0.34
# Function words; the rule has a list of its own.
STOP_WORDS = frozenset(
    """a about above after again all also although am an and any are as at be because been before being below between
    both but by can could did do does doing down during each few for from further had has have having he her here hers
    him his how however i if in into is it its itself just may me might more most must my no nor not now of off on once
    only or other our ours out over own same she should so some such than that the their them then there these they this
    those through thus to too under until up upon us very via was we were what when where whether which while who whom
    why will with within without would you your""".split()
)


def content_words(text: str) -> Counter[str]:
    return Counter(w for w in re.findall(r"[^\W_]+", text.lower()) if w not in STOP_WORDS and len(w) > 1)


def rouge(text: str, reference: str) -> float:
    one, other = content_words(text), content_words(reference)
    shared = (one & other).total()
    return 2 * shared / (one.total() + other.total()) if shared else 0.0


def summarised(path: Path) -> list[Paper]:
    """The papers of a recorded list that have a summary."""
    page = HuggingFace(lookback_days=0).requests(MORNING)[0].parse(path.read_bytes())
    return [sighting.paper for sighting in page.sightings if sighting.paper.tldr and sighting.paper.abstract]


def measured(papers: Sequence[Paper], excerpt: Callable[[Paper], str]) -> tuple[float, float, int]:
    """The mean measure, the mean length and the greatest, in characters."""
    excerpts = [excerpt(paper) for paper in papers]
    lengths = [len(text) for text in excerpts]
    scores = [rouge(text, paper.tldr) for text, paper in zip(excerpts, papers, strict=True)]
    return fmean(scores), fmean(lengths), max(lengths)


def main() -> None:
    days = [papers for path in sorted(LISTS.glob("*.json")) if (papers := summarised(path))]
    if not days:
        print(f"Finding: skipped, there are no recorded lists at {LISTS}")
        return
    halves = {"days it was made on": days[::2], "the days between": days[1::2]}
    excerpts: dict[str, Callable[[Paper], str]] = {
        "first sentences": lambda paper: snippet(paper.abstract, LIMIT),
        "the finding": lambda paper: find_finding(paper.title, paper.abstract, LIMIT),
    }
    print(f"Finding: ROUGE-1 F against the summary of Hugging Face, at most {LIMIT} characters ({WANTED} wanted)")
    for name, half in halves.items():
        papers = [paper for day in half for paper in day]
        for what, excerpt in excerpts.items():
            score, length, longest = measured(papers, excerpt)
            print(f"{name:<21}{what:<17}{score:.3f}  {len(papers)} papers, {length:.0f} characters, {longest} at most")


if __name__ == "__main__":
    main()
