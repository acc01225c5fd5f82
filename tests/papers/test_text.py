"""Foreign text: what is converted, what stays as it is, and what is always removed."""

import json
import lzma
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wcwidth import iter_graphemes

from digest.papers.text import latex_tables
from digest.papers.text.clean import clean, display_width
from digest.papers.text.fit import header_text, headline, snippet, wrap
from digest.papers.text.readable import fold_title, readable

DATA = Path(__file__).parents[1] / "data"
SHARED = Path(__file__).resolve().parents[3] / "shared"
GOLDEN = [json.loads(line) for line in (DATA / "text_golden.jsonl").read_text(encoding="utf-8").splitlines()]

TEX = "\\{}$^_~`'\"-&%#<>[]()|*=? abcdHkuvnot012.,;:"
FRAGMENTS = [*TEX, *r"""
\frac \emph{ \text{$ \cite{ \left \over \[ \] $$ `` '' -- <i> </i> <sub> </sub> &amp; &#x202e; \" \' \'{ \v \begin{
https:// C:\
""".split()]  # fmt: skip
FRAGMENTS += [
    "\u0301",
    "\u200d",
    "\u202e",
    "\ufe0f",
    "👩",
    "\x00",
    "\r\n",
    "\ud800",
    "\ue000",
    "\U000f0000",
    "語",
    "。",
    "é",
]
anything = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=())),  # lone surrogates, too
    st.text(alphabet=TEX, max_size=300),
    st.lists(st.sampled_from(FRAGMENTS), max_size=80).map("".join),
)
every = settings(deadline=None, max_examples=100)


