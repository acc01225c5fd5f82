r"""Convert the LaTeX of titles and abstracts to plain Unicode; what is not understood stays as it is.

No library does this safely. Of the five measured, pylatexenc deletes `\texttt{…}` and eats "$5 … $7", unicodeit turns
`\log` into `łog`, and the others leave formulas alone.

1. `_Structure` pairs braces and finds the formulas between dollars; "$5 … $7" is not one.
2. `_Reader` goes over the text once, switching between text and formulas, and converts each command.
3. The functions at the end print scripts, fractions, roots and accents.

Groups that are nested deeper than anybody writes are copied, so hostile input takes linear time and little stack.
"""

import re
import unicodedata

from digest.papers.text import latex_tables as tex


def typeset(text: str) -> str:
    """Return `text` with its LaTeX as Unicode. `text` must come from `clean`. Never raises; linear in time."""
    return _resolve_markers(_Reader(text).read_text())


# ---- groups and formulas ---------------------------------------------------------------------------------------------

_STRUCTURE = re.compile(
    r"\\(?:begin|end)\{(?:equation|align|eqnarray|displaymath|math|multline|gather)\*?\}|\\.|\$\$?|[{}]", re.DOTALL
)
_MAX_FORMULA = 2_000  # characters


class _Structure:
    """The groups and formulas of a text, by the place of the brace or sign that opens them."""

    def __init__(self, text: str) -> None:
        self.closes: dict[int, int] = {}  # the place of the closing brace
        self.formulas: dict[int, tuple[int, int, int]] = {}  # start, end, place after the closing sign
        self._text = text
        self._dollar = self._bracket = ("", 0, 0, -1)  # the open sign, its start and end, and the group it is in
        groups = [-1]
        for match in _STRUCTURE.finditer(text):
            sign, at = match[0], match.start()
            if sign == "{":
                groups.append(at)
            elif sign == "}" and len(groups) > 1:
                self.closes[groups.pop()] = at
            elif sign[0] == "$":
                self._add_dollar(sign, at, groups[-1])
            elif sign[1:2] in tuple("()[]be"):
                self._add_bracket(sign, at, groups[-1])

    def _add_dollar(self, sign: str, at: int, group: int) -> None:
        """Close the formula that is open in this group, if it is one, or open one. `$x$$y$` is two formulas."""
        opened, start, inner, outer = self._dollar
        self._dollar = (sign, at, at + len(sign), group)
        if opened and outer == group and sign.startswith(opened):
            after = at + len(opened)
            if _is_formula(self._text[inner:at], self._text[after : after + 1]):
                self.formulas[start] = (inner, at, after)
                self._dollar = ("$", after, after + 1, group) if opened != sign else ("", 0, 0, -1)

    def _add_bracket(self, sign: str, at: int, group: int) -> None:
        """Open or close `\\[…\\]`, `\\(…\\)` or an environment, within one group."""
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
_TEXT_COMMAND = re.compile(r"\\(?:text|mbox|hbox|mathrm|rm|operatorname)")
_TWO_WORDS = re.compile(r"(?<![A-Za-z])[A-Za-z]{3,} +(?:\S{1,20} +)?[A-Za-z]{3,}")
_AMOUNT = re.compile(r"[\d.,]\S*\s.*[A-Za-z]{2}")
_NO_VARIABLE = re.compile(r"[A-Za-z]{2}|^ *[\d.,]+ *$")


