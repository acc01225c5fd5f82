r"""LaTeX as people write it in titles and abstracts, typeset as plain Unicode; what is not understood stays as it is.

No library does this safely. Of the five measured, pylatexenc deletes `\texttt{…}` and eats "$5 … $7", unicodeit makes
`łog` of `\log`, and the others leave formulas alone. The reader below goes over a text once. Groups are paired before,
and those nested deeper than anybody writes are text, so hostile input costs linear time and little stack.
"""

import re
import unicodedata

from digest.papers.text import latex_tables as tex
from digest.papers.text.latex_tables import script

_STRUCTURE = re.compile(
    r"\\(?:begin|end)\{(?:equation|align|eqnarray|displaymath|math|multline|gather)\*?\}|\\.|\$\$?|[{}]", re.DOTALL
)
_LONGEST = 2_000  # characters of a formula


class Pairs:
    """`closes`: where the group ends that opens at a place. `formulas`: where one starts, stops, and what follows."""

    def __init__(self, text: str) -> None:
        self.closes: dict[int, int] = {}
        self.formulas: dict[int, tuple[int, int, int]] = {}
        self._text = text
        self._dollar = self._bracket = ("", 0, 0, -1)  # an opening sign, where it is and ends, and in which group
        groups = [-1]
        for found in _STRUCTURE.finditer(text):
            sign, at = found[0], found.start()
            if sign == "{":
                groups.append(at)
            elif sign == "}" and len(groups) > 1:
                self.closes[groups.pop()] = at
            elif sign[0] == "$":
                self._inline(sign, at, groups[-1])
            elif sign[1:2] in tuple("()[]be"):
                self._display(sign, at, groups[-1])

    def _inline(self, sign: str, at: int, group: int) -> None:
        """Close the formula that is open in this group, if it is one, or open one. `$x$$y$` is two formulas."""
        opened, start, inner, outer = self._dollar
        self._dollar = (sign, at, at + len(sign), group)
        if opened and outer == group and sign.startswith(opened):
            after = at + len(opened)
            if is_formula(self._text[inner:at], self._text[after : after + 1]):
                self.formulas[start] = (inner, at, after)
                self._dollar = ("$", after, after + 1, group) if opened != sign else ("", 0, 0, -1)

    def _display(self, sign: str, at: int, group: int) -> None:
        """`\\[…\\]`, `\\(…\\)` and environments, within one group."""
        opened, start, inner, outer = self._bracket
        if sign in ("\\(", "\\[") or sign.startswith("\\begin"):
            self._bracket = (sign, at, at + len(sign), group)
        elif opened and sign == {"(": "\\)", "[": "\\]"}.get(opened[1], f"\\end{opened[6:]}"):
            if outer == group and self._text[inner:at].strip():
                self.formulas[start] = (inner, at, at + len(sign))
            self._bracket = ("", 0, 0, -1)


_TEX = re.compile(r"[\\^_{]")
_WORD_PAIR = re.compile(r"(?<![A-Za-z\\])[a-z]{2,}[ ,]+[a-z]{2,}(?![A-Za-z])")
_THREE_WORDS = re.compile(r"(?<![A-Za-z\\])[a-z]{2,}[ ,]+[a-z]{2,}[ ,]+[a-z]{2,}(?![A-Za-z])")
_SPELLED = re.compile(r"\\(?:text|mbox|hbox|mathrm|rm|operatorname)")
_TWO_WORDS = re.compile(r"(?<![A-Za-z])[A-Za-z]{3,} +(?:\S{1,20} +)?[A-Za-z]{3,}")
_AMOUNT = re.compile(r"[\d.,]+\S*\s.*[A-Za-z]{2}")
_NO_VARIABLE = re.compile(r"[A-Za-z]{2}|^ *[\d.,]+ *$")


def is_formula(body: str, after: str) -> bool:
    """Whether what two dollars enclose is a formula, and not what is said between two sums of money.

    With TeX in it, it is one unless it reads like a sentence. Without, it must sit tight between its dollars, have no
    two words in a row, and no digit behind it: "from $5 to $7" is no formula, `$n$th` and `$O(n log n)$` are.
    """
    if not body.strip() or len(body) > _LONGEST:
        return False
    first, last = body[0].isspace(), body[-1].isspace()
    if _TEX.search(body):
        money = body[0].isdigit() and last and after.isdigit()
        loose = last and not first and _WORD_PAIR.search(body)
        return not money and (bool(_SPELLED.search(body)) or not (loose or _THREE_WORDS.search(body)))
    if not any(char.isalnum() for char in body):
        return len(body.strip()) <= 4
    if after.isdigit() or _TWO_WORDS.search(body) or _AMOUNT.match(body):
        return False
    if first or last:
        return first and last and not _NO_VARIABLE.search(body)
    return not after.isalpha() or len(body) <= 3 or any(char in "=<>(" for char in body)


