"""Fill in the templates: the bundled ones, and the operator's own. The only module that knows Jinja.

A template of one's own may have a mistake, or come from a stranger. It runs in Jinja's sandbox, which lets it use the
values that it is given and include other templates, but reach no other Python object and no other file. The size of a
file, the steps that it takes and the length of its output are limited, so that it always ends. Whatever is wrong with a
template is a ConfigError that names the file, and the line where there is one.
"""

import math
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from pathlib import Path
from types import CodeType
from typing import Any

from jinja2 import (
    BytecodeCache,
    FunctionLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
    select_autoescape,
)
from jinja2.bccache import Bucket
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import TemplateRuntimeError
from jinja2.filters import do_mark_safe
from jinja2.loaders import split_template_path
from jinja2.nodes import Call, EnvironmentAttribute, For
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from digest.errors import ConfigError
from digest.files import bundled_file
from digest.papers.text.fit import snippet, wrap

_COLUMNS = 72
_MAX_FILE = 256_000  # bytes; the largest bundled one has 5 kB
_MAX_OUTPUT = 1_000_000  # characters; Gmail shows 102 kB
_MAX_PRODUCT = 10**8  # characters of one text times those of another
_WIDTH = re.compile(r"[0-9]{7}")  # in a format
_MAX_STEPS = 200_000  # rounds of loops, calls, and texts that are gone through; a mail with 120 papers takes 700
_PER_STEP = 100  # characters or items that a filter or a call goes through in a step; none takes more than 0.5 ms
_WRAPPED_PER_STEP = 100_000  # the square of the length of a text that is wrapped in a step


class Templates:
    """The bundled templates; a file in the folder `overrides` replaces the one of its name."""

    def __init__(self, overrides: Path | None = None) -> None:
        self._overrides = overrides
        self._folders = [folder for folder in (overrides, bundled_file("templates")) if folder]
        self._env = _Environment(
            loader=FunctionLoader(partial(_load, self._folders)),
            autoescape=select_autoescape(["html"], default=False),
            undefined=StrictUndefined,
            keep_trailing_newline=True,
            bytecode_cache=_COMPILED,
        )
        self._env.filters.update(snippet=snippet, wrapped=_wrapped)
        checks: dict[str, Callable[..., None]] = {"format": _check_format, "wordwrap": self._env.check_wrap}
        self._env.filters = {
            name: _limited(function, checks.get(name, self._env.check_values))
            for name, function in self._env.filters.items()
        }
        del self._env.globals["lipsum"]  # it takes as long as it is told to

    def fill(self, name: str, values: Mapping[str, object]) -> str:
        """Return the template `name` with these values in it. Raises ConfigError."""
        with self._guarded(name):
            pieces, size = [], 0
            for piece in self._env.get_template(name).generate(values):
                pieces.append(piece)
                size += len(piece)
                if size > _MAX_OUTPUT:
                    why = f"it makes more than {_MAX_OUTPUT:,} characters; look for a loop that makes too many"
                    raise ConfigError([f"{self.path(name)}: {why}"])
            return "".join(pieces)

    def part(self, name: str, macro: str, *values: object) -> str:
        """Return what a macro of the template `name` makes of these values. Raises ConfigError."""
        with self._guarded(name):
            try:
                found = getattr(self._env.get_template(name).module, macro, None)
                if found is None:
                    raise ConfigError([f"{self.path(name)}: has no macro {macro}; copy it from the built-in file"])
                return str(found(*values))
            except Exception:  # noqa: BLE001  raised again in the next line
                self._env.handle_exception()  # with the lines of the template instead of those of its compiled code

    @staticmethod
    def trusted(html: str) -> str:
        """Return HTML that templates made, as a value that no template escapes again."""
        return do_mark_safe(html)

    @contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        """A block that fills in the template `name`, in limited steps; whatever is wrong in it is a ConfigError."""
        self._env.steps = 0
        try:
            yield
        except TemplateSyntaxError as error:
            where = f"{error.filename or error.name}, line {error.lineno}"
            raise ConfigError([f"{where}: {_shorten(error.message)}"]) from None
        except TemplateNotFound as error:
            raise ConfigError(
                [f"{_where(error, self.path(name))}: no template is named {_shorten(error.name)}"]
            ) from None
        except RecursionError as error:
            raise ConfigError([f"{_where(error, self.path(name))}: it includes or calls itself without end"]) from None
        except MemoryError as error:
            raise ConfigError([f"{_where(error, self.path(name))}: it needs too much memory"]) from None
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError([f"{_where(error, self.path(name))}: {_shorten(error)}"]) from None

    def own(self, *names: str) -> list[str]:
        """Return the files of those of these templates that are the operator's own."""
        files = [self._overrides / name for name in names] if self._overrides else []
        return [str(file) for file in files if file.is_file()]

    def path(self, name: str) -> str:
        """Return the file that is used for the template `name`; just the name if there is none."""
        files = (folder / name for folder in self._folders)
        return next((str(file) for file in files if file.is_file()), name)


