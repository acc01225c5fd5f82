"""Find the sentences of an abstract that say what the paper found or made. Pure: no I/O.

An abstract begins with background, so its first sentences are a bad summary. Every sentence gets points:

* for words that it shares with the title, and with the abstract's other sentences: it is about the same thing;
* for the first phrase like "we propose", "this paper presents" or "here we show", for the section "Results:" or
  "Conclusions:", and for a length that leaves room for content;
* less for background ("however", "recent", "existing"), for what comes before that phrase or the results, for where the
  code is, and the further down it is.

The best sentence is the excerpt; if it is short, the next best one joins it, in the abstract's order.

The weights are from a linear regression of ROUGE-1 F against the one-sentence summaries of Hugging Face, on half of 28
recorded days, rounded by hand, and moved a little towards what readers want: the contribution rather than what leads
to it. `make eval` prints the measure on both halves.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

from digest.papers.text.clean import truncate
from digest.papers.text.fit import sentence_ends

_MAX_ABSTRACT = 6_000  # characters that are looked at; one in a thousand abstracts has more than 3,000
_SHORT = 200  # characters: another sentence joins a shorter one
_MAX_BEHIND = 0.1  # points: the other sentence is at most so much worse than the best one
_CUT = 0.05  # points off a sentence that is longer than the limit, and would have to be cut

# The sections of structured abstracts.
_SECTION = re.compile(
    r"(?:(?P<before>Background|Introduction|Motivation|Rationale|Context|Objectives?|Aims?|Purpose|Importance|Methods?"
    r"|Materials and methods|Methodology|Design|Setting|Participants|Patients|Measurements)"
    r"|(?P<found>Results and conclusions?|(?:Main |Key )?(?:Results?|Findings?)|Conclusions?|Interpretation"
    r"|Significance|Discussion|Summary))(?:\s?[:.—–|]\s*|\s-\s|\s(?=[A-Z])|$)",
    re.IGNORECASE,
)
_CONTRIBUTION = re.compile(
    r"\b(?:we|this (?:paper|work|study|article|report|survey|review)|the authors|here)\b(?:[\s,]+\w+){0,3}?\s"
    r"(?:propos|present|introduc|develop|design|describ|creat|buil[dt]|construct|releas|formulat|devis|establish|unveil)"
    r"|\bin this (?:paper|work|study|article|report|survey|review)\b|\bhere,? we\b"
    r"|\b(?:is|are) (?:proposed|introduced|presented|developed)\b",
    re.IGNORECASE,
)
_FINDING = re.compile(
    r"\b(?:we|this (?:paper|work|study|article)|(?:our|the|these) (?:results?|findings?|experiments?|data|analys[ei]s))"
    r"\b(?:\s\w+){0,2}?\s(?:show|find|found|demonstrat|reveal|prove|observ|discover|identif|report|indicat|suggest"
    r"|argue|stud|investigat|analy|explor|evaluat|examin|confirm|establish|support)",
    re.IGNORECASE,
)
_BACKGROUND = re.compile(
    r"\b(?:however|recent(?:ly)?|existing|despite|remain(?:s|ed|ing)?|challeng\w+|typically|often|ha(?:s|ve) been"
    r"|ha(?:s|ve) (?:shown|achieved|emerged|become|made)|current|prior|previous|traditional|conventional|limited"
    r"|limitations?|fail(?:s|ed)?|suffers?|struggles?|bottlenecks?|poorly understood|largely unknown)\b",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"https?://|\b(?:publicly|freely) (?:available|released)|\b(?:code|data\w*|models?) (?:is|are|will be) available",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w+")
# Words that say nothing about the subject, although titles and sentences share them.
_STOP_WORDS = frozenset(
    """a about above after again all also although an and any are as at be because been before being between both but
    by can cannot could did do does each either few for from further had has have having here how however i if in into
    is it its itself just may might more most must no nor not now of off on once only or other our out over own per same
    several should since so some such than that the their them then there these they this those through thus to too
    under until up upon us using very via was we were what when where whether which while who whom why will with within
    without would approach based method methods model models paper propose proposed results show study work""".split()
)


@lru_cache(maxsize=4096)
def find_finding(title: str, abstract: str, limit: int) -> str:
    """Return one or two whole sentences of an abstract that say what it found, at most `limit` characters in all.

    A sentence that is longer than `limit` and better than all others is cut after a word, with "…".
    """
    sentences, sections = _split(abstract[:_MAX_ABSTRACT])
    if not sentences:
        return ""
    points = _points(title, sentences, sections)
    fitting = [score - _CUT * (len(text) > limit) for text, score in zip(sentences, points, strict=True)]
    best = max(range(len(sentences)), key=fitting.__getitem__)
    if len(sentences[best]) >= _SHORT:
        return truncate(sentences[best], limit)
    room = limit - len(sentences[best]) - 1
    others = [n for n, text in enumerate(sentences) if n != best and len(text) <= room]
    other = max(others, key=points.__getitem__, default=best)
    chosen = {best, other} if points[other] >= points[best] - _MAX_BEHIND else {best}
    return truncate(" ".join(sentences[n] for n in sorted(chosen)), limit)


def _split(abstract: str) -> tuple[list[str], list[str]]:
    """Return the sentences without the names of sections, and for each the section: "before", "found" or ''."""
    sentences, sections, section, start = [], [], "", 0
    for end in (*sentence_ends(abstract), len(abstract)):
        text = abstract[start:end].strip()
        start = end
        if (label := _SECTION.match(text)) and not text[label.end() :][:1].islower():
            section, text = label.lastgroup or "", text[label.end() :]
        if text:
            sentences.append(text)
            sections.append(section)
    return sentences, sections


def _points(title: str, sentences: Sequence[str], sections: Sequence[str]) -> list[float]:
    words = [_content_words(text) for text in sentences]
    in_title = _content_words(title)
    frequency = Counter(word for found in words for word in found)
    first = _first_contribution(sentences)
    count = len(sentences)
    points = []
    for n, (text, found) in enumerate(zip(sentences, words, strict=True)):
        central = sum(frequency[word] - 1 for word in found) / max(1, len(found)) / count
        score = 0.75 * central + 0.22 * len(in_title & found) / max(1, len(in_title))
        score += 0.1 * min(1, len(text) / 340) - 0.07 * max(0, 1 - len(text) / 80) - 0.03 * n / max(1, count - 1)
        score += 0.07 * (n == first) - 0.03 * (n < first)
        score -= 0.03 * bool(_BACKGROUND.search(text)) + 0.03 * bool(_CODE.search(text))
        points.append(score + {"before": -0.05, "found": 0.05}.get(sections[n], 0))
    return points


def _first_contribution(sentences: Sequence[str]) -> int:
    """Return the number of the first sentence that states a contribution, else of the first that states a finding."""
    matches: Iterator[int] = (
        n for pattern in (_CONTRIBUTION, _FINDING) for n, text in enumerate(sentences) if pattern.search(text)
    )
    return next(matches, -1)


def _content_words(text: str) -> frozenset[str]:
    return frozenset(w for w in _WORD.findall(text.lower()) if len(w) > 1) - _STOP_WORDS
