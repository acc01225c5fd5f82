"""A GitHub Actions workflow that runs digest without a server of one's own.

A runner keeps nothing, so the state (the history and its secret) is handed on in the repository: as the only commit of
a branch that is replaced at every push. It is not in the cache, which GitHub empties, nor in artifacts, which expire,
nor on the main branch, which would grow by megabytes a day. A run goes

    restore ──▶ run --hold ──▶ push ──▶ send ──▶ push

so the day's mail is frozen in the repository before the first message leaves. A runner that dies after that, in
whatever moment, cannot lead to a second, different mail. Two runs at once cannot either: the push of the slower one is
refused (--force-with-lease), and it sends nothing.

The scripts use plain git; checkout is the only action. The token for git is in the environment of the steps that need
it and is never written to a file.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time
from pathlib import Path, PurePosixPath

from digest.errors import ScheduleError
from digest.files import read_text, write_file
from digest.operations.timetable import Plan

BRANCH = "digest-state"

_PATH = ".github/workflows/digest.yml"
_MAX_BYTES = 64 * 1024
# GitHub delays or drops runs at the start of an hour:
# https://docs.github.com/actions/using-workflows/events-that-trigger-workflows#schedule
_MINUTE = 17  # in place of 0
_SECOND_CHANCE = 4  # hours after the first run
_LAST_HOUR = 22  # of a run that has a second chance two hours later on the same day
_SEAL = "# Written by `digest schedule install --github`; seal "
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._/-]+")

_TEMPLATE = """\
name: digest

on:
  schedule:
@TRIGGERS@
  workflow_dispatch:

permissions: {}

# One run at a time; a second one waits, and finds that the day's mail has been sent.
concurrency:
  group: digest
  cancel-in-progress: false

jobs:
  digest:
    name: Send the daily digest
    runs-on: ubuntu-24.04
    timeout-minutes: 60
    permissions:
      contents: write # to push the state
    env:
      CONFIG: @CONFIG@
      DATABASE: @DATABASE@
      BRANCH: @BRANCH@
    steps:
      - name: Check out the configuration
        uses: actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2
        with:
          persist-credentials: false

      - name: Install digest
        env:
          REQUIREMENT: @REQUIREMENT@
        run: |
          python3 -m venv .digest
          .digest/bin/pip install --quiet "$REQUIREMENT"

      - name: Restore the state
        env:
          GIT_TOKEN: ${{ github.token }}
        run: |
          cat > .digest/git <<'END'
          #!/bin/sh
          # git with the token of this run, for this server only.
          login=$(printf 'x-access-token:%s' "$GIT_TOKEN" | base64 | tr -d '\\n')
          exec git -c "http.$GITHUB_SERVER_URL/.extraheader=AUTHORIZATION: basic $login" "$@"
          END
          cat > .digest/save <<'END'
          #!/bin/sh
          # Make the history and its secret the only commit of the branch, if nobody else has changed it since.
          set -eu
          umask 077
          .digest/bin/digest -q -c "$CONFIG" backup --force .digest/copy
          database=$(git hash-object -w .digest/copy)
          secret=$(git hash-object -w .digest/copy.secret)
          tree=$(printf '100644 blob %s\\t%s\\n' "$database" history.db "$secret" history.db.secret | git mktree)
          commit=$(git -c user.name=digest -c user.email=digest@localhost commit-tree "$tree" -m "State of digest")
          .digest/git push --quiet --force-with-lease="$BRANCH:$(cat .digest/base)" origin "$commit:refs/heads/$BRANCH"
          echo "$commit" > .digest/base
          END
          chmod 700 .digest/git .digest/save
          umask 077
          if .digest/git ls-remote --exit-code origin "refs/heads/$BRANCH"; then
            .digest/git fetch --quiet --depth=1 origin "refs/heads/$BRANCH"
            git rev-parse FETCH_HEAD > .digest/base
            mkdir -p "$(dirname "$DATABASE")"
            git cat-file blob FETCH_HEAD:history.db > "$DATABASE"
            git cat-file blob FETCH_HEAD:history.db.secret > "$DATABASE.secret"
            echo 1 > "$DATABASE.mark" # the newest state, not an old backup
          elif [ "$?" -eq 2 ]; then
            : > .digest/base # the first run
          else
            exit 1
          fi

      - name: Queue the mail
@SECRETS@        run: .digest/bin/digest -c "$CONFIG" run --hold

      - name: Save the queue
        id: saved
        env:
          GIT_TOKEN: ${{ github.token }}
        run: .digest/save

      - name: Send the mail
@SECRETS@        run: .digest/bin/digest -c "$CONFIG" send

      - name: Save what was sent
        if: always() && steps.saved.outcome == 'success'
        env:
          GIT_TOKEN: ${{ github.token }}
        run: .digest/save
