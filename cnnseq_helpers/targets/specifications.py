"""What a tf.data data set promises of its elements, which is all that `fit` traces."""

from __future__ import annotations

from typing import Any

import keras

from .labels import Source

# Sizes that differ between these batches are left open.
_BATCHES = 4


def unknown_rank(model: Any, dataset: Any, source: Source) -> tuple[str, str] | None:
    """Say which parts of a data set have no known rank, and write it with one."""
    if source.kind != "tf.data" or getattr(model, "run_eagerly", False):
        return None  # run eagerly, `fit` looks at the batches themselves
    parts = dict(zip(("x", "y", "weights"), dataset.element_spec, strict=False))
    unknown = [name for name, part in parts.items() if _is_open(part)]
    if not unknown:
        return None
    batches = list(dataset.take(_BATCHES))
    open_sizes = _open_sizes(model, source.x)
    written = [
        _write(name, part, [batch[i] for batch in batches], open_sizes)
        for i, (name, part) in enumerate(parts.items())
    ]
    why = (
        f"The data set promises no number of axes for {' and '.join(unknown)}: the "
        "rank in its element_spec is unknown. fit traces the model with that alone "
        "and fails, although each batch that is drawn looks right. Give the shapes, "
        "or an output_signature where it is made by from_generator."
    )
    arguments = ", ".join(parts)
    fix = f"y = y.map(lambda {arguments}: ({', '.join(written)}))"
    return why, f"import tensorflow as tf\n{fix}"


def _is_open(part: Any) -> bool:
    return any(_has_no_rank(spec) for spec in keras.tree.flatten(part))


def _has_no_rank(spec: Any) -> bool:
    return type(spec).__name__ == "TensorSpec" and spec.shape.rank is None


def _open_sizes(model: Any, x: Any) -> set[int]:
    """Return the sizes in a batch of inputs that the model lets vary."""
    given, inputs = keras.tree.flatten(x), getattr(model, "inputs", None) or []
    if len(given) != len(inputs):
        return set()
    return {
        int(size)
        for one, other in zip(given, inputs, strict=True)
        if len(one.shape) == len(other.shape)
        for size, wanted in zip(one.shape[1:], other.shape[1:], strict=True)
        if wanted is None
    }


def _write(name: str, part: Any, batches: list[Any], open_sizes: set[int]) -> str:
    """Write a part of an element with shapes for what has none."""
    if isinstance(part, dict):
        keys: list[Any] = list(part)
    elif isinstance(part, (list, tuple)):
        keys = list(range(len(part)))
    elif not _has_no_rank(part):
        return name
    else:
        return f"tf.ensure_shape({name}, {_common_shape(batches, open_sizes)})"
    written = [
        _write(f"{name}[{key!r}]", part[key], [b[key] for b in batches], open_sizes)
        for key in keys
    ]
    if isinstance(part, dict):
        items = zip(keys, written, strict=True)
        return f"{{{', '.join(f'{key!r}: {value}' for key, value in items)}}}"
    return f"({''.join(f'{value}, ' for value in written)})"


def _common_shape(batches: list[Any], open_sizes: set[int]) -> tuple[Any, ...]:
    shapes = [tuple(batch.shape) for batch in batches]
    if len(set(map(len, shapes))) > 1 or not shapes[0]:
        return (None,) * len(shapes[0])
    return tuple(
        None if i == 0 or len(set(sizes)) > 1 or sizes[0] in open_sizes else sizes[0]
        for i, sizes in enumerate(zip(*shapes, strict=True))
    )
