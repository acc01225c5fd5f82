"""A sentence model on disk: its vectors join those of the themes, and a file of no use is one expected error."""

import json
import os
import struct
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from digest.cli import main
from digest.errors import ConfigError
from digest.papers import Paper
from digest.pipeline.context import open_context
from digest.ranking import sentences
from digest.ranking.embeddings import VectorSpace, fit
from digest.ranking.sentences import SentenceModel
from digest.sources import Sighting
from tests.conftest import MONDAY, Workplace
from tests.pipeline.test_similar import PAPERS, THEMES

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
pytest.importorskip("tokenizers", reason="the extra `onnx` is not installed")
np = pytest.importorskip("numpy", reason="the extra `onnx` is not installed")

WORDS = {word: number for number, word in enumerate(["unknown", *(w for words in THEMES.values() for w in words)])}


def field(number: int, value: int | str | bytes) -> bytes:
    """A field of a message in the protobuf format: https://protobuf.dev/programming-guides/encoding/."""

    def varint(n: int) -> bytes:
        return bytes([n & 127 | 128]) + varint(n >> 7) if n > 127 else bytes([n])

    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def onnx_model(table: Sequence[Sequence[float]], given: str = "input_ids") -> bytes:
    """A model that looks up a row of `table` for each token: https://onnx.ai/onnx/repo-docs/IR.html."""
    numbers = b"".join(struct.pack(f"<{len(row)}f", *row) for row in table)
    tensor = field(1, len(table)) + field(1, len(table[0])) + field(2, 1) + field(8, "table") + field(9, numbers)
    node = field(1, "table") + field(1, given) + field(2, "output") + field(4, "Gather")

    def value(name: str, kind: int, dimensions: int) -> bytes:
        shape = b"".join(field(1, field(2, f"{name}{n}")) for n in range(dimensions))
        return field(1, name) + field(2, field(1, field(1, kind) + field(2, shape)))

    graph = field(1, node) + field(2, "test") + field(5, tensor) + field(11, value(given, 7, 2))
    graph += field(12, value("output", 1, 3))
    return field(1, 8) + field(7, graph) + field(8, field(1, "") + field(2, 13))


def tokenizer() -> dict[str, object]:
    return {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": WORDS, "unk_token": "unknown"},
    }


def by_theme(word: str) -> list[float]:
    """A vector that is nearly the same for all words of a theme."""
    return [float(word in words) for words in THEMES.values()] + [0.1, WORDS[word] / 1_000]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(onnx_model([by_theme(word) for word in WORDS]))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    return folder


def test_a_text_is_the_mean_of_its_tokens_whatever_texts_are_beside_it(folder: Path) -> None:
    model = SentenceModel(folder)
    together = model.embed(PAPERS)
    assert together.shape == (len(PAPERS), 5)
    assert np.allclose(np.linalg.norm(together, axis=1), 1)
    assert np.allclose(together[7], model.embed(PAPERS[7:8])[0], atol=1e-6)
    assert (together[:40, :3].argmax(axis=1) == 0).all()


def test_it_finds_papers_by_words_that_the_history_never_had(folder: Path) -> None:
    model, known = SentenceModel(folder), [paper for paper in PAPERS if "otter" not in paper.abstract]
    found = []
    for used in (model, None):
        basis = fit(known, used)
        assert basis.model == (model.name if used else "")
        assert basis.embed([], used) == []
        space = VectorSpace(dict(enumerate(basis.embed([Paper("otter otter"), *known], used))))
        scores = space.score([0], [], range(1, len(known) + 1))
        best = sorted(range(len(known)), key=lambda n, scores=scores: -scores[n])[:10]  # type: ignore[misc]
        found.append(sum("river" in known[n].abstract or "fish" in known[n].abstract for n in best))
    assert found[0] >= 9 > found[1], found


def configure(workplace: Workplace, folder: Path) -> None:
    workplace.more = f'[[sources]]\ntype = "file"\npath = "papers.jsonl"\n[semantic]\nmodel = "{folder}"\n'


def test_vectors_are_made_again_for_another_model_and_kept_for_the_same_in_another_place(
    workplace: Workplace, folder: Path
) -> None:
    made = []

    def search() -> None:
        with open_context(workplace.config()) as context:
            context.papers.record("file", [Sighting(paper) for paper in PAPERS], MONDAY)
            found = context.similar.search("", PAPERS[50].title, date.min, 20)
            assert all(paper in PAPERS[40:80] for paper, _ in found)
            made.append(context.db.execute("SELECT basis, length(vector) FROM vectors WHERE paper = 9").fetchone())

    configure(workplace, folder)
    search()
    configure(workplace, folder.rename(folder.with_name("moved")))
    search()
    workplace.more = '[[sources]]\ntype = "file"\npath = "papers.jsonl"\n'
    search()
    (one, long), same, (other, short) = made
    assert same == (one, long)
    assert (other, long - short) == (one + 1, 2 * 5)


def break_graph(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"not a model" * 99)


def break_input(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(onnx_model([[1.0]], given="pixels"))


def break_values(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(onnx_model([[float("nan")]] * len(WORDS)))


def break_width(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(onnx_model([[0.5] * 5_000] * len(WORDS)))


def break_table(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(onnx_model([[1.0, 2.0]]))


def break_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("[" * 100_000)


def pipe(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    os.mkfifo(folder / "tokenizer.json")


def enlarge(folder: Path) -> None:
    os.truncate(folder / "model.onnx", 2**31)


@pytest.mark.parametrize(
    ("harm", "name"),
    [
        (break_graph, "model.onnx"),
        (break_input, "model.onnx"),
        (break_values, "model.onnx"),
        (break_width, "model.onnx"),
        (break_table, "model.onnx"),
        (break_tokenizer, "tokenizer.json"),
        (pipe, "tokenizer.json"),
        (enlarge, "model.onnx"),
    ],
)
def test_files_of_no_use_are_one_expected_error(folder: Path, harm: Callable[[Path], None], name: str) -> None:
    harm(folder)
    with pytest.raises(
        ConfigError, match=rf"^semantic\.model: .*{name} cannot be used \(.+\); write the folder"
    ) as why:
        SentenceModel(folder).embed(PAPERS[:3])
    assert len(str(why.value).splitlines()) == 1


def test_the_configuration_and_doctor_say_what_is_wrong_with_a_model(
    workplace: Workplace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def doctor() -> str:
        result = CliRunner().invoke(main, ["-c", str(workplace.folder / "config.toml"), "doctor", "--json"])
        checks = json.loads(result.stdout)["checks"]
        return next(str(check["message"]) for check in checks if check["name"] == "model")

    configure(workplace, folder)
    workplace.config()
    assert doctor() == f"{folder}: vectors of 5 numbers"
    break_graph(folder)
    assert doctor().startswith(f"semantic.model: {folder}/model.onnx cannot be used (")
    monkeypatch.setattr(sentences, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"semantic\.model: needs .*; install them with pipx install --force"):
        workplace.config()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match=r"semantic\.model: must be a folder with .* has no tokenizer\.json; write"):
        workplace.config()