class _Compiled(BytecodeCache):
    """Keeps the code of a template while the process lives: the demo makes several mails, each with its own renderer.

    A bucket has the file as its key and a checksum of the source.
    """

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        if bucket.code is not None:
            self._codes[bucket.key, bucket.checksum] = bucket.code


_COMPILED = _Compiled()


class _CodeGenerator(CodeGenerator):
    def visit_For(self, node: For, frame: Frame) -> None:
        node.iter = Call(EnvironmentAttribute("counted"), [node.iter], [], None, None)
        super().visit_For(node, frame)


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, with limits for steps and for the size of what operators, methods and filters make."""

    code_generator_class = _CodeGenerator
    intercepted_binops = frozenset({"*", "**", "%"})
    steps = 0

    def counted(self, values: Iterable[object]) -> Iterator[object]:
        """Yield what a loop goes through."""
        for value in values:
            self._step()
            yield value

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        self._step()
        self.check_values(getattr(obj, "__self__", None), *args, *kwargs.values())
        return super().call(context, obj, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Return the method `format` or `format_map` of a text as the sandbox allows it, with a check of the text."""
        wrapped = super().wrap_str_format(value)
        return _limited(wrapped, partial(_check_format, value.__self__)) if wrapped else None

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if _size_of_product(operator, left, right) > _MAX_OUTPUT:
            raise TemplateRuntimeError(f"the result of {operator} is too large")
        if operator == "%" and isinstance(left, str):
            _check_format(left, *(right if isinstance(right, tuple) else (right,)))
        return super().call_binop(context, operator, left, right)

    def check_values(self, *values: object) -> None:
        """Refuse what is too large for a filter or a call, and count the steps that it takes for these values."""
        _check_sizes(*values)
        self._step(_length(values) // _PER_STEP)

    def check_wrap(self, *values: object) -> None:
        """The same for `wordwrap`: for every line, textwrap copies the rest of a word and looks at all of a gap."""
        _check_sizes(*values)
        self._step(_length(values) ** 2 // _WRAPPED_PER_STEP)

    def _step(self, count: int = 1) -> None:
        if self.steps + count > _MAX_STEPS:
            why = "look for a loop that never ends, or a very long text"
            raise TemplateRuntimeError(f"it takes more than {_MAX_STEPS:,} steps; {why}")
        self.steps += count


def _size_of_product(operator: str, left: object, right: object) -> int:
    """Return at least the bits of a number, or the items of a text or list, that `*` or `**` would make."""
    if isinstance(left, int) and isinstance(right, int):
        return left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
    items, times = (right, left) if isinstance(left, int) else (left, right)
    return len(items) * times if isinstance(items, str | bytes | list | tuple) and isinstance(times, int) else 0


def _length(values: Iterable[object]) -> int:
    return sum(len(value) for value in values if isinstance(value, str | list | tuple))


def _check_sizes(*values: object) -> None:
    """Refuse what a function could make a huge text of: a large number, or texts and lists that multiply."""
    lengths = sorted((len(value) for value in values if isinstance(value, str | list | tuple)), reverse=True)
    large = any(isinstance(value, int) and abs(value) > _MAX_OUTPUT for value in values)
    if large or math.prod(lengths[:2]) > _MAX_PRODUCT:
        raise TemplateRuntimeError("its values are too large for this function")


def _check_format(text: str, *values: object) -> None:
    """Refuse a format with a huge width, in it or among its values."""
    _check_sizes(text, *values)
    if _WIDTH.search(text):
        raise TemplateRuntimeError("the format has a width that is too large")


def _limited(function: Callable[..., Any], check: Callable[..., None]) -> Callable[..., Any]:
    """Return the filter with a check of its values."""

    @wraps(function)  # with the attributes by which Jinja knows what to pass
    def limited(*args: Any, **kwargs: Any) -> Any:
        check(*args, *kwargs.values())
        return function(*args, **kwargs)

    return limited


def _load(folders: Sequence[Path], name: str) -> tuple[str, str, None] | None:
    """Return the text of a template and its file, from the first folder that has it."""
    for folder in folders:
        path = folder.joinpath(*split_template_path(name))
        try:
            if path.is_file():
                return _read(path), str(path), None
        except OSError as error:
            raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    return None


def _read(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_MAX_FILE + 1)
    if len(content) > _MAX_FILE:
        raise ConfigError([f"{path}: is larger than {_MAX_FILE // 1000} kB; make it shorter"])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path}, line {line}: is not UTF-8; save the file as UTF-8"]) from None


def _wrapped(text: object, indent: str = "", first: str | None = None) -> str:
    return "\n".join(wrap(str(text), _COLUMNS, indent=indent, first=first))


def _shorten(error: object) -> str:
    return str(error)[:300]


def _where(error: BaseException, path: str) -> str:
    """Return file and line of the template in which a run-time error happened, by default `path`."""
    frames: Iterable[traceback.FrameSummary] = traceback.extract_tb(error.__traceback__)
    found = [frame for frame in frames if frame.filename.endswith((".html", ".txt", ".css"))]
    return f"{found[-1].filename}, line {found[-1].lineno}" if found else path