def _is_formula(body: str, after: str) -> bool:
    """Return whether the text between two dollars is a formula, and not the words between two sums of money.

    With TeX in it, it is a formula unless it reads like a sentence. Without, it must have no space next to its dollars,
    no two words in a row, and no digit after it: "from $5 to $7" is no formula, `$n$th` and `$O(n log n)$` are.
    """
    if not body.strip() or len(body) > _MAX_FORMULA:
        return False
    first, last = body[0].isspace(), body[-1].isspace()
    if _TEX.search(body):
        money = body[0].isdigit() and last and after.isdigit()
        loose = last and not first and _WORD_PAIR.search(body)
        return not money and (bool(_TEXT_COMMAND.search(body)) or not (loose or _THREE_WORDS.search(body)))
    if not any(char.isalnum() for char in body):
        return len(body.strip()) <= 4
    if after.isdigit() or _TWO_WORDS.search(body) or _AMOUNT.match(body):
        return False
    if first or last:
        return first and last and not _NO_VARIABLE.search(body)
    return not after.isalpha() or len(body) <= 3 or any(char in "=<>(" for char in body)


# ---- the reader ------------------------------------------------------------------------------------------------------

_MAX_DEPTH = 12  # groups within groups; abstracts go to 5
_MAX_CHAIN = 5  # commands that are arguments of each other without braces: `^\\frac\\pi2`

_NAME = re.compile(r"\\([A-Za-z]+|.|$)", re.DOTALL)
_PLAIN_TEXT = re.compile(r"[^\\{}$^_]+")
_PLAIN_FORMULA = re.compile(r"[^\\{}^_'~]+")
_OPTION = re.compile(r"\*?(?:\[([^\[\]]{0,80})\]){0,2}")
_SINGLE = re.compile(r" ?(?:[A-Za-z0-9](?![A-Za-z])|\\)")
_BEFORE_NO_SCRIPT = frozenset((*" [(\"'`", ""))  # before a `^` or `_` that is no script
_BARE_ACCENTS = {".": tuple("zZeEI"), "=": tuple("aeiouAEIOU")}  # else `\\.com` is a regular expression
_RELATIONS = frozenset("=<>+-*/:|~")  # a space before one of these is kept
_ESCAPED = frozenset("{}%$#&_")
_CONTROL_SPACES = frozenset(" ,;:")