__all__ = ["script", "typeset"]

_DEEPEST = 12  # groups within groups; abstracts go to 5
_LONGEST_CHAIN = 5  # commands that are arguments of each other without braces: `^\\frac\\pi2`

_NAME = re.compile(r"\\([A-Za-z]+|.|$)", re.DOTALL)
_PLAIN = re.compile(r"[^\\{}$^_]+")
_SIGNS = re.compile(r"[^\\{}^_'~]+")
_OPTION = re.compile(r"\*?(?:\[([^\[\]]{0,80})\]){0,2}")
_SINGLE = re.compile(r" ?(?:[A-Za-z0-9](?![A-Za-z])|\\)")
_UNSCRIPTED = frozenset((*" [(\"'`", ""))  # before a `^` or `_` that is no script
_BARE_ACCENTS = {".": tuple("zZeEI"), "=": tuple("aeiouAEIOU")}  # else `\\.com` is a regular expression
_RELATIONS = frozenset("=<>+-*/:|~")  # a space before one of these is kept
_ESCAPED = frozenset("{}%$#&_")
_GAPS = frozenset(" ,;:")


def typeset(text: str) -> str:
    """`text` with its LaTeX as Unicode. Expects it as `digest.text.clean` leaves it. Never raises; linear in time."""
    return tex.settled(_Reader(text).words())


