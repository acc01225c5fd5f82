"""What an operator sees: the width and the colours of a terminal, and plain whole lines everywhere else."""

import json
import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from freezegun import freeze_time

from digest.cli import main
from digest.cli.terminal import ERROR, STATUS, fit, paint
from digest.papers.text.clean import display_width
from digest.papers.text.fit import format_table
from tests import terminal
from tests.conftest import MONDAY, Workplace, paper, text_of

WIDTHS = (60, 80, 160)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
TOPIC = '[[topics]]\nname = "Otters"\nmatch = ["otter*"]\n[[sources]]\ntype = "file"\npath = "papers.jsonl"'


@pytest.fixture
def place(workplace: Workplace) -> Workplace:
    title = "Attention-based state-of-the-art transformers for the generation of long videos with sound, number {}"
    workplace.more = TOPIC
    workplace.lists(*(paper(n, title=title.format(n), upvotes=n) for n in range(1, 4)))
    workplace.run(MONDAY)
    workplace.digest = {"max_papers": 1}
    workplace.lists(*(paper(n, title=title.format(n), upvotes=n) for n in range(4, 8)))
    workplace.run(MONDAY + timedelta(1))
    return workplace


def on_terminal(place: Workplace, columns: int, *words: str, code: int = 0, **environ: str) -> str:
    """What a command prints on a terminal of so many columns."""
    given = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    environ = {**given, "TERM": "xterm", "LANG": "C.UTF-8", **environ}
    ended, said = terminal.on_terminal(place.folder, columns, ("-c", str(place.path), *words), environ)
    assert ended == code, said
    return re.sub(r".*\r\x1b\[K", "", said)


def digest(place: Workplace, *words: str) -> Result:
    with freeze_time("2026-04-21 08:00:00"):
        return CliRunner().invoke(main, ["-c", str(place.path), *words])


def words_of(text: str) -> list[str]:
    return COLOUR.sub("", text).split()


@pytest.mark.parametrize("columns", WIDTHS)
def test_lines_and_tables_fit_the_terminal_and_no_word_is_broken(place: Workplace, columns: int) -> None:
    commands = (
        ("status",),
        ("search", "transformers"),
        ("explain", "2604.00005", "--date", "2026-04-21"),
        ("backtest", "--days", "2", "--date", "2026-04-21"),
        ("subscribers", "list"),
    )
    for command in commands:
        said = on_terminal(place, columns, *command)
        plain = COLOUR.sub("", said)
        longest = max(map(display_width, plain.splitlines()))
        assert longest <= columns, (command, plain)
        piped = digest(place, *command).stdout
        assert sorted(words_of(said)) == sorted(piped.split()), command  # the cells of a table share lines
        if columns == 160 and command[0] == "backtest":
            assert longest > 100, "a wide terminal is used"


def test_colours_are_for_terminals_without_no_color(place: Workplace) -> None:
    for words, code, painted in (
        (("status",), 0, "\x1b[32mok\x1b[0m"),
        (("doctor",), 0, "\x1b[32m✓\x1b[0m configuration"),
        (("explain", "nothing"), 2, "\x1b[31m\x1b[1mdigest:\x1b[0m no paper found"),
        (("stauts",), 2, "\x1b[31m\x1b[1mError:\x1b[0m No such command"),
    ):
        assert painted in on_terminal(place, 80, *words, code=code)
        for environ in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            assert not COLOUR.search(on_terminal(place, 80, *words, code=code, **environ))
        assert "\x1b" not in digest(place, *words).output