class _Reader:
    """Reads a text from left to right. Reading a command, group or script returns its output and the place after it."""

    def __init__(self, text: str) -> None:
        structure = _Structure(text)
        self.text, self.closes, self.formulas = text, structure.closes, structure.formulas

    def read_text(self, at: int = 0, end: int | None = None, depth: int = 0) -> str:
        """Read text with formulas in it."""
        end = len(self.text) if end is None else end
        if depth > _MAX_DEPTH:
            return self.text[at:end]
        out: list[str] = []
        while at < end:
            char = self.text[at]
            if plain := _PLAIN_TEXT.match(self.text, at, end):
                piece, at = plain[0], plain.end()
            elif at in self.formulas and self.formulas[at][2] <= end:
                start, stop, at = self.formulas[at]
                piece = self._read_part(start, stop, depth)
            elif char == "\\":
                piece, at = self._read_text_command(at, end, depth)
            elif char == "{" and at in self.closes:
                piece, at = self._read_text_group(at, depth)
            elif char in "^_" and at + 1 in self.closes and self.text[at - 1 : at] not in _BEFORE_NO_SCRIPT:
                piece, at = self._read_script(at, end, depth)
            else:
                piece, at = char, at + 1
            out.append(piece)
        return "".join(out)

    def _read_formula(self, at: int, end: int, depth: int) -> str:
        """Read a formula or a part of one. Its markers are not resolved yet (see `_resolve_markers`)."""
        if depth > _MAX_DEPTH:
            return self.text[at:end]
        out: list[str] = []
        while at < end:
            char = self.text[at]
            if plain := _PLAIN_FORMULA.match(self.text, at, end):
                piece, at = plain[0], plain.end()
            elif char == "\\":
                name, after = self._command_name(at, end)
                if name in ("over", "choose"):
                    above, below = _resolve_markers("".join(out)), self._read_part(after, end, depth)
                    return _stack("frac" if name == "over" else "binom", above.strip(), below)
                if name in ("rfloor", "rceil", "rangle") and out:
                    out[-1] = out[-1].rstrip()
                piece, at = self._read_command(name, after, end, depth, spaced=bool(out) and out[-1].endswith(" "))
            elif char in "^_":
                piece, at = self._read_script(at, end, depth)
            elif char == "{" and at in self.closes:
                piece, at = self._read_formula(at + 1, self.closes[at], depth + 1), self.closes[at] + 1
            else:
                tied = char == "~" and self.text[at - 1 : at + 2] != " ~ "  # with spaces it is a relation
                piece, at = "′" if char == "'" else " " if tied else char, at + 1
            out.append(piece)
        return "".join(out)

    def _read_part(self, at: int, end: int, depth: int) -> str:
        """Read a part of a formula that is printed on its own."""
        return _resolve_markers(self._read_formula(at, end, depth + 1)).strip()

    def _read_text_group(self, at: int, depth: int) -> tuple[str, int]:
        """Drop the braces around an accent, a switch or the capitals of a name; keep those of sets and code."""
        close = self.closes[at]
        inner = self.read_text(at + 1, close, depth + 1)
        before, after = self.text[at - 1 : at] or " ", self.text[close + 1 : close + 2]
        name, ends = self._command_name(at + 1, close) if self.text[at + 1] == "\\" else ("", at + 2)
        if name in tex.ACCENTS or name in tex.LETTERS or name in tex.NO_OUTPUT:
            return inner, close + 1
        single = len(inner) == 1 and ends == close and (name or (inner.isascii() and not inner.isalnum()))
        if single or (not inner.strip() and (before.isalpha() or before == "{")):
            return inner.strip(), close + 1
        starts = before in ' -(“`/"'
        within = inner.isalpha() and after.isascii() and after.islower() and (starts or before.isalpha())
        title = inner.isalpha() and not inner.islower() and len(inner) > 2 and starts and after not in tuple("_^{")
        return inner if within or title else f"{{{inner}}}", close + 1

    def _read_text_command(self, at: int, end: int, depth: int) -> tuple[str, int]:
        """Read a command in text: an accent, a letter, an escaped character, or one that formulas have, too."""
        name, after = self._command_name(at, end)
        before, following = self.text[at - 1 : at] if at else " ", self.text[after : after + 1] or " "
        if name in tex.ACCENTS and (accented := self._read_accent(name, after, end, depth)):
            return accented
        if name in tex.LETTERS and following not in tuple("(_^"):  # `\\L(M)` is an author's own command
            return tex.LETTERS[name], self._skip_space(after, end, spaces=self.text[after + 1 : after + 2].islower())
        if name.isalpha() and (
            name not in tex.ARITY or name in tex.ALPHABETS or after in self.closes or _SINGLE.match(self.text, after)
        ):
            return self._read_command(name, after, end, depth, in_text=True)
        if name in _ESCAPED:
            return name, after
        if name in _CONTROL_SPACES or (name == "\\" and (following == " " or (before != " " and following.isupper()))):
            return " ", after
        if (name == "-" and before.isalpha() and following.isalpha()) or (name == "/" and not following.isalnum()):
            return "", after
        return f"\\{name}", after

    def _read_accent(self, name: str, at: int, end: int, depth: int) -> tuple[str, int] | None:
        """Read the letter that gets the accent, if Unicode has the two as one character; else return None."""
        following = self.text[at : at + 1]
        if name.isalpha() and following not in (" ", "{", "\\"):
            return None
        if following == "\\" and self._command_name(at, end)[0] not in tex.LETTERS:
            return None
        if following == " " and not name.isalpha() and self.text[at + 1 : at + 2] not in tuple("aeiouy"):
            return None
        if name in _BARE_ACCENTS and following != "{" and following not in _BARE_ACCENTS[name]:
            return None
        start, stop, after = self._find_argument(at, end)
        if stop - start > 12:  # a letter, perhaps with an accent of its own; so nothing long is read twice
            return None
        inner = self.read_text(start, stop, depth + 1)
        if not inner and name in "~^" and after > at:
            return name, after
        whole = unicodedata.normalize("NFC", {"ı": "i", "ȷ": "j"}.get(inner[:1], inner[:1]) + tex.ACCENTS[name])
        return (whole + inner[1:], after) if len(whole) == 1 and whole.isalpha() else None

    def _read_command(
        self, name: str, at: int, end: int, depth: int, *, spaced: bool = False, in_text: bool = False
    ) -> tuple[str, int]:
        """Read a command with its arguments; `at` is the place after its name, `spaced` says that a space is before it.

        TeX swallows the space after a command. Where there is one before it, too (`a \\leq b`), both are kept.
        """
        symbol = tex.SYMBOLS.get(name) or (None if in_text else tex.COMMON_MACROS.get(name))
        if symbol:
            keep = spaced or in_text or self._relation_follows(symbol, at + 1, end)
            return symbol, self._skip_space(at, end, spaces=not keep)
        if name in tex.FUNCTIONS:
            return f"{_JOINT}{tex.FUNCTIONS[name]}{_JOINT}", at
        if name in tex.NO_OUTPUT and name not in tex.ALPHABETS:
            dot = name in ("left", "right") and self.text.startswith(".", at)
            return "", self._skip_space(at + dot, end)
        if name in tex.SPACES or name in _CONTROL_SPACES or name == "\\":
            return " ", at
        if not name.isalpha():
            return {"|": "‖", "!": "", "-": "", "/": ""}.get(name, name if name in _ESCAPED else f"\\{name}"), at
        return (
            self._read_document_command(name, at, end, depth)
            or self._read_with_arguments(name, at, end, depth, in_text)
            or self._keep_unknown(name, at, depth, in_text)
        )

    def _relation_follows(self, symbol: str, at: int, end: int) -> bool:
        """Return whether a relation or operator follows, before which a space is kept: `\\tau = \\eta \\in X`."""
        if self.text.startswith("\\", at):
            return symbol.isalpha() and not tex.SYMBOLS.get(self._command_name(at, end)[0], "x").isalpha()
        return self.text[at : at + 1] in _RELATIONS

    def _read_document_command(self, name: str, at: int, end: int, depth: int) -> tuple[str, int] | None:
        """Print citations as keys in brackets, links as their words, footnotes in parentheses; drop labels, sizes."""
        if name == "item":
            return "• ", self._skip_space(at, end)
        at = self._find_option(at)[1]
        close = self.closes.get(at)
        if close is None:
            return None
        inner = self.text[at + 1 : close]
        if name in tex.CITATIONS:
            return f"[{', '.join(key.strip() for key in inner.split(','))}]", close + 1
        if name in tex.NOT_PRINTED or (name in ("begin", "end") and inner.rstrip("*") in tex.ENVIRONMENTS):
            return "", close + 1
        if name in ("url", "path", "nolinkurl"):
            return re.sub(r"\\([_%#&~])", r"\1", inner), close + 1
        if name in ("footnote", "thanks"):
            return f" ({self.read_text(at + 1, close, depth + 1)})", close + 1
        if name in ("href", "textcolor") and close + 1 in self.closes:
            return self.read_text(close + 2, self.closes[close + 1], depth + 1), self.closes[close + 1] + 1
        return None

    def _read_with_arguments(self, name: str, at: int, end: int, depth: int, in_text: bool) -> tuple[str, int] | None:
        """Read a command of `ARITY`; None for another one, and where an argument is missing."""
        if name not in tex.ARITY:
            return None
        option, at = self._find_option(at) if name in ("sqrt", "operatorname") else ((at, at), at)
        start, stop, after = self._find_argument(at, end)
        if start == after:
            return None
        if name in tex.ALPHABETS and after == stop and self.text[start : after + 1].isalpha() and after < end:
            return "", start  # `{\cal CSP}`
        if name in tex.TWO_ARGUMENTS:
            start2, stop2, after2 = self._find_argument(after, end)
            if start2 == after2:
                return None
            return _stack(name, self._read_part(start, stop, depth), self._read_part(start2, stop2, depth)), after2
        if name in tex.TEXT_ARGUMENT or name in tex.FORMULA_ARGUMENT:
            inner = (self.read_text if name in tex.TEXT_ARGUMENT else self._read_formula)(start, stop, depth + 1)
            upright = name in tex.UPRIGHT and len(inner) > 1 and not in_text
            return f"{_JOINT}{inner}{_JOINT}" if upright else inner, after
        index = self._read_part(*option, depth) if name == "sqrt" else ""
        return _decorate(name, self._read_part(start, stop, depth), index), after

    def _keep_unknown(self, name: str, at: int, depth: int, in_text: bool) -> tuple[str, int]:
        """Keep the command and its braces; read what is in them."""
        out = [f"\\{name}" if in_text else f"\\{name}{_JOINT}"]
        while at in self.closes:
            inner = (self.read_text if in_text else self._read_formula)(at + 1, self.closes[at], depth + 1)
            out.append(f"{{{inner}}}")
            at = self.closes[at] + 1
        return "".join(out), at

    def _read_script(self, at: int, end: int, depth: int) -> tuple[str, int]:
        start, stop, after = self._find_argument(at + 1, end)
        if start == after:
            return self.text[at], at + 1
        return format_script(self.text[at], self._read_part(start, stop, depth)), after

    def _find_argument(self, at: int, end: int) -> tuple[int, int, int]:
        """Find a group, a character, or a command with its own arguments: its start, its end, the place after it."""
        start = at = at + self.text.startswith(" ", at, end)
        if at in self.closes:
            return at + 1, self.closes[at], self.closes[at] + 1
        missing = 1
        for _ in range(_MAX_CHAIN):
            if not missing or (at := at + self.text.startswith(" ", at, end)) >= end:
                break
            missing -= 1
            if at in self.closes:
                at = self.closes[at] + 1
            elif self.text[at] == "\\":
                name, at = self._command_name(at, end)
                missing += tex.ARITY.get(name, 0)
            else:
                at += 1
        return (start, start, start) if missing else (start, at, at)

    def _find_option(self, at: int) -> tuple[tuple[int, int], int]:
        """Find the `[…]` after a command: where its content starts and ends, and the place after it. Skip a star."""
        match = _OPTION.match(self.text, at)
        return (match.span(1), match.end()) if match else ((at, at), at)

    def _command_name(self, at: int, end: int) -> tuple[str, int]:
        """Return the name of the command at `at`, without its backslash, and the place after it."""
        match = _NAME.match(self.text, at, end)
        return (match[1], match.end()) if match else ("", at + 1)

    def _skip_space(self, at: int, end: int, *, spaces: bool = True) -> int:
        """Skip the space that TeX swallows after a command, or the `{}` that protects the space from it."""
        if self.closes.get(at) == at + 1:
            return at + 2
        return at + 1 if spaces and at < end and self.text[at] == " " else at


