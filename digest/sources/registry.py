"""The kinds of source, by the `type` that the configuration names. Only those that it names are imported."""

from importlib import import_module
from typing import Any

SOURCE_TYPES = {
    "huggingface": "huggingface.HuggingFace",
    "arxiv": "arxiv.Arxiv",
    "biorxiv": "biorxiv.Biorxiv",
    "medrxiv": "biorxiv.Medrxiv",
    "feed": "feed.Feed",
    "file": "file.File",
}


def source_class(name: str) -> type[Any]:
    """The class of a kind; the fields of it are what its table may hold."""
    module, _, own = SOURCE_TYPES[name].partition(".")
    found: type[Any] = getattr(import_module(f"digest.sources.{module}"), own)
    return found
