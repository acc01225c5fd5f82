"""Where the groups and the formulas of a text begin and end; and which dollars are money."""

import re

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
_WORDS = re.compile(r"(?<![A-Za-z\\])[a-z]{2,}[ ,]+[a-z]{2,}(?![A-Za-z])")
_SENTENCE = re.compile(r"(?<![A-Za-z\\])[a-z]{2,}[ ,]+[a-z]{2,}[ ,]+[a-z]{2,}(?![A-Za-z])")
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
        loose = last and not first and _WORDS.search(body)
        return not money and (bool(_SPELLED.search(body)) or not (loose or _SENTENCE.search(body)))
    if not any(char.isalnum() for char in body):
        return len(body.strip()) <= 4
    if after.isdigit() or _TWO_WORDS.search(body) or _AMOUNT.match(body):
        return False
    if first or last:
        return first and last and not _NO_VARIABLE.search(body)
    return not after.isalpha() or len(body) <= 3 or any(char in "=<>(" for char in body)