def letters(text: str) -> str:
    """Return the letters and digits, compatibility characters (², ℝ) decomposed, without case and accents."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(char for char in plain if char.isalnum())


# ---- golden ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", GOLDEN, ids=[line["in"][:30].encode("unicode_escape").decode() for line in GOLDEN])
def test_a_tricky_text_is_converted_as_recorded(line: dict[str, str]) -> None:
    assert readable(line["in"]) == line["out"]


def test_there_are_sixty_tricky_texts() -> None:
    assert len({line["in"] for line in GOLDEN}) >= 60


@pytest.mark.parametrize("line", GOLDEN, ids=str)
def test_readable_text_is_printable(line: dict[str, str]) -> None:
    assert all(harmless(char) for char in readable(line["in"]))


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        ('Schr\\"odinger', "Schrödinger"),
        ("Erd\\H{o}s--R\\'enyi", "Erdős–Rényi"),
        ("\\v{S} \\c c \\aa \\o \\ss \\l \\i \\`e \\~n \\u{g} \\k{a} \\.z", "Š ç å ø ß ł ı è ñ ğ ą ż"),
        ("$\\beta$-VAE, $\\chi^2$, H$_2$O", "β-VAE, χ², H₂O"),
        ("$\\mathcal{O}(n \\log n)$", "𝒪(n log n)"),
        ("$x_{i+1}^{2}$ $\\mathbb{R}^{m\\times n}$ $\\|x\\|_2$", "xᵢ₊₁² ℝ^(m×n) ‖x‖₂"),
        ("\\emph{a} \\textbf{b} \\textit{c} {\\it d} \\texttt{a\\_b}", "a b c d a_b"),
        ("\\href{https://a.org}{t} \\url{https://b.org}", "t https://b.org"),
        (
            "\\leq \\geq \\neq \\approx \\sim \\times \\cdot \\pm \\to \\infty \\in \\subset \\cup",
            "≤ ≥ ≠ ≈ ∼ × · ± → ∞ ∈ ⊂ ∪",
        ),
        ("\\nabla \\partial \\sum \\prod \\int \\ell \\dots \\ldots \\langle \\rangle", "∇ ∂ ∑ ∏ ∫ ℓ … … ⟨ ⟩"),
        ("$\\alpha\\varepsilon\\vartheta\\varphi\\Gamma\\Omega$", "αεϑφΓΩ"),
        ("$x^k$ $x^q$ $x^{ab}$ $x^{a,b}$", "xᵏ x^q xᵃᵇ x^(a,b)"),
    ],
)
def test_the_commands_that_titles_contain_are_converted(tex: str, text: str) -> None:
    assert readable(tex) == text


@pytest.mark.parametrize(
    "text",
    [
        "Earn $1 Million with prompts that cost $2",
        "from $5 to $7",
        "C:\\path\\new",
        "\\method and \\eg",
        "\\unknown{as it is}",
        "^\\w+@\\w+\\.com$",
        "p<0.05 and <think> and x > y",
        "--option, ~5, ~/path, a_b, a*b*c, 2**3**4, #1, 100%, R&D",
        "https://example.org/~a/b--c_d?e=``f",
        "{0,1}^n and {name}",
    ],
)
def test_text_without_markup_does_not_change(text: str) -> None:
    assert readable(text) == text


def test_entities_are_decoded_once() -> None:
    assert readable("&amp;lt; &lt;b&gt; &#39; &nbsp;x") == "&lt; <b> ' x"


def test_private_characters_in_the_text_are_not_taken_for_markers() -> None:
    assert readable("a\ue000b \U000f0000 &#xF0000; &#xE001; $n\\log n$ https://x.org") == "ab n log n https://x.org"


# ---- properties ------------------------------------------------------------------------------------------------------


def harmless(char: str) -> bool:
    """Return whether a character is printable or a joiner: no control, bidi mark, surrogate or private character."""
    return unicodedata.category(char)[0] != "C" or char in "\u200c\u200d"


@every
@given(anything)
def test_any_text_is_accepted_and_invisible_characters_are_removed(text: str) -> None:
    for made in (clean(text), readable(text), snippet(text, 40), header_text(text)):
        made.encode()
        assert all(harmless(char) for char in made)
        assert made == " ".join(made.split())
        assert not re.search("[\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\u3164\u034f]", made)


@every
@given(anything)
def test_clean_text_is_in_nfc_and_cleaning_it_again_changes_nothing(text: str) -> None:
    cleaned = clean(text)
    assert unicodedata.is_normalized("NFC", cleaned)
    assert clean(cleaned) == cleaned


@every
@given(st.text(alphabet=TEX.replace("$", ""), max_size=120))
def test_any_text_can_be_measured_folded_and_wrapped(text: str) -> None:
    assert display_width(text) >= 0
    assert fold_title(text).isalnum() or fold_title(text) == ""
    assert wrap(text, 10) == wrap(" ".join(text.split()), 10)


@every
@given(st.lists(st.text(alphabet="abcxyzABCXYZ0123456789,.;:!?", min_size=1, max_size=12), min_size=1))
def test_plain_words_do_not_change(words: list[str]) -> None:
    assert readable(" ".join(words)) == " ".join(words)


@every
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["W7", "4", "WW", "é9", "語"]), st.sampled_from([*"\\{}$^_~`'\"-<>[]()*%& ", "``", "$$"])
        ),
        max_size=40,
    )
)
def test_letters_and_digits_between_any_signs_are_kept(pieces: list[tuple[str, str]]) -> None:
    text = "".join(sign + word for word, sign in pieces)
    assert letters(readable(text)) == letters(text)


@every
@given(st.text(alphabet="abcxyz019 +-=,()", max_size=40))
def test_a_formula_keeps_its_letters(body: str) -> None:
    text = f"$\\alpha {{{body}}}^{{{body}}} \\leq \\frac{{{body}}}{{2}}$"
    assert Counter(letters(readable(text))) == Counter(letters(f"α {body} {body} {body} 2"))


@every
@given(st.text(alphabet="abc $\\{}_^'`\"~-é", max_size=60))
def test_ordinary_text_stops_changing_after_the_second_conversion(text: str) -> None:
    """The second one may still convert what the first one has uncovered (`\\$x\\$`)."""
    twice = readable(readable(text))
    assert letters(readable(twice)) == letters(twice)


# ---- hostile ---------------------------------------------------------------------------------------------------------

HOSTILE = [
    *r"""{ $ \ `` \" \emph{ \bar ^{ \( [ ~a -- **a""".split(),
    "$a ",
    '<a x="',
    "A. ",
    "\u0316\u0301",
    "👩\u200d",
]
MORE = r"""
} ` '' ^_ \d \'{ \frac \left \begin{equation} \sqrt[ \cite{ \H{ \unknown{ {a} $$ < &#x41; [a]( **a http:// C:\ =? 語
""".split()
MORE += ["\\over ", "\\v ", "<i ", "\u200d", "\xe2\x80", "\ud800", "e.g. "]


@pytest.mark.parametrize("unit", HOSTILE, ids=ascii)
def test_hostile_text_of_200_kilobytes_is_converted(unit: str) -> None:
    """No time is measured: at this size, anything quadratic takes minutes."""
    text = (unit * 200_000)[:200_000]
    readable.__wrapped__(text).encode()
    assert len(snippet(text, 300)) <= 300


@pytest.mark.parametrize("unit", ["a ", "語", "\u0301 ", "\u200d "], ids=ascii)
def test_hostile_text_of_200_kilobytes_is_wrapped_and_folded(unit: str) -> None:
    text = (unit * 200_000)[:200_000]
    assert len(wrap(text, 72)) < 200_000
    assert len(fold_title(text)) <= 200_000


@pytest.mark.parametrize("nested", ["{", "\\emph{", "$^{", "\\frac{1}{", "{\\it ", "\\unknown{"])
def test_groups_nested_too_deeply_are_text(nested: str) -> None:
    text = nested * 10_000 + "x" + "}" * 10_000
    assert "x" in readable.__wrapped__(text)