def test_a_log_line_on_a_terminal_has_the_local_time_to_the_second(place: Workplace) -> None:
    said = COLOUR.sub("", on_terminal(place, 60, "run", TZ="Asia/Tokyo"))
    assert re.search(r"^\d\d:\d\d:\d\d INFO fetched source=papers state=read$", said.replace(" papers=4", ""), re.M), (
        said
    )
    assert re.search(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d INFO", digest(place, "run").stderr, re.M)


def test_a_long_line_hangs_from_its_label_and_commands_stay_whole() -> None:
    text = "! schedule            nothing runs the job on a schedule"
    assert fit(f"{text}\n{' ' * 22}→ run `digest schedule install` now", 50).splitlines() == [
        "! schedule            nothing runs the job on a",
        "                      schedule",
        "                      → run",
        "                        `digest schedule install`",
        "                        now",
    ]
    command = "  digest -c '/home/ann/a folder with a long name/config.toml' doctor"
    assert fit(command, 40) == command
    assert fit("https://example.org/a/very/long/address is kept whole", 20).splitlines()[0].endswith("address")


def test_a_table_shrinks_its_widest_column_and_breaks_chinese_anywhere() -> None:
    rows = [("DATE", "PAPER"), ("2026-04-20", "一个用于生成视频的大型模型及其应用"), ("", "A long title of many words")]
    assert format_table(rows, 30).splitlines() == [
        "DATE        PAPER",
        "2026-04-20  一个用于生成视频的",
        "            大型模型及其应用",
        "            A long title of",
        "            many words",
    ]
    assert format_table([("A", "B")], 10) == "A  B"


def test_strangers_add_no_colour() -> None:
    for styles in (STATUS, ERROR):
        assert paint("a paper called digest: failed", styles) == "a paper called digest: failed"


# ---- options and commands --------------------------------------------------------------------------------------------


def test_global_options_may_stand_before_and_after_a_command_and_its_subcommand(
    place: Workplace, tmp_path: Path
) -> None:
    chosen = ("-c", str(place.path))
    for words in (
        (*chosen, "status"),
        ("status", *chosen),
        (*chosen, "subscribers", "list"),
        ("subscribers", *chosen, "list"),
        ("subscribers", "list", *chosen),
        ("status", "--config", str(place.path)),
        ("backtest", *chosen),
    ):
        assert CliRunner().invoke(main, words).exit_code == 0, words
    assert CliRunner().invoke(main, ["-c", "gone.toml", "status", *chosen]).exit_code == 0, "the last one counts"
    with freeze_time("2026-04-21 08:00:00"):
        assert CliRunner().invoke(main, ["run", "-q", *chosen]).output == ""
        assert "INFO fetched" in CliRunner().invoke(main, ["run", *chosen]).stderr
        lines = CliRunner().invoke(main, ["run", "--log-format", "json", *chosen]).stderr.splitlines()
    assert json.loads(lines[0])["event"] == "fetched"
    assert CliRunner().invoke(main, ["run", "--log-format", "xml"]).exit_code == 2


def test_the_option_config_of_backtest_is_the_one_to_try(place: Workplace) -> None:
    other = place.folder / "other.toml"
    other.write_text(place.path.read_text().replace("max_papers = 1", "max_papers = 2"))
    result = digest(place, "backtest", "--config", str(other), "--days", "1", "--json")
    (day,) = json.loads(result.stdout)
    assert (day["day"], day["staying"], len(day["entering"]), day["leaving"]) == ("2026-04-21", 1, 1, [])
    assert day["entering"][0]["link"].startswith("https://arxiv.org/abs/2604.")


@pytest.mark.parametrize(
    ("words", "near"),
    [(("stauts",), "'status'"), (("subscribers", "lst"), "'list'"), (("run", "--dry"), "'--dry-run'")],
)
def test_an_unknown_command_names_the_near_one(words: tuple[str, ...], near: str) -> None:
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, near in result.stderr) == (2, True), result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(shell: str) -> None:
    word = "sub" if shell == "fish" else "1"  # fish gives the word itself
    environ = {**os.environ, "_DIGEST_COMPLETE": f"{shell}_complete", "COMP_WORDS": "digest sub", "COMP_CWORD": word}
    command = [sys.executable, "-c", "from digest.cli import main; main(prog_name='digest')"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert "subscribers" in done.stdout


def test_xdg_config_home_takes_the_place_of_the_folder_config(
    place: Workplace, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("xdg")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    result = CliRunner().invoke(main, ["status"])
    assert (result.exit_code, str(folder / "digest/config.toml") in result.stderr) == (2, True)
    (folder / "digest").mkdir()
    (folder / "digest/config.toml").write_text(place.path.read_text())
    assert CliRunner().invoke(main, ["status"]).exit_code == 0
    monkeypatch.setenv("XDG_CONFIG_HOME", "digest/..")
    assert "~/.config" in CliRunner().invoke(main, ["status"]).stderr, "a relative one does not count"


# ---- readers, files and platforms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("preview",), ("explain", "2604.00001"), ("backtest",)])
def test_an_unknown_reader_is_refused_and_a_paused_one_said(place: Workplace, words: tuple[str, ...]) -> None:
    result = digest(place, *words, "--to", "eve@example.org")
    assert (result.exit_code, "eve@example.org is not a subscriber; " in result.stderr) == (2, True)
    assert "digest subscribers add eve@example.org" in result.stderr
    assert not (place.folder / "digest-preview.html").exists()
    digest(place, "subscribers", "pause", "ann@example.org", "--until", "2026-05-01")
    result = digest(place, *words, "--to", "ann@example.org")
    assert (result.exit_code, "is paused until 2026-05-01" in result.output) == (0, True)
    digest(place, "subscribers", "remove", "ann@example.org")
    assert "unsubscribed on 2026-04-21" in digest(place, *words, "--to", "ANN@example.org").output


def test_a_preview_goes_to_a_device_too_and_text_has_no_html(place: Workplace) -> None:
    for form, said in (("html", "kB of HTML"), ("txt", "already queued for that day.\n"), ("eml", "kB of HTML")):
        result = digest(place, "preview", "-o", "/dev/null", "--format", form)
        assert (result.exit_code, said in result.stdout) == (0, True), result.output
    assert "HTML" not in digest(place, "preview", "-o", "/dev/null", "--format", "txt").stdout


def test_a_hint_names_the_program_as_it_can_be_typed(tmp_path: Path) -> None:
    """`make demo` calls a program that is not on the PATH."""
    command = tmp_path / "bin" / "digest"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\nfrom digest.cli import main\nmain()\n")
    command.chmod(0o755)
    for path, typed in (("/usr/bin:/bin", "bin/digest"), (f"{tmp_path / 'bin'}:/usr/bin:/bin", "digest")):
        environ = {**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(
            ["bin/digest", "demo"], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
        )
        hint = done.stdout.splitlines()[-2].removeprefix("See the runs: ")
        assert hint == f"{typed} -c digest-demo/config.toml status"
        again = subprocess.run(["/bin/sh", "-c", hint], cwd=tmp_path, env=environ, capture_output=True, check=False)
        assert (again.returncode, b"COMMAND" in again.stdout) == (0, True)


def test_windows_is_refused_in_a_sentence() -> None:
    """There, these modules do not exist."""
    script = (
        "import sys, click; sys.platform = 'win32'\n"
        "for name in ('fcntl', 'pwd', 'grp', 'termios', 'tty', 'resource', 'syslog'): sys.modules[name] = None\n"
        "from digest.cli import main; main(['run'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "digest: Windows is not supported; run digest in WSL (Windows Subsystem for Linux)\n"


def test_where_there_is_no_systemd_a_sentence_says_so(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(place.folder))
    result = digest(place, "schedule", "install", "--systemd")
    assert (result.exit_code, "Traceback" in result.output) == (0, False)
    assert "systemctl" in result.output
    assert digest(place, "status").exit_code == 0
    assert digest(place, "schedule", "install").exit_code == 2


# ---- why there is nothing to send ------------------------------------------------------------------------------------


def nothing(place: Workplace, *words: str) -> str:
    """The last line of a run, without its full stop."""
    with freeze_time("2026-04-22 08:00:00"):
        result = CliRunner().invoke(main, ["-c", str(place.path), "run", *words])
    assert result.exit_code == 0, result.output
    return result.stdout.strip().removeprefix("Nothing new to send: ").removesuffix(".")


def test_a_run_with_nothing_to_send_says_why(place: Workplace) -> None:
    place.digest = {"min_score": 900}
    place.config()
    assert nothing(place, "--dry-run") == nothing(place) == "no new papers"
    rows = [paper(n, title=f"On rivers, part {n}", upvotes=n) for n in range(20, 82)]
    place.lists(*rows)
    place.digest = {"topics_only": True}
    place.config()
    assert nothing(place, "--dry-run") == "62 new papers, none on your topics"
    assert nothing(place) == "62 new papers, none on your topics"
    place.digest = {"min_score": 900}
    place.config()
    assert nothing(place) == "62 new papers, all below the minimum score of 900"
    place.more = TOPIC.replace("match", 'mute = ["part 2?", "part 20", "part 3"]\nmatch')
    place.digest = {"min_score": 900}
    place.config()
    assert nothing(place) == "62 new papers, 61 below the minimum score of 900, 1 muted by your topics"
    place.digest = {}
    place.to = ("ann@example.org", "bob@example.org")
    place.config()
    assert nothing(place, "--dry-run").startswith("Would send 12 papers to 2 subscribers:")
    assert nothing(place) == "Sent 2 messages with 12 papers"
    assert nothing(place) == nothing(place, "--dry-run") == "2 subscribers already have the mail of 2026-04-22"


def test_a_run_without_subscribers_says_so(place: Workplace) -> None:
    digest(place, "subscribers", "pause", "ann@example.org")
    assert nothing(place).startswith("no subscriber gets mail on this Wednesday; `digest subscribers list --all`")


def test_a_mail_without_papers_gives_the_reason_too(place: Workplace) -> None:
    place.lists(paper(50, title="On rivers"))
    place.digest = {"topics_only": True, "when_empty": "send"}
    place.config()
    assert nothing(place, "--dry-run").startswith("Would send a mail without papers to 1 subscriber: ")
    assert nothing(place) == "Sent 1 message; nothing new for 1 subscriber (1 new paper, not on their topics)"
    assert "1 new paper, not on your topics" in text_of(place.mails()["ann@example.org"][-1])


def test_those_who_left_are_no_readers_to_the_doctor_and_in_the_list(place: Workplace) -> None:
    place.to = ("ann@example.org", "bob@example.org")
    place.config()
    digest(place, "subscribers", "add", "eve@example.org", "ANN@example.org")
    assert "1 topic, 3 readers" in CliRunner().invoke(main, ["doctor", "-c", str(place.path)]).stdout
    digest(place, "subscribers", "remove", "ann@example.org", "eve@example.org")
    assert "1 topic, 1 reader\n" in CliRunner().invoke(main, ["doctor", "-c", str(place.path)]).stdout
    listed = digest(place, "subscribers", "list").stdout
    assert ("bob@" in listed, "ann@" in listed) == (True, False)
