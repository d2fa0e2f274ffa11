"""Copies of models, with names of layers that TensorFlow takes."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from ..tracing.graph import functional_of, layers_of


def copy_of(model: Any, doing: str) -> keras.Model:
    """Return a Functional copy, which nothing that is done to the model changes."""
    kinds = {type(each).__name__: type(each) for each in layers_of(model)}
    try:
        with keras.saving.custom_object_scope(kinds), _named_plainly(model):
            return copy.deepcopy(functional_of(model))
    except Exception as error:
        raise ValueError(
            f"{doing} copies the model, as saving and loading does, and expected to be "
            f"able to, but got {type(error).__name__}: {error} Register functions and "
            "layers of your own: keras.saving.register_keras_serializable."
        ) from error


def is_named_plainly(model: Any) -> bool:
    """Tell whether TensorFlow takes the names of a model and its layers in graphs."""
    return all(layer.name == plain_name(layer.name) for layer in _named(model))


def plain_name(name: str) -> str:
    """Return the name of a layer as TensorFlow takes it in a graph."""
    plain = re.sub(r"[^\w.\\/>-]", "_", name, flags=re.ASCII)
    return plain if re.match(r"[a-zA-Z0-9.]", plain) else f"x{plain}"


@contextmanager
def _named_plainly(model: Any) -> Iterator[None]:
    """Let layers have names that TensorFlow takes, for a while."""
    before = [(layer, layer.name) for layer in _named(model)]
    taken = {name for _, name in before}
    try:
        for layer, name in before:
            plain, number = plain_name(name), 2
            while plain != name and plain in taken:
                plain, number = f"{plain_name(name)}_{number}", number + 1
            taken.add(plain)
            layer.name = plain
        yield
    finally:
        for layer, name in before:
            layer.name = name


def _named(model: Any) -> list[Any]:
    """Return a model and its layers but for inputs, whose names are the user's."""
    inputs = keras.layers.InputLayer
    return [each for each in layers_of(model) if not isinstance(each, inputs)]
