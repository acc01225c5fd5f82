"""Vectors of whole texts from a sentence model on disk, with the optional extra `onnx` (onnxruntime, tokenizers).

The model is the user's own: a folder with model.onnx and tokenizer.json, as sentence-transformers and Hugging Face's
Optimum export them. Nothing is ever downloaded.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from digest.errors import ConfigError
from digest.files import read_file
from digest.papers import Paper

FILES = "model.onnx", "tokenizer.json"
_MOST_BYTES = 2**30, 2**26  # of each file; the usual models have 20 MB to 440 MB
_MOST_CHARACTERS = 10_000  # of a text that are split into tokens
_MOST_TOKENS = 256  # of a text that the model reads; a title and an abstract have 190 on average
_MOST_NUMBERS = 4_096  # of a vector; the usual models have 384 to 1,024
_AT_ONCE = 16  # texts, of about the same length


@dataclass(frozen=True, slots=True)
class SemanticSettings:
    """The `[semantic]` table. `model`: a folder that has `FILES`."""

    model: Path | None = field(default=None, metadata={"example": '"all-MiniLM-L6-v2"'})


def libraries_installed() -> bool:
    """Return whether the extra is installed, without importing it."""
    return all(map(find_spec, ("onnxruntime", "tokenizers")))


class SentenceModel:
    """The model in a folder. Its files are read on first use; each method raises ConfigError when they are of no use.

    A vector takes 25 to 35 ms of two processor cores with all-MiniLM-L6-v2.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def name(self) -> str:
        """What tells this model from any other: a hash of its files."""
        return hashlib.sha256(b"".join(hashlib.sha256(self._read(n)).digest() for n in range(len(FILES)))).hexdigest()

    def embed(self, papers: Sequence[Paper]) -> Any:
        """Return the vectors of titles and abstracts: a numpy matrix with a row of length 1 for each paper."""
        import numpy as np

        session, tokenizer = self._loaded
        texts = [f"{paper.title}. {paper.abstract}"[:_MOST_CHARACTERS] for paper in papers]
        tokens = [encoded.ids for encoded in tokenizer.encode_batch(texts)]
        order = sorted(range(len(tokens)), key=lambda n: len(tokens[n]))
        parts = [order[first : first + _AT_ONCE] for first in range(0, len(order), _AT_ONCE)]
        made = np.vstack([self._run(session, [tokens[n] for n in part]) for part in parts])
        vectors = np.empty_like(made)
        vectors[order] = made
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what is wrong is said by the exceptions
        model, tokens = self._read(0), self._read(1)
        try:
            session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001  its exceptions have no common class
            raise self._unusable(FILES[0], error) from None
        try:
            tokenizer = Tokenizer.from_buffer(tokens)
            tokenizer.enable_truncation(_MOST_TOKENS)
            tokenizer.no_padding()
        except Exception as error:  # noqa: BLE001  it raises nothing else
            raise self._unusable(FILES[1], error) from None
        return session, tokenizer

    def _run(self, session: Any, tokens: Sequence[Sequence[int]]) -> Any:
        """The vectors of texts of about the same length: the mean of those of their tokens, or the model's own."""
        import numpy as np

        ids = np.zeros((len(tokens), max(1, *map(len, tokens))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(tokens):
            ids[row, : len(text)], mask[row, : len(text)] = text, 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        try:
            output = session.run(None, {one.name: given[one.name] for one in session.get_inputs()})[0]
            if output.ndim == 3:
                output = (output * mask[..., None]).sum(axis=1) / np.maximum(mask.sum(axis=1, keepdims=True), 1)
            if output.shape != (len(tokens), min(output.shape[-1], _MOST_NUMBERS)) or not np.isfinite(output).all():
                raise ValueError(f"its first output is no vector of at most {_MOST_NUMBERS} numbers for each text")
        except Exception as error:  # noqa: BLE001  as above
            raise self._unusable(FILES[0], error) from None
        return output.astype(np.float32)

    def _read(self, number: int) -> bytes:
        try:
            return read_file(self._folder / FILES[number], _MOST_BYTES[number])
        except OSError as error:
            raise self._unusable(FILES[number], error.strerror) from None

    def _unusable(self, name: str, why: object) -> ConfigError:
        reason = " ".join(f"{why}".split())[:200]
        hint = "write the folder of a model exported for sentence embeddings, or leave the line out"
        return ConfigError([f"semantic.model: {self._folder / name} cannot be used ({reason}); {hint}"])