class _Reader:
    """Reads a text from left to right: words, in them formulas, and in those words again."""

    def __init__(self, text: str) -> None:
        pairs = Pairs(text)
        self.text, self.closes, self.formulas = text, pairs.closes, pairs.formulas

    def words(self, at: int = 0, end: int | None = None, depth: int = 0) -> str:
        """Text outside of formulas."""
        end = len(self.text) if end is None else end
        if depth > _DEEPEST:
            return self.text[at:end]
        out: list[str] = []
        while at < end:
            char = self.text[at]
            if found := _PLAIN.match(self.text, at, end):
                piece, at = found[0], found.end()
            elif at in self.formulas and self.formulas[at][2] <= end:
                start, stop, at = self.formulas[at]
                piece = self._part(start, stop, depth)
            elif char == "\\":
                piece, at = self._word_command(at, end, depth)
            elif char == "{" and at in self.closes:
                piece, at = self._group(at, depth)
            elif char in "^_" and at + 1 in self.closes and self.text[at - 1 : at] not in _UNSCRIPTED:
                piece, at = self._script(at, end, depth)
            else:
                piece, at = char, at + 1
            out.append(piece)
        return "".join(out)

    def formula(self, at: int, end: int, depth: int) -> str:
        """A formula or a part of one, its joints still open (see `settled`)."""
        if depth > _DEEPEST:
            return self.text[at:end]
        out: list[str] = []
        while at < end:
            char = self.text[at]
            if found := _SIGNS.match(self.text, at, end):
                piece, at = found[0], found.end()
            elif char == "\\":
                name, after = self._name(at, end)
                if name in ("over", "choose"):
                    above, below = tex.settled("".join(out)), self._part(after, end, depth)
                    return tex.stacked("frac" if name == "over" else "binom", above.strip(), below)
                if name in ("rfloor", "rceil", "rangle") and out:
                    out[-1] = out[-1].rstrip()
                piece, at = self._command(name, after, end, depth, spaced=bool(out) and out[-1].endswith(" "))
            elif char in "^_":
                piece, at = self._script(at, end, depth)
            elif char == "{" and at in self.closes:
                piece, at = self.formula(at + 1, self.closes[at], depth + 1), self.closes[at] + 1
            else:
                tied = char == "~" and self.text[at - 1 : at + 2] != " ~ "  # with spaces it is a relation
                piece, at = "′" if char == "'" else " " if tied else char, at + 1
            out.append(piece)
        return "".join(out)

    def _group(self, at: int, depth: int) -> tuple[str, int]:
        """Braces around an accent, a switch or the capitals of a name go; those of sets, templates and code stay."""
        close = self.closes[at]
        inner = self.words(at + 1, close, depth + 1)
        before, after = self.text[at - 1 : at] or " ", self.text[close + 1 : close + 2]
        name, ends = self._name(at + 1, close) if self.text[at + 1] == "\\" else ("", at + 2)
        if name in tex.ACCENTS or name in tex.LETTERS or name in tex.SILENT:
            return inner, close + 1
        single = len(inner) == 1 and ends == close and (name or (inner.isascii() and not inner.isalnum()))
        if single or (not inner.strip() and (before.isalpha() or before == "{")):
            return inner.strip(), close + 1
        starts = before in ' -(“`/"'
        within = inner.isalpha() and after.isascii() and after.islower() and (starts or before.isalpha())
        title = inner.isalpha() and not inner.islower() and len(inner) > 2 and starts and after not in tuple("_^{")
        return inner if within or title else f"{{{inner}}}", close + 1

    def _word_command(self, at: int, end: int, depth: int) -> tuple[str, int]:
        """A command among words: an accent, a letter, an escaped character, or what it is in formulas too."""
        name, after = self._name(at, end)
        before, behind = self.text[at - 1 : at] if at else " ", self.text[after : after + 1] or " "
        if name in tex.ACCENTS and (accented := self._accent(name, after, end, depth)):
            return accented
        if name in tex.LETTERS and behind not in tuple("(_^"):  # `\\L(M)` is an author's own command
            return tex.LETTERS[name], self._past(after, end, spaces=self.text[after + 1 : after + 2].islower())
        if name.isalpha() and (
            name not in tex.ARITY or name in tex.ALPHABETS or after in self.closes or _SINGLE.match(self.text, after)
        ):
            return self._command(name, after, end, depth, prose=True)
        if name in _ESCAPED:
            return name, after
        if name in _GAPS or (name == "\\" and (behind == " " or (before != " " and behind.isupper()))):
            return " ", after
        if (name == "-" and before.isalpha() and behind.isalpha()) or (name == "/" and not behind.isalnum()):
            return "", after
        return f"\\{name}", after

    def _accent(self, name: str, at: int, end: int, depth: int) -> tuple[str, int] | None:
        """The letter that follows with its accent, if Unicode has the two as one character; else None."""
        behind = self.text[at : at + 1]
        if name.isalpha() and behind not in (" ", "{", "\\"):
            return None
        if behind == "\\" and self._name(at, end)[0] not in tex.LETTERS:
            return None
        if behind == " " and not name.isalpha() and self.text[at + 1 : at + 2] not in tuple("aeiouy"):
            return None
        if name in _BARE_ACCENTS and behind != "{" and behind not in _BARE_ACCENTS[name]:
            return None
        start, stop, after = self._argument(at, end)
        if stop - start > 12:  # a letter, perhaps with an accent of its own; so nothing long is read twice
            return None
        inner = self.words(start, stop, depth + 1)
        if not inner and name in "~^" and after > at:
            return name, after
        whole = unicodedata.normalize("NFC", {"ı": "i", "ȷ": "j"}.get(inner[:1], inner[:1]) + tex.ACCENTS[name])
        return (whole + inner[1:], after) if len(whole) == 1 and whole.isalpha() else None

    def _command(
        self, name: str, at: int, end: int, depth: int, *, spaced: bool = False, prose: bool = False
    ) -> tuple[str, int]:
        """What a command draws, and where it ends with all its arguments; `at` is behind its name.

        TeX swallows the space behind a command. Where there is one in front too, `a \\leq b`, both are kept.
        """
        symbol = tex.SYMBOLS.get(name) or (None if prose else tex.HABITS.get(name))
        if symbol:
            return symbol, self._past(at, end, spaces=not (spaced or prose or self._related(symbol, at + 1, end)))
        if name in tex.FUNCTIONS:
            return f"{tex.JOINT}{tex.FUNCTIONS[name]}{tex.JOINT}", at
        if name in tex.SILENT and name not in tex.ALPHABETS:
            dot = name in ("left", "right") and self.text.startswith(".", at)
            return "", self._past(at + dot, end)
        if name in tex.SPACES or name in _GAPS or name == "\\":
            return " ", at
        if not name.isalpha():
            return {"|": "‖", "!": "", "-": "", "/": ""}.get(name, name if name in _ESCAPED else f"\\{name}"), at
        return self._aside(name, at, end, depth) or self._drawn(name, at, end, depth, prose) or self._unknown(
            name, at, depth, prose
        )  # fmt: skip

    def _related(self, symbol: str, at: int, end: int) -> bool:
        """Whether a relation or operator follows: before it the author's space is kept, `\\tau = \\eta \\in X`."""
        if self.text.startswith("\\", at):
            return symbol.isalpha() and not tex.SYMBOLS.get(self._name(at, end)[0], "x").isalpha()
        return self.text[at : at + 1] in _RELATIONS

    def _aside(self, name: str, at: int, end: int, depth: int) -> tuple[str, int] | None:
        """A citation as its key in brackets, a link as its words, a note in parentheses; labels and sizes go."""
        if name == "item":
            return "• ", self._past(at, end)
        at = self._option(at)[1]
        close = self.closes.get(at)
        if close is None:
            return None
        inner = self.text[at + 1 : close]
        if name in tex.CITATIONS:
            return f"[{', '.join(key.strip() for key in inner.split(','))}]", close + 1
        if name in tex.UNSEEN or (name in ("begin", "end") and inner.rstrip("*") in tex.LISTS):
            return "", close + 1
        if name in ("url", "path", "nolinkurl"):
            return re.sub(r"\\([_%#&~])", r"\1", inner), close + 1
        if name in ("footnote", "thanks"):
            return f" ({self.words(at + 1, close, depth + 1)})", close + 1
        if name in ("href", "textcolor") and close + 1 in self.closes:
            return self.words(close + 2, self.closes[close + 1], depth + 1), self.closes[close + 1] + 1
        return None

    def _drawn(self, name: str, at: int, end: int, depth: int, prose: bool) -> tuple[str, int] | None:
        """A command of `ARITY` with its arguments."""
        if name not in tex.ARITY:
            return None
        option, at = self._option(at) if name in ("sqrt", "operatorname") else ((at, at), at)
        start, stop, after = self._argument(at, end)
        if start == after:
            return None
        if name in tex.ALPHABETS and after == stop and self.text[start : after + 1].isalpha() and after < end:
            return "", start  # `{\cal CSP}`
        if name in tex.STACKS:
            start2, stop2, after2 = self._argument(after, end)
            if start2 == after2:
                return None
            return tex.stacked(name, self._part(start, stop, depth), self._part(start2, stop2, depth)), after2
        if name in tex.WORDS or name in tex.FORMULAS:
            inner = (self.words if name in tex.WORDS else self.formula)(start, stop, depth + 1)
            upright = name in tex.UPRIGHT and len(inner) > 1 and not prose
            return f"{tex.JOINT}{inner}{tex.JOINT}" if upright else inner, after
        index = self._part(*option, depth) if name == "sqrt" else ""
        return tex.decorated(name, self._part(start, stop, depth), index), after

    def _part(self, at: int, end: int, depth: int) -> str:
        """A part of a formula that is drawn on its own."""
        return tex.settled(self.formula(at, end, depth + 1)).strip()

    def _unknown(self, name: str, at: int, depth: int, prose: bool) -> tuple[str, int]:
        """The command as it stands, its braces too, and in those what is understood."""
        out = [f"\\{name}" if prose else f"\\{name}{tex.JOINT}"]
        while at in self.closes:
            inner = (self.words if prose else self.formula)(at + 1, self.closes[at], depth + 1)
            out.append(f"{{{inner}}}")
            at = self.closes[at] + 1
        return "".join(out), at

    def _script(self, at: int, end: int, depth: int) -> tuple[str, int]:
        start, stop, after = self._argument(at + 1, end)
        if start == after:
            return self.text[at], at + 1
        return script(self.text[at], self._part(start, stop, depth)), after

    def _argument(self, at: int, end: int) -> tuple[int, int, int]:
        """Where an argument starts and stops and what follows it: a group, a character, or a command with its own."""
        start = at = at + self.text.startswith(" ", at, end)
        if at in self.closes:
            return at + 1, self.closes[at], self.closes[at] + 1
        wanted = 1
        for _ in range(_LONGEST_CHAIN):
            if not wanted or (at := at + self.text.startswith(" ", at, end)) >= end:
                break
            wanted -= 1
            if at in self.closes:
                at = self.closes[at] + 1
            elif self.text[at] == "\\":
                name, at = self._name(at, end)
                wanted += tex.ARITY.get(name, 0)
            else:
                at += 1
        return (start, start, start) if wanted else (start, at, at)

    def _option(self, at: int) -> tuple[tuple[int, int], int]:
        """What stands in brackets behind a command, and where that ends; a star counts as nothing."""
        found = _OPTION.match(self.text, at)
        return (found.span(1), found.end()) if found else ((at, at), at)

    def _name(self, at: int, end: int) -> tuple[str, int]:
        """The name of the command at `at`, without its backslash, and where it ends."""
        found = _NAME.match(self.text, at, end)
        return (found[1], found.end()) if found else ("", at + 1)

    def _past(self, at: int, end: int, *, spaces: bool = True) -> int:
        """Past the space that TeX swallows behind a command, or the `{}` that stands there to save it."""
        if self.closes.get(at) == at + 1:
            return at + 2
        return at + 1 if spaces and at < end and self.text[at] == " " else at
