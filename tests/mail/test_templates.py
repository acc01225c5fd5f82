"""Templates of one's own: what they may do, what they may not, and that a mistake is named."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from digest.errors import ConfigError
from digest.files import bundled_file
from digest.mail.render import RenderedEdition
from tests.editions import edition, plain_papers, rendered, renderer


def rendered_with(folder: Path, **files: str | bytes) -> RenderedEdition:
    """An edition of two papers, with these overrides; `__` stands for the dot of a file name."""
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_bytes(text if isinstance(text, bytes) else text.encode())
    return rendered(edition(plain_papers(2)), renderer(overrides=folder))


def test_a_template_of_ones_own_replaces_the_one_of_its_name(tmp_path: Path) -> None:
    made = rendered_with(tmp_path, subject__txt="Mine: {{ count }}")
    assert made.subject == "Mine: 2"
    assert "TOP PICK" in made.html


def test_the_templates_come_with_the_program() -> None:
    assert sorted(path.name for path in bundled_file("templates").iterdir()) == [
        "_choices.txt",
        "_commands.txt",
        "_editions.html",
        "_paper.html",
        "_parts.html",
        "_parts.txt",
        "_site.html",
        "choices.txt",
        "confirmation.txt",
        "dark.css",
        "digest.html",
        "digest.txt",
        "edition.html",
        "feed_entry.html",
        "head.css",
        "help.txt",
        "index.html",
        "inline.css",
        "month.html",
        "site.css",
        "subject.txt",
        "welcome.txt",
    ]


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("digest.html", "<p>\n{% if %}", "digest.html, line 2: "),
        ("digest.html", "\n\n{{ edition.titel }}", "digest.html, line 3: "),
        ("digest.txt", "{{ nothing }}", "digest.txt, line 1: "),
        (
            "_parts.html",
            "{% macro preheader(words, first) %}{% endmacro %}{% macro intro(words) %}{% endmacro %}"
            "{% macro top(view) %}\n{{ 1 / 0 }}{% endmacro %}",
            "_parts.html, line 2: ",
        ),
        ("inline.css", "{{ 'x' | nofilter }}", "inline.css, line 1: "),
        ("digest.html", "\n{% include 'footer.html' %}", "digest.html, line 2: no template is named footer.html"),
        ("digest.html", "\n{% include '../config.toml' %}", "digest.html, line 2: no template is named ../config.toml"),
        # what is never to end, or to need all memory
        ("digest.html", "\n{% include 'digest.html' %}", "digest.html, line 2: "),
        ("digest.html", "{% macro f() %}\n{{ f() }}{% endmacro %}{{ f() }}", "digest.html, line 2: "),
        ("digest.txt", "\n{% for _ in range(10**12) %}{% endfor %}", "digest.txt, line 2: "),
        ("digest.txt", "{% for a in 'x' * 9999 %}\n{% for b in 'x' * 9999 %}{% endfor %}{% endfor %}", "txt, line 2: "),
        ("digest.txt", "{% for _ in range(99999) %}\n{{ edition.title * 99 }}{% endfor %}", "digest.txt: "),
        ("digest.txt", "\n{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
         "digest.txt, line 2: "),
        ("subject.txt", "\n{{ 'x' * 50_000_000 }}", "subject.txt, line 2: "),
        ("digest.html", "\n{{ 9 ** 999_999_999 }}", "digest.html, line 2: "),
        ("digest.html", "\n{{ [1] * 10 ** 10 }}", "digest.html, line 2: "),
        ("digest.html", "\n{{ 'x' | center(5_000_000) }}", "digest.html, line 2: "),
        ("digest.html", "\n{{ 'x'.ljust(5_000_000) }}", "digest.html, line 2: "),
        ("digest.html", "\n{{ 'x' | batch(999_999_999, 'x') | list }}", "digest.html, line 2: "),
        ("digest.txt", "\n{{ '%0999999999d' % 1 }}", "digest.txt, line 2: "),
        ("digest.txt", "\n{{ '%*d' % (999_999_999, 1) }}", "digest.txt, line 2: "),
        ("digest.txt", "\n{{ '%0999999999d' | format(1) }}", "digest.txt, line 2: "),
        ("digest.txt", "\n{{ '{:>999999999}'.format(1) }}", "digest.txt, line 2: "),
        ("digest.txt", "\n{{ ('x' * 99_999) | replace('x', 'x' * 99_999) }}", "digest.txt, line 2: "),
        ("digest.txt", "\n{{ ('x' * 99_999).replace('x', 'x' * 99_999) }}", "digest.txt, line 2: "),
        ("digest.txt", "\n{{ lipsum(n=10_000_000) }}", "digest.txt, line 2: "),
        ("digest.txt", "\n{{ ('x' * 10**6) | wordwrap(1) }}", "digest.txt, line 2: it takes more than 200,000 steps"),
        ("digest.txt", "\n{{ (' ' * 10**6) | wordwrap }}", "digest.txt, line 2: it takes more than 200,000 steps"),
        ("digest.txt", "\n{% for _ in range(99999) %}{{ (' ' * 9999) | wordwrap | length }}{% endfor %}", "line 2: "),
        ("digest.txt", "\n{% for _ in range(99999) %}{{ ('é' * 10**6) | upper | length }}{% endfor %}", "line 2: "),
        ("digest.txt", "\n{% for _ in range(99999) %}{{ ('é' * 10**6).upper() | length }}{% endfor %}", "line 2: "),
        # what is no mail
        ("digest.html", "", "digest.html: "),
        ("digest.html", " \n ", "digest.html: "),
        ("digest.html", "<!-- nothing -->", "digest.html: "),
        ("digest.html", "<?xml version='1.0' encoding='utf-8'?><p>", "digest.html: "),
        ("digest.html", "<frameset>", "digest.html: "),
        ("digest.html", "<style>@namespace a url(x); a|p { color: red }</style><p>", "digest.html: "),
        ("digest.html", b"<p>\ncaf\xe9", "digest.html, line 2: "),
        ("digest.html", "<p>" + "long " * 10_000_000, "digest.html: "),
        ("inline.css", "p { color: red } " * 100_000, "inline.css: "),
        # what is none of its business
        ("digest.html", "\n{{ ''.__class__.__mro__ }}", "digest.html, line 2: "),
        ("digest.html", "\n{{ edition.__init__.__globals__ }}", "digest.html, line 2: "),
        ("digest.html", "\n{{ cycler.__init__.__globals__.os.popen('id').read() }}", "digest.html, line 2: "),
        ("digest.txt", "\n{{ ''['__class__'] }}", "digest.txt, line 2: "),
        ("digest.txt", "\n{{ '' | attr('__class__') }}", "digest.txt, line 2: "),
        ("digest.txt", "\n{{ '{0.__class__}'.format(1) }}", "digest.txt, line 2: "),
        ("digest.txt", "\n{{ edition.notices.append('x') }}", "digest.txt, line 2: "),
    ],
)  # fmt: skip
def test_a_mistake_in_a_template_is_an_error_that_names_the_file(
    tmp_path: Path, name: str, text: str | bytes, where: str
) -> None:
    """In a process of its own: what never ends cannot be interrupted."""
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))\n"
        "from pathlib import Path\nfrom digest.errors import ConfigError\nfrom tests.editions import *\n"
        f"try: rendered(edition(plain_papers(1)), renderer(overrides=Path({str(tmp_path)!r})))\n"
        "except ConfigError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.stderr == ""
    assert done.stdout.startswith(f"{tmp_path / name}"[: -len(name)])
    assert where in done.stdout
    assert len(done.stdout) < 1_000


def test_the_filters_of_jinja_work_on_what_a_mail_holds(tmp_path: Path) -> None:
    """120 abstracts of 2,000 characters are far below the limits."""
    text = "{% for _ in range(120) %}{{ ('long words ' * 180) | wordwrap(72) | upper | trim }}\n{% endfor %}"
    made = rendered_with(tmp_path, digest__txt=text)
    lines = made.text.split("\n")
    assert made.text.count("LONG WORDS") + made.text.count("LONG\nWORDS") == 120 * 180
    assert max(map(len, lines)) <= 72


def test_a_template_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "digest.html").symlink_to("/proc/self/mem")
    with pytest.raises(ConfigError, match=r"digest\.html: cannot be read: "):
        rendered(edition(plain_papers(1)), renderer(overrides=tmp_path))


@contextmanager
def counting_server() -> Iterator[tuple[str, list[str]]]:
    """A web server: its address, and the paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"p { color: red }")

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.mark.parametrize(
    "css",
    [
        "@import url({url}/a.css);",
        '@import "{url}/a.css" screen;',
        "@\\69mport url({url}/a.css);",
        "@import url({url}/a.css); p {{ background: url({url}/b.png) }} @font-face {{ src: url({url}/c.woff) }}",
        "@namespace url({url}/a);",
    ],
)
def test_no_style_sheet_is_fetched(tmp_path: Path, css: str) -> None:
    with counting_server() as (url, asked):
        made = rendered_with(tmp_path, inline__css=css.format(url=url) + " h1 { color: #123456 }")
    assert asked == []
    assert "color:#123456" in made.html


def test_nothing_that_the_html_names_is_fetched(tmp_path: Path) -> None:
    page = (
        '<!DOCTYPE html SYSTEM "{url}/dtd"><html><head><link rel="stylesheet" href="{url}/a.css">'
        '<link rel="stylesheet" href="file:///etc/passwd"><style>@import url({url}/b.css); p {{ color: blue }}</style>'
        '</head><body background="{url}/c.png"><p>x<img src="{url}/d.png"></p><iframe src="{url}/e"></iframe></body>'
    )
    with counting_server() as (url, asked):
        made = rendered_with(tmp_path, digest__html=page.format(url=url))
    assert asked == []
    assert "color:blue" in made.html
    assert "root:" not in made.html
