"""The GitHub Actions workflow: what is written, what is left alone, and what linters and GitHub's own schema say."""

import subprocess
import sys
from datetime import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from ruamel.yaml import YAML

from digest.cli import main

CONFIG = """
[digest]
from = "Paper Digest <digest@example.org>"
to = ["ann@example.org"]
timezone = "Europe/Berlin"
[[sources]]
type = "huggingface"
[smtp]
host = "smtp.example.org"
username = "digest@example.org"
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "config.toml").write_text(CONFIG)
    return folder


def schedule(repository: Path, *words: str) -> Result:
    config = repository / "config.toml"
    return CliRunner().invoke(main, ["-c", str(config), "schedule", *words, "--github", str(repository)])


def workflow(repository: Path) -> Path:
    return repository / ".github/workflows/digest.yml"


def crons(repository: Path) -> list[tuple[str, str]]:
    document = YAML(typ="safe").load(workflow(repository))
    return [(entry["cron"], entry["timezone"]) for entry in document["on"]["schedule"]]


def test_the_workflow_is_written_once_and_then_left_alone(repository: Path) -> None:
    shown = schedule(repository, "show")
    first = schedule(repository, "install")
    assert (first.exit_code, "private repository" in first.output) == (0, True), first.output
    assert "DIGEST_SMTP_PASSWORD, HF_TOKEN" in first.output
    written = workflow(repository).read_text()
    assert written in shown.output
    before = workflow(repository).stat().st_mtime_ns
    again = schedule(repository, "install")
    assert "Nothing was changed" in again.output
    assert workflow(repository).stat().st_mtime_ns == before
    assert "Installed." in schedule(repository, "show").output


def test_other_options_replace_a_workflow_that_nobody_changed(repository: Path) -> None:
    schedule(repository, "install")
    assert schedule(repository, "install", "--at", "06:45", "--weekdays", "--install", "./d.whl").exit_code == 0
    assert crons(repository) == [("45 6 * * 1-5", "Europe/Berlin"), ("45 10 * * 1-5", "Europe/Berlin")]
    assert 'REQUIREMENT: "./d.whl"' in workflow(repository).read_text()


@pytest.mark.parametrize("action", ["install", "remove"])
def test_a_workflow_changed_by_hand_is_kept_and_reported(repository: Path, action: str) -> None:
    schedule(repository, "install")
    changed = workflow(repository).read_text().replace("timeout-minutes: 60", "timeout-minutes: 90")
    workflow(repository).write_text(changed)
    done = schedule(repository, action, *(["--at", "08:00"] if action == "install" else []))
    assert done.exit_code == 2
    assert "was changed by hand" in done.output
    assert workflow(repository).read_text() == changed


def test_remove_deletes_what_install_wrote(repository: Path) -> None:
    schedule(repository, "install")
    assert schedule(repository, "remove").exit_code == 0
    assert not workflow(repository).exists()
    assert "Nothing was changed" in schedule(repository, "remove").output


@pytest.mark.parametrize("at", ["00:00", "06:00", "07:30", "12:59", "19:00", "20:45", "21:59", "22:00", "23:59"])
def test_no_run_starts_on_the_hour_and_the_second_comes_hours_later_on_the_same_day(repository: Path, at: str) -> None:
    schedule(repository, "install", "--at", at)
    moments = [time(int(cron.split()[1]), int(cron.split()[0])) for cron, _ in crons(repository)]
    assert all(moment.minute for moment in moments)
    assert moments[0].hour == int(at[:2])
    if at < "22:00":
        assert 2 <= moments[1].hour - moments[0].hour <= 14
    else:
        assert len(moments) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["install", "--systemd"], "exclude each other"),
        (["install", "--install", "${{ secrets.X }}"], "cannot be written into a workflow"),
    ],
)
def test_what_the_workflow_cannot_hold_is_refused(repository: Path, words: list[str], message: str) -> None:
    done = schedule(repository, *words)
    assert (done.exit_code, message in done.output) == (2, True), done.output
    assert not workflow(repository).exists()


def test_configuration_and_history_must_be_in_the_repository(repository: Path, tmp_path: Path) -> None:
    config = repository / "config.toml"
    config.write_text(CONFIG.replace("[digest]", '[digest]\ndatabase = "../history.db"'))
    done = schedule(repository, "install")
    assert (done.exit_code, "digest.database" in done.output) == (2, True)


def test_linters_and_the_schema_find_nothing(repository: Path) -> None:
    schedule(repository, "install")
    scripts = Path(sys.executable).parent
    for words in (["check-jsonschema", "--builtin-schema", "vendor.github-workflows"], ["zizmor", "--offline"]):
        done = subprocess.run([scripts / words[0], *words[1:], workflow(repository)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