"""


@dataclass(frozen=True)
class GithubWorkflow:
    """The workflow of a plan in the repository at `folder`.

    `database` is the history as the configuration names it, `secrets` are the names of the secrets to pass on, and
    `requirement` is what pip installs.
    """

    folder: Path
    database: Path
    secrets: Sequence[str]
    requirement: str

    @property
    def path(self) -> Path:
        return self.folder / _PATH

    def text(self, plan: Plan) -> bytes:
        """Return the workflow. Raises ScheduleError when it cannot express the plan."""
        values = {
            "TRIGGERS": "\n".join(_triggers(plan)),
            "CONFIG": self._relative(plan.config, "the configuration"),
            "DATABASE": self._relative(self.database, "digest.database"),
            "BRANCH": BRANCH,
            "REQUIREMENT": _quote(self.requirement),
            "SECRETS": _format_secrets(self.secrets),
        }
        text = re.sub(r"@([A-Z]+)@", lambda found: values[found[1]], _TEMPLATE)
        return f"{_SEAL}{_seal(text)}\n{text}".encode()

    def install(self, plan: Plan) -> list[str]:
        """Write the workflow, and return messages for the user.

        Raises ScheduleError if the file was changed by hand, or cannot be written.
        """
        wanted, current = self.text(plan), self._current()
        if current == wanted:
            return [f"{self.path} is already installed. Nothing was changed."]
        self._check_unchanged(current)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_file(self.path, wanted)
        except OSError as error:
            raise ScheduleError(f"{self.path} cannot be written: {error.strerror}") from None
        return [
            f"Wrote {self.path}: {plan.describe()}. Commit and push it to a private repository: the state it keeps in"
            f" the branch {BRANCH} holds addresses.",
            *([f"Set these secrets in the repository: {', '.join(self.secrets)}."] if self.secrets else []),
        ]

    def remove(self) -> list[str]:
        """Delete the workflow, and return messages for the user. Raises ScheduleError if it was changed by hand."""
        current = self._current()
        if current is None:
            return [f"There is no {self.path}. Nothing was changed."]
        self._check_unchanged(current)
        try:
            self.path.unlink()
        except OSError as error:
            raise ScheduleError(f"{self.path} cannot be removed: {error.strerror}") from None
        return [f"Removed {self.path}. The state remains in the branch {BRANCH}."]

    def state(self, plan: Plan) -> str:
        """Return a sentence that says whether the workflow is installed as planned."""
        current = self._current()
        if current is None:
            return "Not installed."
        return "Installed." if current == self.text(plan) else "Installed differently."

    def _current(self) -> bytes | None:
        try:
            return read_text(self.path, _MAX_BYTES).encode()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise ScheduleError(f"{self.path} cannot be read: {reason}") from None

    def _check_unchanged(self, current: bytes | None) -> None:
        """Raise ScheduleError unless there is no file, or one as it was written once."""
        if current is None:
            return
        head, _, text = current.decode().partition("\n")
        if head != f"{_SEAL}{_seal(text)}":
            raise ScheduleError(f"{self.path} was changed by hand; move it away to have it written again")

    def _relative(self, path: Path, what: str) -> str:
        try:
            relative = PurePosixPath(path.resolve().relative_to(self.folder.resolve()))
        except ValueError:
            raise ScheduleError(f"{what} ({path}) must be in the repository {self.folder}") from None
        if not _PLAIN_PATH.fullmatch(str(relative)):
            raise ScheduleError(f"{what} ({relative}) has characters that the workflow cannot hold; rename it")
        return _quote(str(relative))


def _triggers(plan: Plan) -> list[str]:
    """Return the times to run at: the plan's, and one more on the same day, for when GitHub drops the first."""
    at = plan.at.replace(minute=plan.at.minute or _MINUTE)
    times = [at]
    if at.hour < _LAST_HOUR:
        times.append(time(min(at.hour + _SECOND_CHANCE, max(at.hour + 2, 23)), at.minute))
    days = "1-5" if plan.weekdays else "*"
    return [
        f'    - cron: "{moment.minute} {moment.hour} * * {days}"\n      timezone: {_quote(plan.zone.key)}'
        for moment in times
    ]


def _format_secrets(names: Sequence[str]) -> str:
    if not names:
        return ""
    return "".join(["        env:\n", *(f"          {name}: ${{{{ secrets.{name} }}}}\n" for name in names)])


def _quote(text: str) -> str:
    """Return a text in double quotes, for YAML. Raises ScheduleError for one that GitHub would replace."""
    if "${{" in text or not text.isprintable():
        raise ScheduleError(f"{text!r} cannot be written into a workflow")
    return json.dumps(text, ensure_ascii=False)


def _seal(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
