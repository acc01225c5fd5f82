"""The types of sources that a configuration may name. A source's module is imported only if it is used."""

from importlib import import_module
from typing import Any

SOURCE_TYPES = {
    "huggingface": "huggingface.HuggingFace",
    "arxiv": "arxiv.Arxiv",
    "biorxiv": "biorxiv.Biorxiv",
    "medrxiv": "biorxiv.Medrxiv",
    "feed": "feed.Feed",
    "file": "file.File",
    "history": "history.History",
}


def source_class(name: str) -> type[Any]:
    """Return the class for a `type` in the configuration; its fields are the keys of the table."""
    module, _, class_name = SOURCE_TYPES[name].partition(".")
    source: type[Any] = getattr(import_module(f"digest.sources.{module}"), class_name)
    return source
