"""Explain a TOML syntax error: the line, a caret, and for common mistakes what to write. Pure: no I/O."""

import re
import tomllib
from collections.abc import Sequence
from itertools import islice

_PAIR = re.compile(r"\s*([\w.-]+)\s*([=:])\s*(.*?)\s*(?:#[^\"']*)?")  # key, sign and value, without a comment
_HEADING = re.compile(r"\s*\[{1,2}\s*([\w.-]+)\s*\]")
_UNCLOSED = re.compile(r"""=\s*(\[[^\]]*|"{3}(?!.*"{3}).*|'{3}(?!.*'{3}).*|"[^"]*|'[^']*)$""")
_SECRET = re.compile(r"^\s*[\"']?\w*(?:passw|secret|token\b)|(?:passw\w*|secret|token)[\"']?\s*[=:]", re.IGNORECASE)
_CURLY = "“”„‟″«»‘’‚‛′\u00a0\u2009\u202f\u3000"  # and special spaces
_STRAIGHT = str.maketrans(_CURLY, '"' * 7 + "'" * 5 + " " * 4)
_MAX_LINE = 1000  # characters of a line in which secrets are looked for, and of one that can be fixed
_MAX_SHOWN = 200  # characters of a line that are shown
_BOOLEANS = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"}


def explain_toml_error(text: str, error: Exception) -> str:
    """What is wrong with `text` and what to write, then the line with a caret, unless it may hold a secret."""
    lines = text.replace("\r\n", "\n").split("\n")
    number, column = _locate(lines, str(error))
    statement = next((n for n in range(number, 0, -1) if _table_or_key(lines[n - 1])), number)
    if any(_SECRET.search(line, 0, _MAX_LINE) for line in lines[statement - 1 : number]):
        return f"line {number}: TOML syntax error; secrets do not belong in this file: write them into .env next to it"
    message = re.sub(r" \(at .*\)$", "", str(error))
    problem = _explain(lines, number) or f"TOML syntax error: {message[:1].lower()}{message[1:]}"
    line = "".join(char if char.isprintable() else " " for char in lines[number - 1][:_MAX_SHOWN])
    return f"line {number}: {problem}\n    {line}\n    {' ' * (min(column, len(line) + 1) - 1)}^"


def _locate(lines: Sequence[str], message: str) -> tuple[int, int]:
    """The line and column of a mistake, from 1. tomllib notices only below it that a list or string is not closed."""
    if found := re.search(r"\(at line (\d+), column (\d+)\)", message):
        number, column = int(found[1]), int(found[2])
        before, last = lines[number - 1][: column - 1].strip(), number - 1
        below = (not before and "Unclosed" in message) or (before in ("[", "[[") and "Invalid value" in message)
    else:  # at the end of the document
        number, column, last = len(lines), len(lines[-1]) + 1, len(lines)
        below = message.startswith(("Unclosed", "Unterminated", "Expected \"'"))
    opened = next((n for n in range(last, 0, -1) if _find_unclosed(lines[n - 1])), 0) if below else 0
    return (opened, len(lines[opened - 1]) + 1) if opened else (number, column)


def _explain(lines: Sequence[str], number: int) -> str:
    line = lines[number - 1]
    if _is_toml(line):
        return _explain_repetition(lines, number)
    short = len(line) <= _MAX_LINE
    if short and set(re.sub(r'"[^"]*"|\'[^\']*\'', "", line)) & set(_CURLY):
        return f"curly quotes or a special space; write {line.translate(_STRAIGHT).strip()}"
    if (unclosed := _find_unclosed(line)) and unclosed[1].startswith("["):
        return "the list is not closed; write ] after its last value"
    pair = _PAIR.fullmatch(line) if short else None
    problem, fixed = _suggest_fix(*pair.groups()) if pair else ("", "")
    return f"{problem}; write {fixed}" if fixed and _is_toml(fixed) else ""


def _find_unclosed(line: str) -> re.Match[str] | None:
    """The list or string that is open at the end of the line, if it is the value of one of the first ten keys."""
    starts = islice(re.finditer("=", line), 10)
    return next((found for start in starts if (found := _UNCLOSED.match(line, start.start()))), None)


def _explain_repetition(lines: Sequence[str], number: int) -> str:
    """For a line that is valid by itself: where its table, or its key in the same table, is already."""
    names = [_table_or_key(line) for line in lines[:number]]
    name, is_table = names[-1], names[-1].startswith("[")
    fix = "move these keys there" if is_table else "keep one of the two lines"
    if name in ("[sources]", "[topics]"):
        fix = f"write [{name}] with two brackets in both lines"
    for above in range(number - 1, 0, -1):
        if names[above - 1] == name != "":
            return f"{name} is already in line {above}; {fix}"
        if names[above - 1].startswith("[") and not is_table:
            break
    return ""


def _table_or_key(line: str) -> str:
    heading, pair = _HEADING.match(line), _PAIR.match(line)
    return f"[{heading[1]}]" if heading else pair[1] if pair else ""


def _suggest_fix(key: str, sign: str, value: str) -> tuple[str, str]:
    """What may be wrong with a line, and what to write, which need not be valid TOML."""
    if sign == ":":
        return "there must be = instead of the colon", f"{key} = {_quote_text(value)}"
    if value.lower() in _BOOLEANS:
        return f"{value} is not a TOML value", f"{key} = {_BOOLEANS[value.lower()]}"
    if re.match(r"(?!true\b|false\b)[^\"'\[{+\d-]", value):
        return "text without quotes", f"{key} = {_quote_text(value)}"
    if re.fullmatch(r"\[[^\"'\[\]]*\]", value):
        items = (_quote_text(item.strip()) for item in value[1:-1].split(","))
        return "text without quotes", f"{key} = [{', '.join(items)}]"
    if value and value.count(value[0]) == 1:
        return "the closing quote is missing", f"{key} = {value}{value[0]}"
    return ("a backslash in double quotes", f"{key} = '{value[1:-1]}'") if "\\" in value else ("", "")


def _quote_text(text: str) -> str:
    mark = "" if _is_toml(f"x = {text}") else "'" if '"' in text or "\\" in text else '"'
    return f"{mark}{text}{mark}"


def _is_toml(text: str) -> bool:
    try:
        return tomllib.loads(text) is not None
    except (ValueError, RecursionError):
        return False