def calls(work: Callable[[str], object], text: str) -> int:
    """Count the function calls that `work` makes for a text."""
    count = 0

    def entered(_frame: FrameType, event: str, _arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(entered)
    try:
        work(text)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("unit", [*HOSTILE, *MORE], ids=ascii)
def test_twice_the_text_is_twice_the_work(unit: str) -> None:
    once, twice = (calls(readable.__wrapped__, unit * n) for n in (400, 800))
    assert twice <= 2.2 * once + 100


# ---- snippets --------------------------------------------------------------------------------------------------------


def test_a_snippet_ends_with_a_sentence() -> None:
    text = "We show a thing. It is good. And then it goes on for quite a while without an end"
    assert snippet(text, 40) == "We show a thing. It is good."


def test_a_snippet_without_a_sentence_end_near_its_limit_ends_with_a_word() -> None:
    assert snippet("Short. And then there is a long sentence that goes on", 30) == "Short. And then there is a…"


@pytest.mark.parametrize(
    "text",
    [
        "We compare it with the work of Smith et al. They were first to do it",
        "We compare it with other things, e.g. Transformers of all the sizes",
        "We compare it with the one that is in Fig. A and it is worse than it",
        "We compare the old model of ours vs. Something of theirs, and we win",
        "We follow the well-known advice of J. Random Hacker in all of this",
        "We come to an average improvement of 3.5 Points over the baselines",
    ],
)
def test_an_abbreviation_ends_no_sentence(text: str) -> None:
    assert all(snippet(text, limit).endswith("…") for limit in range(30, 60))


def test_a_chinese_snippet_ends_with_a_sentence_or_after_any_character() -> None:
    assert snippet("我们提出了一种新方法。它很好。而且还有更多的内容在后面", 20) == "我们提出了一种新方法。它很好。"
    assert snippet("我们提出了一种新方法而且还有更多的内容在后面", 10) == "我们提出了一种新方…"


def test_a_headline_ends_with_a_word_that_says_something() -> None:
    assert headline("Video-MME-v2: Towards the Next Stage in Benchmarks for the Rest", 58) == (
        "Video-MME-v2: Towards the Next Stage in Benchmarks…"
    )
    assert headline("On the", 40) == "On the"


def test_a_word_longer_than_the_snippet_is_cut() -> None:
    assert snippet("an " + "x" * 5000, 10) == "an xxxxxx…"


@every
@given(st.one_of(anything, st.text(alphabet="ab. e\u0301👩\u200d🏽語。", max_size=80)), st.integers(-1, 60))
def test_a_snippet_is_the_start_of_the_text_and_cuts_no_grapheme(text: str, limit: int) -> None:
    whole, short = clean(text), snippet(text, limit)
    assert len(short) <= max(0, limit)
    if short != whole and limit > 0:
        kept = short.removesuffix("…")
        assert whole.startswith(kept)
        places = [len("".join(list(iter_graphemes(whole))[:n])) for n in range(len(list(iter_graphemes(whole))) + 1)]
        assert len(kept) in places


# ---- headers ---------------------------------------------------------------------------------------------------------


def test_mathematical_letters_become_plain_ones() -> None:
    assert header_text("$\\mathcal{O}(n)$ in $\\mathbb{R}^2$, $\\ell_1$ and 𝐛𝐨𝐥𝐝 x²") == "O(n) in R², l₁ and bold x²"


def test_an_encoded_word_is_broken_up() -> None:
    assert header_text("=?utf-8?q?hi=0ABcc=3A_evil?=") == "= ?utf-8?q?hi=0ABcc=3A_evil? ="


def test_a_long_subject_is_cut_at_a_word() -> None:
    assert header_text("word " * 40, 19) == "word word word…"


@every
@given(st.one_of(anything, st.text(alphabet="=?utf-8qbQB_0ADcc:\r\n evil", max_size=80)), st.integers(1, 200))
def test_any_subject_is_a_single_header(text: str, limit: int) -> None:
    subject = header_text(text, limit)
    assert len(subject) <= limit
    assert "=?" not in subject
    message = EmailMessage(policy=policy.SMTP)
    message["Subject"] = subject
    sent = message_from_bytes(message.as_bytes(), policy=policy.default)
    assert sent.keys() == ["Subject"]


# ---- columns ---------------------------------------------------------------------------------------------------------


def test_east_asian_characters_and_emoji_take_two_columns() -> None:
    assert [display_width(text) for text in ("", "abc", "語学", "e\u0301", "👩\u200d💻", "a\x1bb")] == [
        0,
        3,
        4,
        1,
        2,
        2,
    ]


def test_text_is_wrapped_with_its_indent_and_addresses_stay_whole() -> None:
    url = "https://example.org/" + "x" * 30
    assert wrap(f"1 two three four {url} end", 16, "   ", "1. ") == ["1. 1 two three", "   four", f"   {url}", "   end"]


def test_chinese_is_wrapped_between_characters_but_not_before_a_stop() -> None:
    assert wrap("我们提出了一种，新方法（很好）。", 14) == ["我们提出了一", "种，新方法（很", "好）。"]


def test_no_text_is_no_line() -> None:
    assert wrap("", 72) == wrap(" \n", 72, "  ", "1. ") == []


@every
@given(anything, st.integers(1, 40))
def test_wrapping_loses_nothing_and_keeps_the_width(text: str, width: int) -> None:
    text = clean(text)
    lines = wrap(text, width, "  ")
    assert "".join("".join(lines).split()) == "".join(text.split())
    for line in lines:
        assert display_width(line) <= width or " " not in line.strip()
    for line, following in pairwise(lines):
        first = following.split()[0]
        assert display_width(line) + 1 + display_width(first) > width or not first.isascii() or not line.isascii()


# ---- fold ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Schr\\\"odinger's Cat", "SCHRÖDINGERS CAT"),
        ("$\\beta$-VAE: A Study", "β-VAE - a study"),
        ("Straße, Łódź, Ærø & cœur", "STRASSE, Lodz, Aero and coeur".replace("and ", "")),
        ("H$_2$O in $\\mathbb{R}^2$", "H2O in R2"),
        ("ﬁne-tuning", "Fine tuning"),
        ("The {BERT} model", "the bert model"),
    ],
)
def test_titles_that_differ_only_in_form_are_folded_to_the_same_text(one: str, other: str) -> None:
    assert fold_title(one) == fold_title(other) != ""


