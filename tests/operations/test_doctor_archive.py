"""The archive as the doctor sees it: its folder and its templates."""

from pathlib import Path

import pytest

from digest.operations.checks import Check, Mark
from digest.operations.doctor_archive import check_archive
from tests.conftest import MORNING, Workplace
from tests.pipeline.test_archive import archived


def checked(workplace: Workplace) -> Check:
    config = archived(workplace).config()
    assert config.archive is not None
    return check_archive(config, config.archive, MORNING)


def test_an_archive_that_can_be_written_is_fine_and_nothing_is_written(workplace: Workplace) -> None:
    check = checked(workplace)
    assert (check.mark, check.message) == (
        Mark.OK,
        f"{workplace.folder / 'site'} is writable, for https://papers.example.org/daily/",
    )
    assert not (workplace.folder / "site").exists()


def test_a_file_in_the_place_of_the_folder_is_named(workplace: Workplace) -> None:
    (workplace.folder / "site").write_text("")
    check = checked(workplace)
    assert (check.mark, check.message) == (Mark.WARN, f"{workplace.folder / 'site'} cannot be written to")
    assert "archive.path" in check.fix


@pytest.mark.parametrize("name", ["edition.html", "month.html", "index.html", "feed_entry.html", "_editions.html"])
def test_a_broken_template_is_named(workplace: Workplace, name: str) -> None:
    folder: Path = workplace.folder / "mine"
    folder.mkdir()
    (folder / name).write_text("{{ nothing.at.all }}")
    place = archived(workplace)
    place.digest["templates"] = "mine"
    config = place.config()
    assert config.archive is not None
    check = check_archive(config, config.archive, MORNING)
    assert check.mark is Mark.WARN
    assert f"{name}, line 1" in check.message