# ---- printing --------------------------------------------------------------------------------------------------------

# Markers in a formula until all of it is read: private characters, which `clean` removes from every text. A joint
# becomes a space if letters meet there; the two ends of a fraction become parentheses if letters touch it.
_JOINT, _OPEN, _CLOSE = "\ue000", "\ue001", "\ue002"
_SCRIPTS = "⁰-₟ᴬ-ᵪᶜᶠᶻᶿⱼⱽ²³¹′"
_JOINT_BEFORE_SCRIPT = re.compile(rf"{_JOINT}((?:[{_SCRIPTS}]|[\^_](?:\([^()]*\)|[^(]))+)")
_LETTERS_MEET = re.compile(rf"(?<=[\w)\]}}⟩⌉⌋‖\u0300-\u036f]){_JOINT}+(?=[\w√∑∏∫⌈⌊])")
_FRACTION = re.compile(rf"([\w)]{_JOINT}*)?{_OPEN}([^{_OPEN}{_CLOSE}]*){_CLOSE}(?=({_JOINT}*[\w(√∑∏∫⌈⌊])?)")
_SCRIPT_CHARACTERS = frozenset((*tex.SUPERSCRIPTS.values(), *tex.SUBSCRIPTS.values()))
_FACTOR = re.compile(
    rf"√?(?:\d++(?:[.,]\d+)*+%?|[^\W\d_][\u0300-\u036f\u20d7]?)[{_SCRIPTS}]*"
    rf"|(?:[^\W\d]{{2,30}}|[A-ZΓ-Ω])?[{_SCRIPTS}]{{0,9}}\([^()]*\)|[|‖⌈⌊][^|‖⌈⌊⌉⌋]*[|‖⌉⌋]"
)
_TERM = re.compile(r"[^\s+\-−=<>≤≥≈∼±,/|]+")


