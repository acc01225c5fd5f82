"""A real Slurm of one node, for a test: munged, slurmctld and slurmd with files of their own."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")
_PATH = "/usr/sbin:/usr/bin:" + os.environ.get("PATH", "")

_CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=requeue_delay=1
ReturnToService=2
KillWait=1
MailProg=/bin/true
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP OverSubscribe=YES
"""


@dataclass(frozen=True)
class Slurm:
    """A running cluster."""

    environ: Mapping[str, str]

    def command(self, *words: str) -> str:
        done = subprocess.run(words, env=self.environ, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def states(self, job: str) -> dict[str, str]:
        """The state of each task of an array that has not ended."""
        listed = self.command("squeue", "--noheader", "--array", "--jobs", job, "--format", "%K %T")
        return dict(line.split(maxsplit=1) for line in listed.splitlines() if line.strip())


@contextmanager
def running_slurm(folder: Path) -> Iterator[Slurm]:
    """Start a cluster in `folder`; skip the test where its programs are missing, or nobody may start them."""
    if missing := [name for name in PROGRAMS if not shutil.which(name, path=_PATH)]:
        pytest.skip(f"Slurm is not installed ({', '.join(missing)}): packages slurmctld slurmd slurm-client munge")
    if os.geteuid():
        pytest.skip("slurmd needs root to start tasks")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    folder.chmod(0o755)
    ports = {"controller": _free_port(), "node": _free_port()}
    host = socket.gethostname().partition(".")[0]
    (folder / "slurm.conf").write_text(_CONFIG.format(folder=folder, host=host, **ports))
    environ = {**os.environ, "PATH": _PATH, "SLURM_CONF": str(folder / "slurm.conf")}
    munge = [f"--key-file={key}", f"--socket={folder}/munge.socket", f"--pid-file={folder}/munge.pid"]
    munge += [f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed", "--force"]
    with ExitStack() as stack:
        stack.enter_context(_daemon(folder, environ, "munged", "--foreground", *munge))
        _wait(lambda: (folder / "munge.socket").exists())
        stack.enter_context(_daemon(folder, environ, "slurmctld", "-D"))
        stack.enter_context(_daemon(folder, environ, "slurmd", "-D", "-N", host))
        slurm = Slurm(environ)
        _wait(lambda: "idle" in _try(environ, "sinfo", "--noheader", "--format", "%t"))
        yield slurm


@contextmanager
def _daemon(folder: Path, environ: Mapping[str, str], *words: str) -> Iterator[None]:
    with (folder / f"{words[0]}.out").open("wb") as output:
        process = subprocess.Popen(words, env=environ, stdout=output, stderr=output, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def _try(environ: Mapping[str, str], *words: str) -> str:
    return subprocess.run(words, env=environ, capture_output=True, text=True, timeout=60).stdout


def _wait(ready: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "Slurm does not start"
        time.sleep(0.2)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
