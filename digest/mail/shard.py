"""Shards: digests that share nothing but a secret, each with its own part of the subscribers. Pure: no I/O.

A subscriber belongs to a shard by a hash of the address alone, so every shard knows its own without asking another one.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from digest.mail.address import address_key

MAX_SHARDS = 1000

_WRITTEN = re.compile(r"(\d{1,4})/(\d{1,4})")
_IN_NAME = re.compile(r"-[0-9]+-of-[0-9]+$")
# The variables in which an array job tells a task its index, and the lowest of these indexes; "" for 0.
_ARRAY_JOBS = (
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN"),  # Slurm: https://slurm.schedmd.com/job_array.html
    ("JOB_COMPLETION_INDEX", ""),  # Kubernetes: https://kubernetes.io/docs/tasks/job/indexed-parallel-processing-static
    ("AWS_BATCH_JOB_ARRAY_INDEX", ""),  # AWS Batch: https://docs.aws.amazon.com/batch/latest/userguide/array_jobs.html
)
_SLURM_COUNT = "SLURM_ARRAY_TASK_COUNT"


@dataclass(frozen=True, slots=True)
class Shard:
    """The part `index` of `count`, counted from 1."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read "3/8". Raises ValueError with a message that follows the text."""
        match = _WRITTEN.fullmatch(text.strip())
        if not match:
            raise ValueError("is not a shard; write one like 3/8")
        return cls.checked(int(match[1]), int(match[2]))

    @classmethod
    def checked(cls, index: int, count: int) -> "Shard":
        """A shard within its bounds. Raises ValueError with a message that follows the index."""
        if not 1 <= count <= MAX_SHARDS:
            raise ValueError(f"is one of {count} shards; there can be 1 to {MAX_SHARDS}")
        if not 1 <= index <= count:
            raise ValueError(f"is not one of {count} shards; they count from 1 to {count}")
        return cls(index, count)

    def owns(self, address: str) -> bool:
        """Whether the subscriber with this address belongs to the shard. Raises ValueError if it is not an address."""
        return shard_of(address, self.count) == self.index

    def database(self, path: Path) -> Path:
        """The database of this shard of a digest with the database `path`: history-3-of-8.db for history.db."""
        return path.with_name(f"{path.stem}-{self.index}-of-{self.count}{path.suffix}")


def shard_of(address: str, count: int) -> int:
    """The index of the shard that an address belongs to, from 1 to `count`.

    Jump consistent hashing (Lamping and Veach 2014, https://arxiv.org/abs/1406.2294): as equal as chance makes it, and
    with one shard more, only those move that move to the new one.
    """
    key = int.from_bytes(hashlib.sha256(address_key(address).encode()).digest()[:8], "big")
    chosen = following = 0
    while following < count:
        chosen = following
        key = (key * 2862933555777941757 + 1) % 2**64
        following = int((chosen + 1) * (2**31 / ((key >> 33) + 1)))
    return chosen + 1


def shared_path(database: Path) -> Path:
    """The path of the database without the part that `Shard.database` adds: after it, files of all shards are named."""
    return database.with_name(_IN_NAME.sub("", database.stem) + database.suffix)


def index_in_array_job(environ: Mapping[str, str], count: int) -> int | None:
    """The index, from 1, that an array job of `count` tasks gave to this process; None outside of one.

    Raises ValueError with a sentence when the job does not have `count` tasks.
    """
    for variable, lowest in _ARRAY_JOBS:
        if variable not in environ:
            continue
        try:
            index = int(environ[variable]) - (int(environ.get(lowest, "0")) if lowest else 0) + 1
            tasks = int(environ.get(_SLURM_COUNT, count)) if lowest else count
        except ValueError:
            raise ValueError(f"{variable} is {environ[variable]!r}, which is not the index of a task") from None
        if tasks != count:
            raise ValueError(f"{_SLURM_COUNT} is {tasks}, but there are {count} shards; submit as many tasks as shards")
        if not 1 <= index <= count:
            raise ValueError(f"{variable} is {environ[variable]}, which is not one of {count} tasks")
        return index
    return None