def _resolve_markers(text: str) -> str:
    """Replace the markers: "n log n", "(1/2)n"."""
    if _OPEN in text:
        text = _FRACTION.sub(_format_fraction, text)
    if _JOINT in text:
        text = _LETTERS_MEET.sub(" ", _JOINT_BEFORE_SCRIPT.sub(rf"\1{_JOINT}", text)).replace(_JOINT, "")
    return text


def _format_fraction(match: re.Match[str]) -> str:
    before, inner, touched = match[1] or "", match[2], match[1] or match[3]
    space = " " if before.endswith(_JOINT) else ""
    return f"{before}{space}({inner})" if touched else inner


def format_script(sign: str, text: str) -> str:
    """Return a superscript (`^`) or subscript (`_`): in Unicode's small characters, else as `^x` or `^(x + y)`."""
    table = tex.SUPERSCRIPTS if sign == "^" else tex.SUBSCRIPTS
    tight = text.replace(" ", "")
    if tight and all(char in table for char in tight):
        return "".join(table[char] for char in tight)
    text = text.strip()
    return f"{sign}({text})" if len(text) > 1 else sign + text


def _stack(name: str, first: str, second: str) -> str:
    """Return a fraction, a binomial, or something set over or under something else."""
    if "frac" in name:
        return f"{_OPEN}{_parenthesize(first, term=True)}/{_parenthesize(second)}{_CLOSE}"
    if "binom" in name:
        return f"({first} choose {second})"
    return second + format_script("_" if name == "underset" else "^", first)


