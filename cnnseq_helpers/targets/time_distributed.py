"""`TimeDistributed` over a time axis whose length `fit` does not know."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from ..tracing.graph import calls_of, is_model, layers_of
from ..tracing.heads import is_known
from .labels import Source


def over_unknown_length(
    model: Any, dataset: Any, source: Source, rebuildable: bool
) -> tuple[str, str] | None:
    """Say which layers run over the samples in place of the steps, and mend them."""
    layers = _time_distributed(model)
    if not layers or not _is_wrong():
        return None
    specification = _specification(dataset, source)
    if specification is None or not _may_be_unknown(layers, specification):
        return None
    unknown = _traced(model, layers, specification)
    if not unknown:
        return None
    names = ", ".join(repr(layer.name) for layer in unknown)
    why = (
        f"{names}: TimeDistributed is called on steps whose number fit does not know, "
        "and this Keras then counts the samples of the batch in place of the steps: "
        "it drops steps, silently, or fails. Give all batches one known length, or "
        "merge batch and time."
    )
    fix = "# Where the model is built: cnnseq_helpers.BatchApply for TimeDistributed."
    nested = any(_time_distributed(layer.layer) for layer in layers)
    # Sequential models inside a wrapper are not reached by clone_model.
    if rebuildable and is_model(model) and not nested and _are_reached(model, layers):
        fix = _SWAP
    return why, fix


_SWAP = """from cnnseq_helpers import BatchApply
def swap(layer):
    if not isinstance(layer, keras.layers.TimeDistributed):
        return layer.__class__.from_config(layer.get_config())
    inner = layer.layer.__class__.from_config(layer.layer.get_config())
    return BatchApply(inner, name=layer.name)
model = keras.models.clone_model(model, clone_function=swap, recursive=True)"""


def _time_distributed(model: Any) -> list[Any]:
    found = layers_of(model)
    return [k for k in found if type(k).__name__ == "TimeDistributed" and is_known(k)]


def _are_reached(model: Any, layers: list[Any]) -> bool:
    """Tell whether all layers stand in the model itself, or in models inside it."""
    reached: set[int] = set()
    models = [model]
    while models:
        inside = models.pop().layers
        reached.update(id(layer) for layer in inside)
        models += [layer for layer in inside if is_model(layer)]
    return all(id(layer) in reached for layer in layers)


@functools.cache
def _is_wrong() -> bool:
    """Try whether this version of Keras counts samples as steps."""
    import tensorflow as tf

    layer = keras.layers.TimeDistributed(keras.layers.Identity())
    run = tf.function(layer, input_signature=[tf.TensorSpec((None, None, 1))])
    try:
        return bool(run(np.zeros((2, 3, 1), "float32")).shape[1] != 3)
    except Exception:
        return True


def _specification(dataset: Any, source: Source) -> Any:
    """Return what `fit` knows of the inputs when it traces the model."""
    import tensorflow as tf

    if source.x is None:
        return None
    batches = [source.x]
    if source.kind == "tf.data":
        return dataset.element_spec[0]
    if source.kind == "PyDataset":
        # Keras leaves open what differs between the first two batches.
        batches = [dataset[i][0] for i in range(min(2, dataset.num_batches or 2))]

    def common(*arrays: Any) -> Any:
        shapes = [np.shape(array) for array in arrays]
        sizes = [set(sizes) for sizes in zip(*shapes, strict=True)]
        known = (size.pop() if len(size) == 1 else None for size in sizes[1:])
        kind = getattr(arrays[0], "dtype", None) or np.asarray(arrays[0]).dtype
        return tf.TensorSpec((None, *known), kind)

    return keras.tree.map_structure(common, *batches)


def _may_be_unknown(layers: list[Any], specification: Any) -> bool:
    """Tell whether it is worth tracing: some length is open, here or in the model."""
    shapes = [spec.shape for spec in keras.tree.flatten(specification)]
    if any(shape.rank is None for shape in shapes):
        return False  # which is told by itself
    if any(size is None for shape in shapes for size in shape[1:]):
        return True
    nodes = [node for layer in layers for node in calls_of(layer)]
    return any(node.input_tensors[0].shape[1] is None for node in nodes)


def _traced(model: Any, layers: list[Any], specification: Any) -> list[Any]:
    """Run the model symbolically; return the layers whose time axis was unknown."""
    import tensorflow as tf

    unknown: dict[int, Any] = {}
    with keras.StatelessScope(), _watched(layers, unknown):
        run = tf.function(lambda x: model(x, training=False), autograph=False)
        run.get_concrete_function(specification)
    return list(unknown.values())


@contextmanager
def _watched(layers: list[Any], unknown: dict[int, Any]) -> Iterator[None]:
    def watch(layer: Any) -> Any:
        call = layer.call

        def watched(inputs: Any, *arguments: Any, **options: Any) -> Any:
            if inputs.shape[1] is None:
                unknown[id(layer)] = layer
            return call(inputs, *arguments, **options)

        return watched

    for layer in layers:
        # Keras would track what is set in the usual way.
        object.__setattr__(layer, "call", watch(layer))
    try:
        yield
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")
