"""Packages that may be missing, and the progress bars of one of them."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def require(module: str, doing: str, *, package: str, extra: str) -> Any:
    """Import a module that not everybody needs, or say how to install it.

    `doing` says who needs the `package` for what; `extra` is the one that brings it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{doing} {package}, which is not installed. Install the extra: "
            f"pip install 'cnnseq-helpers[{extra}]'."
        ) from error


def require_tensorflow(doing: str) -> Any:
    """Import TensorFlow, or say which part of the package can't do without."""
    try:
        return import_module("tensorflow")
    except ImportError as error:
        raise ImportError(
            f"{doing} TensorFlow, which is not installed: pip install tensorflow. "
            "Keras may keep another backend beside it."
        ) from error


def progress(doing: str, unit: str, total: int) -> Any:
    """Return a bar on stderr that is shown if work takes over a second."""
    tqdm = require(
        "tqdm", f"{doing} shows its progress with", package="tqdm", extra="video"
    )
    return tqdm.tqdm(total=total, desc=doing, unit=unit, delay=1)