def _parenthesize(text: str, *, term: bool = False) -> str:
    """Return `text` in parentheses, unless it is one factor (or, above a fraction bar, one term)."""
    alone = len(text) < 200 and (_FACTOR.fullmatch(text) or (term and _TERM.fullmatch(text)))
    return text if alone else f"({text})"


def _decorate(name: str, text: str, option: str) -> str:
    """Return `text` with an accent, a root sign, in another alphabet, or as a script."""
    if len(text) > 100 or "\\" in text:
        return f"\\{name}{{{text}}}"
    if name in tex.MATH_ACCENTS:
        dotted = text.replace("ı", "i").replace("ȷ", "j")
        letters = {char for char in dotted if char.isalnum() and char not in _SCRIPT_CHARACTERS} or set(dotted[:1])
        mark = "\u0304" if name == "overline" and len(letters) == 1 else tex.MATH_ACCENTS[name]
        return unicodedata.normalize("NFC", "".join(char + mark if char in letters else char for char in dotted))
    if name in tex.ALPHABETS:
        # A word in script letters is hard to read, and harder for a screen reader.
        wanted = len(text) == 1 or name in ("mathbb", "mathds", "mathbbm", "Bbb")
        return "".join(tex.ALPHABETS[name].get(char, char) for char in text) if wanted else text
    if name == "sqrt":
        root = {"": "√", "2": "√", "3": "∛", "4": "∜"}.get(option) or format_script("^", option) + "√"
        return root + _parenthesize(text)
    if name in ("textsuperscript", "textsubscript"):
        return format_script("^" if name == "textsuperscript" else "_", text)
    return f" (mod {text})" if name == "pmod" else "→" + format_script("^", text)