def test_letters_of_every_script_are_kept() -> None:
    assert fold_title("深層 学習! Ελλάς") == "深層学習ελλασ"


@every
@given(anything)
def test_a_folded_title_has_only_letters_and_digits_and_folding_it_again_changes_nothing(text: str) -> None:
    folded = fold_title(text)
    assert all(char.isalnum() for char in folded)
    assert fold_title(folded) == folded


# ---- real papers -----------------------------------------------------------------------------------------------------

_COMMANDS = {**latex_tables.COMMON_MACROS, **latex_tables.SYMBOLS, **latex_tables.FUNCTIONS, **latex_tables.LETTERS}
_NOT_PRINTED = re.compile(
    r"\\(?:href|textcolor|color|label|[hv]space\*?|begin|end)\s*\{[^{}]*\}|(?<=\\cite)\[[^\]]*\]|</?(?:br|p|i|b|sub|sup)\s*/?>",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:#\d+|[a-z]+);")
_ACCENT = re.compile(r"""\\(?:["'`^~][aeiou]|["'`^~]\{\\?[aeiou]\}|[vH]\{[a-z]\}|c\{c\}|[Hvc] [a-z]\b)""")


def papers() -> Iterator[str]:
    """Yield the titles, abstracts and names of 3,000 records, evenly spread, and of every daily list."""
    records: list[dict[str, Any]] = []
    with lzma.open(SHARED / "papers" / "arxiv-cs-20k.jsonl.xz", "rt", encoding="utf-8") as lines:
        records += [json.loads(line) for number, line in enumerate(lines) if number % 20 in (0, 7, 13)]
    records += map(json.loads, (SHARED / "papers" / "listing.jsonl").read_text(encoding="utf-8").splitlines())
    for path in sorted((SHARED / "upstream" / "huggingface" / "daily_papers").glob("*.json")):
        for entry in json.loads(path.read_text(encoding="utf-8")):
            listed = entry.get("paper", entry)
            names = [author.get("name", "") for author in listed.get("authors", [])]
            records.append({"title": listed.get("title"), "abstract": listed.get("summary"), "authors": names})
    for record in records:
        yield from (record.get("title") or "", record.get("abstract") or "", *record.get("authors", ()))


def letters_with_commands(text: str) -> Counter[str]:
    """Count the letters of a text, with commands replaced by their characters, and entities removed."""
    text = re.sub(r"\\([A-Za-z]+)", lambda found: f" {_COMMANDS.get(found[1], '')} ", _ENTITY.sub("", text))
    return Counter(char for char in letters(text) if char not in "ıȷ")


@pytest.mark.skipif(not (SHARED / "papers").is_dir(), reason="needs ../shared/papers beside the checkout")
def test_real_papers_lose_their_accents_and_nothing_else() -> None:
    """Letters are counted before and after: those that are missing were markup."""
    for text in papers():
        if (made := readable(text)) != clean(text):
            assert not _ACCENT.search(made), made
            assert not letters_with_commands(_NOT_PRINTED.sub(" ", clean(text))) - letters_with_commands(made), text
