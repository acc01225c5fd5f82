"""Whatever stands in the place of a file or on the command line: an expected end, soon, in bounded memory."""

import json
import os
import random
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from digest.cli import main
from tests.conftest import Workplace, paper

pytestmark = pytest.mark.slow

EXPECTED = (0, 2, 3, 4, 5)  # exit codes
MEMORY = 2**30  # bytes that a command may use
SECONDS = 60
OBEYED = re.compile("[\0-\b\v-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff]")


@pytest.fixture
def place(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    """A folder in which a day has been mailed, and that is the current one."""
    monkeypatch.chdir(workplace.folder)
    workplace.more = '[[sources]]\ntype = "file"\npath = "papers.jsonl"\n[[topics]]\nname = "Even"\nmatch = ["even"]\n'
    workplace.lists(paper(1), paper(2))
    workplace.config()
    (workplace.folder / "people.csv").write_text("bob@example.org\n")
    assert CliRunner().invoke(main, ["-q", "run", "--date", "2026-04-20"]).exit_code == 0
    return workplace


def digest(place: Workplace, *words: str) -> tuple[int, str]:
    """The exit code and all output of a command with little memory and time."""
    done = subprocess.run(
        [sys.executable, "-m", "digest", *words],
        cwd=place.folder,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env={"HOME": str(place.folder), "PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=SECONDS,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def text(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


MEGABYTE = 2**20
KINDS: dict[str, Callable[[Path], object]] = {
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "endless": lambda path: path.symlink_to("/dev/zero"),
    "random": lambda path: path.symlink_to("/dev/urandom"),
    "nothing": lambda path: path.symlink_to("/dev/null"),
    "loop": lambda path: path.symlink_to(path.name),
    "dangling": lambda path: path.symlink_to("nowhere/at/all"),
    "memory": lambda path: path.symlink_to("/proc/self/mem"),
    "empty": text(b""),
    "zeros": text(bytes(10 * MEGABYTE)),
    "binary": text(random.Random(1).randbytes(10 * MEGABYTE)),
    "letters": text(b"x" * 10 * MEGABYTE),
    "lines": text(b"x\n" * 5 * MEGABYTE),
    "brackets": text(b"[" * 10 * MEGABYTE),
    "quotes": text(b'x","\n' * 2 * MEGABYTE),
    "latin-1": text(b"caf\xe9\n"),
    "utf-16": text("[digest]\nx@example.org".encode("utf-16")),
}
ROLES: dict[str, list[tuple[str, ...]]] = {
    "config.toml": [("status",), ("run",), ("doctor",), ("schedule", "remove"), ("init",)],
    ".env": [("status",), ("run",), ("doctor",), ("init",)],
    "people.csv": [("subscribers", "import", "people.csv"), ("subscribers", "export", "people.csv")],
    "papers.jsonl": [("run", "--date", "2026-04-21"), ("preview", "-o", "-"), ("doctor",)],
    "page.html": [("preview", "-o", "page.html")],
    "copy.db": [("backup", "copy.db"), ("backup", "--force", "copy.db")],
    "copy.db.secret": [("backup", "--force", "copy.db")],
    "history.db": [("status",), ("run",), ("doctor",), ("search", "paper"), ("prune", "--older-than", "1d"),
                   ("backup", "copy.db"), ("subscribers", "list")],
    "history.db.secret": [("run", "--date", "2026-04-21"), ("subscribers", "list"), ("backup", "copy.db")],
    "history.db.lock": [("run",), ("send",)],
    "mail": [("run", "--date", "2026-04-21"), ("doctor",)],
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("name", sorted(ROLES))
def test_anything_in_the_place_of_a_file_is_an_expected_end(place: Workplace, name: str, kind: str) -> None:
    path = place.folder / name
    if path.exists():
        path.rename(place.folder / "before")
    KINDS[kind](path)
    for words in ROLES[name]:
        code, output = digest(place, *words)
        assert code in EXPECTED, (words, output[-1000:])
        assert "Traceback" not in output
        assert len(output) < MEGABYTE, output[:1000]
    assert Path("/dev/null").stat().st_rdev == os.makedev(1, 3), "it is still there"


COMMANDS = (
    "run, fetch, preview -o page.html, preview -o, send, status, search, explain, backtest, subscribers add,"
    " subscribers remove, subscribers pause, subscribers resume, subscribers list, subscribers import,"
    " subscribers export, subscribers, schedule show, prune, backup, inbox, nothing, -c, --log-format, init, demo,"
    " doctor"
).split(", ")
WORDS = [
    *("\x1b[31m", "\x9b31m", "\u202e", "\a", "\r", "\n", "\t", "\udcff", "x" * 3000, "", "é", "日本", "\u2028", "\x7f"),
    *("-", "--", "-o", "--to", "ann@example.org", "2026-04-20", "2604.00001", "~nobody/x", "folder", "pipe", "loop"),
    *("/", "..", ".", "/dev/null", "/dev/zero", "/dev/null/x", "people.csv", "papers.jsonl", "history.db", "mail"),
    *("*", '"', "author:", "NEAR(", "a OR", "^", "(", ")", "1", "-1", "9" * 30, "%s", "{", "\\", "=1+1", "a@\x1bb"),
    *("--format", "csv", "json", "--json", "--like", "--since", "--limit", "--days", "--date", "--topic", "Even"),
    *("--max-papers", "--until", "--at", "07:30", "--systemd", "--older-than", "3d", "--dry-run", "--force", "-q"),
    *("-v", "--help", "--all", "--config", "--send-test", "--log-format", "text"),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_any_command_line_is_an_expected_end(place: Workplace, seed: int) -> None:
    chance = random.Random(seed)
    os.mkfifo("pipe")
    Path("loop").symlink_to("loop")
    Path("folder").mkdir()
    for _ in range(100):
        command = chance.choice(COMMANDS)
        words = [chance.choice(WORDS) + (chance.choice(WORDS) if chance.random() < 0.3 else "") for _ in range(3)]
        words = words[: chance.randint(0, 3)]
        if command in ("init", "demo") and any(word.startswith("/") for word in words):
            continue  # as root it may write there
        place.config()
        line = ["-c", "config.toml", *command.split(), *words]
        result = CliRunner().invoke(main, line, input=b"bob@example.org\n\xff")
        assert result.exception is None or isinstance(result.exception, SystemExit), line
        assert result.exit_code in EXPECTED, (line, result.output)
        assert "Traceback" not in result.output
        assert not OBEYED.search(result.stderr), line
        if "-" not in words and "export" not in command:
            assert not OBEYED.search(result.stdout), line


TOML = [
    *(b'"', b"'", b"[", b"]", b"[[", b"]]", b"{", b"}", b"=", b".", b"\n", b"\0", b"\x1b", b"\xff", b"\r", b"#", b"\\"),
    *(b"1e999", b"nan", b"-inf", b"99999999999999999999", b"-1", b"0", b"true", b'""', b"[]", b"{}", b"[[1]]", b"[{}]"),
    *(b"1979-05-27", b"07:32:00", b"1979-05-27T07:32:00Z", b'"a\\u0000b"', b'"\\u001b[31m"', b'"~nobody-is-here/x"'),
    *(b'"~"', b'"/"', b'".."', b'"/dev/null"', b'"/dev/zero"', b'"/dev/null/x"', b'"http://["', b'"http://a:99999/"'),
    *(b'"a@xn--a.example"', b'"UTC/../x"', b'"."', b'"' + b"x" * 5000 + b'"', b"9" * 5000, b'"""', b'"{token}"'),
]  # fmt: skip
EXAMPLE = (Path(__file__).parents[2] / "config.example.toml").read_bytes()


@pytest.mark.parametrize("seed", range(8))
def test_any_configuration_is_an_expected_end(place: Workplace, seed: int) -> None:
    chance = random.Random(seed)
    place.config()
    whole = re.sub(rb"(?m)^# ?(?=[\w\[])", b"", EXAMPLE)  # every key, and some prose
    for _ in range(150):
        content = chance.choice([place.path.read_bytes(), EXAMPLE, whole])
        for _ in range(chance.randint(1, 4)):
            if chance.random() < 0.6 and (values := list(re.finditer(rb"=[ ]*([^\n]+)", content))):
                start, end = chance.choice(values).span(1)
            else:
                start = chance.randint(0, len(content))
                end = start + chance.randint(0, 30)
            content = content[:start] + chance.choice(TOML) + content[end:]
        Path("other.toml").write_bytes(content)
        for words in (["status"], ["backtest"], ["subscribers", "list"]):
            result = CliRunner().invoke(main, ["-c", "other.toml", *words])
            assert result.exit_code in EXPECTED, (content, result.output)
            assert not OBEYED.search(result.output)


IMPORT = [
    *(b'"', b'""', b",", b";", b"\t", b"\n", b"\r", b"[", b"]", b"{", b"}", b":", b"\0", b"\xff", b"\xef\xbb\xbf"),
    *(b"\xe2\x80\xa8", b"null", b"1e999", b"9" * 5000, b"[" * 2000, b'{"a":' * 500, b"\\ud800", b"\\u0000", b"=1+1"),
    *(b"|", b"<", b">", b"address", b"state", b"left", b"LEFT", b"topics", b"Even", b"paused_until", b"0001-01-01"),
    *(b"9999-12-31", b"-1", "é".encode(), b"x" * 3000, b"a@example.org", b"\x1b[31m", b"why", b"max_papers", b"1000"),
    *(b"true", b"[]", b"{}"),
]  # fmt: skip
ROWS = [
    b"address,state,topics,max_papers,paused_until\nann@example.org,active,Even,3,\nbob@example.org,paused,,,2026-05-01\n",
    json.dumps(
        [{"address": "ann@example.org", "state": "left", "topics": ["x"], "why": "y", "max_papers": 3}]
    ).encode(),
    b'{"address": "ann@example.org"}\n{"address": "bob@example.org", "paused_until": "2026-05-01"}\n',
    b"ann@example.org\nBob <bob@example.org>\n",
]


@pytest.mark.parametrize("seed", range(8))
def test_any_import_is_an_expected_end_and_can_be_exported(place: Workplace, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(100):
        content = chance.choice(ROWS)
        for _ in range(chance.randint(1, 6)):
            start = chance.randint(0, len(content))
            content = content[:start] + chance.choice(IMPORT) + content[start + chance.randint(0, 20) :]
        result = CliRunner().invoke(main, ["subscribers", "import", "-"], input=content)
        assert result.exit_code in (0, 2), (content, result.output)
        assert not OBEYED.search(result.output)
    for form in ("csv", "json"):
        exported = CliRunner().invoke(main, ["subscribers", "export", "--format", form])
        again = CliRunner().invoke(main, ["subscribers", "import", "-"], input=exported.stdout_bytes)
        assert again.exit_code == 0, again.output
