"""Every address belongs to one shard, by its hash alone, and few move when there are more shards."""

from collections import Counter
from pathlib import Path

import pytest

from digest.mail.shard import Shard, index_in_array_job, shard_of, shared_path

ADDRESSES = [f"reader{n}@example.org" for n in range(20_000)]


def test_shards_have_about_the_same_size() -> None:
    sizes = Counter(shard_of(address, 8) for address in ADDRESSES)
    assert sorted(sizes) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert all(2_350 <= size <= 2_650 for size in sizes.values())  # 2,500, and three standard deviations of chance


@pytest.mark.parametrize(("before", "after", "share"), [(8, 9, 0.125), (8, 16, 0.52), (1, 2, 0.52)])
def test_few_move_when_shards_are_added_and_only_to_new_ones(before: int, after: int, share: float) -> None:
    moves = [(shard_of(a, before), shard_of(a, after)) for a in ADDRESSES]
    assert sum(old != new for old, new in moves) <= share * len(ADDRESSES)
    assert all(new == old or new > before for old, new in moves)


def test_the_shard_of_an_address_never_changes() -> None:
    assert [shard_of(f"reader{n}@example.org", 8) for n in range(12)] == [8, 6, 4, 8, 8, 2, 3, 8, 4, 2, 6, 2]


@pytest.mark.parametrize("other", ["ANN@Example.ORG", "ann@EXAMPLE.org"])
def test_addresses_are_hashed_as_they_are_compared(other: str) -> None:
    assert shard_of("ann@example.org", 1000) == shard_of(other, 1000)
    assert shard_of("ann@bücher.example", 1000) == shard_of("ann@xn--bcher-kva.example", 1000)


def test_a_shard_has_a_database_of_its_own_and_shares_what_is_named_after_the_whole() -> None:
    path = Shard(3, 8).database(Path("/data/history.db"))
    assert path == Path("/data/history-3-of-8.db")
    assert shared_path(path) == shared_path(Path("/data/history.db")) == Path("/data/history.db")


@pytest.mark.parametrize("text", ["", "3", "3/", "0/8", "9/8", "-1/8", "3/8/1", "3/1001", "a/b", "3 / 8"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="shard"):
        Shard.parse(text)


@pytest.mark.parametrize(
    ("environ", "index"),
    [
        ({}, None),
        ({"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_COUNT": "8"}, 1),
        ({"SLURM_ARRAY_TASK_ID": "8", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "8"}, 8),
        ({"JOB_COMPLETION_INDEX": "0"}, 1),
        ({"AWS_BATCH_JOB_ARRAY_INDEX": "7"}, 8),
    ],
)
def test_an_array_job_gives_the_index(environ: dict[str, str], index: int | None) -> None:
    assert index_in_array_job(environ, 8) == index


@pytest.mark.parametrize(
    "environ",
    [
        {"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "7"},
        {"SLURM_ARRAY_TASK_ID": "9", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "8"},
        {"JOB_COMPLETION_INDEX": "8"},
        {"JOB_COMPLETION_INDEX": "first"},
        {"AWS_BATCH_JOB_ARRAY_INDEX": ""},
    ],
)
def test_an_array_job_of_another_size_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"tasks|index of a task"):
        index_in_array_job(environ, 8)
