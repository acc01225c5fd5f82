"""What is wrong with a TOML file, in words: the line, where in it, and what to write instead. Touches nothing.

tomllib says where it gave up, which is where the slip was, or a line or two below a bracket or quote left open. What
it says is for people who know TOML; the line itself tells what was meant.
"""

import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

_PAIR = re.compile(r"\s*(?P<key>[^\s=\[\]#'\"][^=#'\"]*?)\s*=\s*(?P<value>.*)")
_HEADING = re.compile(r"\s*(?P<open>\[{1,2})\s*(?P<name>[\w.-]*)")
_WHOLE = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|\[[^\]]*\]|[+-]?\d[\d_]*(?:\.\d+)?|true|false')
_CURLY = {**dict.fromkeys("“”„‟″«»", '"'), **dict.fromkeys("‘’‚‛′", "'")}
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'')
_SECRET = re.compile(r"^\s*[\"']?\w*(?:passw|secret|token\b)|(?:passw\w*|secret|token)[\"']?\s*[=:]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Slip:
    """Where reading ended: the lines of the file, which of them (from 1) and which column, and what tomllib said."""

    lines: Sequence[str]
    number: int
    column: int
    said: str

    @property
    def line(self) -> str:
        return self.lines[self.number - 1]

    @property
    def key(self) -> str:
        found = _PAIR.match(self.line)
        return found["key"] if found else ""

    @property
    def value(self) -> str:
        """What stands behind the =, without a comment."""
        found = _PAIR.match(self.line)
        return re.sub(r"\s+#[^\"']*$", "", found["value"]).rstrip() if found else ""


def explain_toml_error(text: str, problem: tomllib.TOMLDecodeError) -> str:
    """What is wrong and what to write; then the line with a caret below it, unless it may hold a secret."""
    slip = _place(text, str(problem))
    sentence = next((found for ask in _ASK if (found := ask(slip))), f"is not TOML: {slip.said}")
    if _SECRET.search(slip.line):
        return f"line {slip.number}: is not TOML; secrets do not belong here: put them into .env beside this file"
    line = "".join(char if char.isprintable() else " " for char in slip.line[:200])
    return f"line {slip.number}: {sentence}\n    {line}\n    {' ' * (min(slip.column, len(line) + 1) - 1)}^"


def _place(text: str, said: str) -> Slip:
    lines = text.replace("\r\n", "\n").split("\n")
    found = re.search(r"\(at line (\d+), column (\d+)\)", said)
    number, column = (int(found[1]), int(found[2])) if found else (len(lines), 1)
    words = re.sub(r" \(at .*\)$", "", said)
    slip = Slip(lines, min(number, len(lines)), column, words[:1].lower() + words[1:])
    inside = "Unclosed" in said or ("value" in said and bool(_HEADING.match(slip.line)))
    return _opened(slip) if inside or not found else slip


def _opened(slip: Slip) -> Slip:
    """The line, here or above, with a bracket or quotes that nothing closes."""
    for number in range(slip.number, 0, -1):
        above = replace(slip, number=number, column=len(slip.lines[number - 1]) + 1)
        if above.value[:1] in ("[", '"', "'") and (_WHOLE.match(above.value) is None or _tripled(above.value)):
            return above
    return slip


def _tripled(value: str) -> bool:
    """Three quotes open a text here and nothing in the line closes it."""
    return any(value.startswith(mark) and value.count(mark) == 1 for mark in ('"""', "'''"))


def _curly(slip: Slip) -> str:
    if not any(char in _STRING.sub("", slip.line) for char in _CURLY):
        return ""
    straight = "".join(_CURLY.get(char, char) for char in slip.line).strip()
    return f"has curly quotes, as web pages and word processors write them; write {straight}"


def _space(slip: Slip) -> str:
    if not (found := re.search("[\u00a0\u2000-\u200b\u202f\u3000\ufeff]", slip.line)):
        return ""
    return f"has a special space in it (U+{ord(found[0]):04X}), as web pages do; write a plain one"


def _heading(slip: Slip) -> str:
    """A heading that is not closed, or that stands there twice."""
    found = _HEADING.match(slip.line)
    if not found:
        return ""
    name, listed = found["name"], found["open"] == "[[" or found["name"] in ("sources", "topics")
    wanted = f"[[{name}]]" if listed else f"[{name}]"
    end = re.match(r"\s*\]+", slip.line[found.end() :])
    if not name or not end or end[0].count("]") != len(found["open"]):
        return f"is not a whole heading of a table; write {wanted if name else '[digest], say'}"
    if re.match(r"\s*[^\s#]", slip.line[found.end() + end.end() :]):
        return f"goes on behind the heading {wanted}; write the rest in a line of its own"
    earlier = [n for n, line in enumerate(slip.lines[: slip.number - 1], 1) if _name(line) == name]
    if not earlier:
        return ""
    if listed:
        return f"has one bracket, but there are several; write {wanted} above each, in line {earlier[0]} as well"
    return f"opens the table {wanted} again; put its keys below the first one, in line {earlier[0]}"


def _name(line: str) -> str:
    found = _HEADING.match(line)
    return found["name"] if found else ""


def _twice(slip: Slip) -> str:
    """The line is right by itself, so a line above has the same key."""
    if not slip.key or not _readable(slip.line):
        return ""
    for number in range(slip.number - 1, 0, -1):
        if _name(slip.lines[number - 1]):
            break
        if (found := _PAIR.match(slip.lines[number - 1])) and found["key"] == slip.key:
            return f"says {slip.key} a second time; keep this line or line {number}"
    return ""


def _readable(line: str) -> bool:
    try:
        return bool(tomllib.loads(line))
    except tomllib.TOMLDecodeError:
        return False


def _no_pair(slip: Slip) -> str:
    """No = where one should be, or a key that cannot be one."""
    line = slip.line.strip()
    if line.startswith(("//", ";", "--", "/*")):
        return "begins a comment in the way of another language; write # in front of it"
    if not slip.key:
        if found := re.match(r"([\w-]+)\s*:\s*(.+)", line):
            return f"has a : where = belongs; write {found[1]} = {_as_value(found[2])}"
        if found := re.match(r"([\w-]+)\s+([\"'\[\d].*)", line):
            return f"has no = in it; write {found[1]} = {found[2]}"
        return "is neither a [table] nor a key = value; put # in front of it if it is a comment"
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", slip.key):
        return f"has a key that cannot be one; write {re.sub(r'[^A-Za-z0-9_.-]+', '_', slip.key)} = {slip.value}"
    return ""


def _quotes(slip: Slip) -> str:
    """Quotes that are not closed, stand inside others, or have a backslash between them."""
    key, value = slip.key, slip.value
    if value[:1] not in ('"', "'"):
        return ""
    if _tripled(value):
        return f"opens a text with three quotes that nothing closes; write {key} = {_as_value(value[3:])}"
    mark, inside = value[0], value[1:].removesuffix(value[0])
    if value.count(mark) == 1:
        return f"has no closing quote; write {key} = {value}{mark}"
    if mark == '"' and "\\" in inside and '"' not in inside:
        return f"has a \\ in double quotes, where it means something else; write {key} = '{inside}'"
    if value.endswith(mark) and mark in inside and re.search(r"\w", inside.split(mark)[1]):
        other = "'" if mark == '"' else '"'
        return "" if other in inside else f"has quotes inside quotes; write {key} = {other}{inside}{other}"
    return ""


def _brackets(slip: Slip) -> str:
    """A list that is not closed, or without its commas."""
    if not slip.value.startswith("["):
        return ""
    if "]" not in slip.value:
        example = f", as in {slip.key} = {slip.value}]" if slip.value != "[" else ""
        return f"opens a list that is never closed; write ] behind its last value{example}"
    items = [item.strip() for item in slip.value.strip("[]").split(",") if item.strip()]
    if not any(re.search(r"[\"'\[{]", item) for item in items):
        return f"has texts without quotes; write {slip.key} = [{', '.join(_as_value(item) for item in items)}]"
    if re.search(r"([\"'])\s+\1", slip.value):
        return "has no comma between two values of the list; write one"
    return ""


def _rest(slip: Slip) -> str:
    """Something behind a value that is whole."""
    found = _WHOLE.match(slip.value)
    rest = slip.value[found.end() :].strip() if found else ""
    if not found or not rest:
        return ""
    if rest in (",", ";"):
        return f"ends in a {'comma' if rest == ',' else 'semicolon'}, and no line does; write {slip.key} = {found[0]}"
    if re.match(r"[\w.-]+\s*=", rest):
        return f"has two keys in it; write {rest} in a line of its own"
    if re.fullmatch(r"[\w:./%+-]+", slip.value):
        return (
            f"has a value that is no number; if it is a text, write it in quotes: {slip.key} = {_as_value(slip.value)}"
        )
    return f"goes on after its value; write {slip.key} = {found[0]}, and # in front of a comment"


def _bare(slip: Slip) -> str:
    """No value, or a text without quotes."""
    if not slip.value or slip.value.startswith("#"):
        return f'has no value; write one behind the =, or # in front of the line: {slip.key} = "…"'
    if re.match(r"[\"'\[{]", slip.value):
        return ""
    if re.fullmatch(r"0\d+", slip.value):
        return f"has a number that begins with 0; write {slip.key} = {int(slip.value)}"
    if (word := slip.value.lower()) in ("true", "yes", "on", "false", "no", "off"):
        return (
            f"has a value that is not TOML; write {slip.key} = {'true' if word in ('true', 'yes', 'on') else 'false'}"
        )
    return f"has a text without quotes; write {slip.key} = {_as_value(slip.value)}"


def _as_value(text: str) -> str:
    """What a value was probably meant to be: itself if it is one, else a text."""
    if _readable(f"x = {text}"):
        return text
    return f"'{text}'" if '"' in text or "\\" in text else f'"{text}"'


# In this order: a line with curly quotes seems to have no quotes at all.
_ASK: tuple[Callable[[Slip], str], ...] = (
    _curly,
    _space,
    _heading,
    _twice,
    _no_pair,
    _quotes,
    _brackets,
    _rest,
    _bare,
)
