"""What can't be written into a file, or run from it, and why."""

from __future__ import annotations

import re
from typing import Any

import keras
import numpy as np

from ..tracing.graph import checked_graph_of, layers_of
from .formats import PYTHON, Format
from .inputs import argument_name, names_of, pack_inputs


def check_options(form: Format, options: dict[str, Any]) -> None:
    """Refuse options that `keras.Model.export` would drop without a word."""
    known = {"onnx": {"opset_version"}, "tf_saved_model": set[str]()}
    unknown = sorted(set(options) - known.get(form.option, set(options)))
    if unknown:
        wanted = ", ".join(known[form.option]) or "no further options"
        raise TypeError(
            f"export_model to {form.name} expected {wanted}, got {unknown[0]!r}. "
            "Leave it out."
        )


def check_tolerance(tolerance: Any) -> None:
    """Refuse what is no limit of a difference."""
    number = isinstance(tolerance, (int, float, np.number))
    if not number or isinstance(tolerance, bool) or not tolerance >= 0:
        raise ValueError(
            "export_model expected tolerance to be a number of at least 0, the share "
            f"of the greatest answer that may differ, got {tolerance!r}. Change it."
        )


def check_backend() -> None:
    """Refuse backends that Keras does not write files from, or other ones."""
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "export_model expected TensorFlow as the backend of Keras, got "
            f"{keras.backend.backend()!r}. Save the model, and export it in a process "
            "with KERAS_BACKEND=tensorflow."
        )


def check_model(model: Any) -> None:
    """Refuse what no file can hold."""
    checked_graph_of(model, "export_model")
    names = names_of(model)
    if len({argument_name(name) for name in names}) < len(names):
        raise ValueError(
            f"export_model expected names of inputs that differ in letters, digits or "
            f"'_', which is all that a file keeps of them, got {', '.join(names)}. "
            "Name them otherwise: keras.Input(shape, name='...')."
        )
    for layer in layers_of(model):
        if getattr(layer, "stateful", False) and hasattr(layer, "cell"):
            raise ValueError(
                f"export_model can't take {layer.name} ({type(layer).__name__}) with "
                "stateful=True: a file keeps nothing from one call to the next. Export "
                "a model of one step, which hands its states in and out: step_model."
            )


def refuse_loops(model: Any) -> None:
    """Refuse what ends the whole process: tensorflow/tensorflow#75140."""
    for layer in layers_of(model):
        if isinstance(layer, keras.layers.RNN) and not layer.unroll:
            raise ValueError(
                f"export_model can't quantise {layer.name} ({type(layer).__name__}) by "
                "a representative_dataset: LiteRT's converter crashes on loops. Leave "
                "representative_dataset out, which quantises weights alone; or build "
                "the model with unroll=True; or take its step_model or to_cnn1d."
            )


def refuse_operations(model: Any, form: Format, operations: dict[str, int]) -> None:
    """Refuse what a file can't hold, or its runtime can't do."""
    kinds = {re.sub("^custom (Flex)?", "", kind) for kind in operations}
    if PYTHON & kinds:
        raise ValueError(
            f"export_model can't write {_find(model, PYTHON)}, which runs a Python "
            "function: a file holds none. Write it with keras.ops, or do its work in "
            "front of the model."
        )
    custom = [kind for kind in operations if kind.startswith("custom")]
    if custom:
        names = ", ".join(kind.removeprefix("custom ") for kind in sorted(custom))
        lacking = {re.sub("^custom (Flex)?", "", kind) for kind in custom}
        raise ValueError(
            f"{form.name} lacks operations that {_find(model, lacking)} needs: {names}."
            " Nothing was written. Export to another format; replace recurrent layers "
            f"(to_cnn1d), or the layer that these are of.{other_precision(model)}"
        )


def other_precision(model: Any) -> str:
    """Return what to do where layers compute in what many operations lack."""
    for layer in layers_of(model, include_self=False):
        if layer.weights and layer.compute_dtype != "float32":
            return (
                f" Or it is that {layer.name} computes in {layer.compute_dtype}: build "
                "the model in float32, and give it the weights."
            )
    return ""


def _find(model: Any, kinds: set[str]) -> str:
    """Return the layers whose calls make operations of these kinds, or the model."""
    import tensorflow as tf

    specs = [tf.TensorSpec((1, *x.shape[1:]), x.dtype) for x in model.inputs]
    traced = tf.function(lambda *x: model(pack_inputs(model, list(x)), training=False))
    names = [
        operation.name
        for operation in traced.get_concrete_function(*specs).graph.get_operations()
        if operation.type in kinds
    ]
    # TensorFlow may have numbered a layer's scope, to make it unique.
    scopes = [part for name in names for part in name.split("/")]
    parts = {*scopes, *(re.sub(r"_\d+$", "", scope) for scope in scopes)}
    found = [
        f"{layer.name} ({type(layer).__name__})"
        for layer in layers_of(model, include_self=False)
        if layer.name in parts
    ]
    return ", ".join(found) or model.name


def first_line(error: Exception) -> str:
    """Return what an error says first, without a closing stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:300].rstrip(".")
