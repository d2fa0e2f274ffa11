"""The rules of `check_targets` that hold the shapes of output and labels together.

Each returns None, or what is wrong. They come in order: the first that recognises a
mismatch speaks.
"""

from __future__ import annotations

import math

from ._case import (
    Case,
    Found,
    axis_names,
    is_layer,
    lost_steps,
    match,
    rebuilt,
)
from ._heads import RECURRENT, Link
from ._labels import are_hot, are_in, are_whole, sum_to_one
from ._value_rules import several_hot
from .shapes import name_axes


def shape_mismatch(case: Case) -> Found | None:
    """Return why the shapes of an output and its labels do not fit, or None."""
    if _fits(case):
        return None
    found = next(found for rule in _RULES if (found := rule(case)))
    if case.loss.kind in ("regression", "hinge") and _broadcasts(case):
        broadcast = " Keras broadcasts one over the other and trains, silently."
        return found._replace(why=found.why + broadcast)
    return found


def _fits(case: Case) -> bool:
    """Tell whether Keras compares the two as they are meant."""
    axes, wanted = case.axes, case.wanted
    if case.loss.kind == "sparse":
        # Keras squeezes up to two last axes of size 1 away.
        extra = axes[len(wanted) :]
        return match(axes[: len(wanted)], wanted) and extra in ((), (1,), (1, 1))
    if case.units == 1 and match(axes, case.steps):
        return True
    return match(axes, wanted) or (axes[-1:] == (1,) and match(axes[:-1], wanted))


def _broadcasts(case: Case) -> bool:
    """Tell whether NumPy's rules let the two meet, after Keras has evened the ranks."""
    one, other = (["batch", *axes] for axes in (case.axes, case.head.shape[1:]))
    if len(one) == len(other) + 1 and one[-1] == 1:
        one.pop()
    elif len(other) == len(one) + 1 and other[-1] == 1 and len(one) > 1:
        other.pop()
    pairs = zip(reversed(one), reversed(other), strict=False)
    return all(a == b or 1 in (a, b) or None in (a, b) for a, b in pairs)


# --- Columns, indices, units ----------------------------------------------------------


def _one_hot_for_sparse(case: Case) -> Found | None:
    columns = case.axes[-1] if case.axes else 1
    if case.loss.kind != "sparse" or columns == 1:
        return None
    if not match(case.axes[:-1], case.steps) or not are_in(case.labels, 0, 1):
        return None
    if not sum_to_one(case.labels):
        several = columns == case.units and are_hot(case.labels)
        return several_hot(case) if several else None
    why = (
        f"these are rows of {columns} columns that sum to one (one-hot), and this loss "
        "wants one whole number, the index of the class."
    )
    fix = case.recompile("CategoricalCrossentropy")
    return Found("one-hot-for-sparse-loss", why, fix)


def _indices_for_one_hot(case: Case) -> Found | None:
    axes = case.axes[:-1] if case.axes[-1:] == (1,) else case.axes
    if case.loss.kind not in ("one-hot", "binary") or case.units == 1:
        return None
    if not match(axes, case.steps) or not are_whole(case.labels):
        return None
    logits = case.head.activation not in ("softmax", "sigmoid")
    if case.loss.kind == "one-hot":
        logits = bool(case.loss.from_logits)
    fix = case.recompile("SparseCategoricalCrossentropy", from_logits=logits)
    if case.loss.kind == "binary" and case.units == 2 and are_in(case.labels, 0, 1):
        why = (
            "there is one column of 0 and 1, but two units. Take one unit, or keep "
            "two and take a sparse loss."
        )
        return Found("two-units-one-column", why, fix)
    why = (
        "these are class indices, and this loss wants a column for each of the "
        f"{case.units} units."
    )
    return Found("indices-for-one-hot-loss", why, fix)


def _two_columns(case: Case) -> Found | None:
    if case.units != 1 or not match(case.axes, (*case.steps, 2)):
        return None
    if not (are_hot(case.labels) and sum_to_one(case.labels)):
        return None
    why = (
        "two columns say the same thing twice, but there is one unit. The second "
        "column alone, 1 for the second class, is what one unit learns."
    )
    return Found("one-unit-two-columns", why, case.relabel("{y}[..., 1:]"))


def _units(case: Case) -> Found | None:
    if case.loss.kind == "sparse":
        return None
    steps = len(case.steps)
    columns = case.axes[steps] if len(case.axes) == steps + 1 else 1
    if not match(case.axes[:steps], case.steps) or len(case.axes) > steps + 1:
        return None
    if case.loss.kind in ("one-hot", "binary") and not are_in(case.labels, 0, 1):
        return None
    why = f"columns of the labels: {columns}, units of the head: {case.units}."
    return Found("units", why, case.resize(int(columns or 1)))


# --- Steps ----------------------------------------------------------------------------


def _per_step_output(case: Case) -> Found | None:
    """Recognise one label for a sequence, but an output for each step."""
    columns = case.axes == (case.units,) and (
        case.loss.kind in ("regression", "hinge") or are_in(case.labels, 0, 1)
    )
    if not case.steps or not (columns or case.axes in ((), (1,))):
        return None
    recurrent = _last(case, RECURRENT | {"Bidirectional"})
    cause = "nothing pools the steps in front of the head"
    if recurrent is not None:
        cause = f"{recurrent.operation.name!r} has return_sequences=True"
    why = f"one label a sample, but an output for each step: {cause}."
    ranks = len(case.steps)
    if recurrent is not None and _last(case, RECURRENT, _STEPWISE):
        fix = _with_sequences(recurrent, False)
    elif ranks <= 3:
        fix = case.follow(f"keras.layers.GlobalAveragePooling{ranks}D()")
    else:
        fix = "# Where the model is built: average over the steps."
    return Found("per-step-output", why, fix)


_STEPWISE = set(
    "Activation BatchNormalization Dense Dropout LayerNormalization LeakyReLU ReLU "
    "Softmax".split()
)


def _last(case: Case, kinds: set[str], through: set[str] | None = None) -> Link | None:
    """Return the last layer of some kinds, if only certain others follow it."""
    for link in case.head.chain:
        kind = type(link.operation).__name__
        if kind in kinds:
            return link
        if through is not None and kind not in through:
            return None
    return None


def _with_sequences(link: Link, every_step: bool) -> str:
    name = f"model.get_layer({link.operation.name!r})"
    parts = [""]
    if type(link.operation).__name__ == "Bidirectional":
        parts = [".forward_layer", ".backward_layer"]
    return rebuilt(f"{name}{part}.return_sequences = {every_step}" for part in parts)


def _per_sequence_output(case: Case) -> Found | None:
    """Recognise a label for each step, but one output for all of them."""
    lost = lost_steps(case)
    if case.steps or not case.axes or (lost is None and case.head.chain):
        return None
    ranks = len(lost.input_shape) - 2 if lost else 1
    rest = case.axes[ranks:]
    columns = not rest and case.loss.kind != "sparse"
    one_hot = case.loss.kind == "one-hot" and sum_to_one(case.labels)
    if rest not in ((), (1,), (case.units,)) or (columns and (one_hot or not lost)):
        return None
    cause = f": {lost.operation.name!r} joins them" if lost else ""
    why = f"a label for each step, but one output for all of them{cause}."
    fix = (
        "# Where the model is built: return_sequences=True in the last recurrent "
        "layer, no pooling and no Flatten."
    )
    if lost and type(lost.operation).__name__ in RECURRENT | {"Bidirectional"}:
        fix = _with_sequences(lost, True)
    elif lost and is_layer(lost.operation):
        activation = case.head.activation
        kept = activation in ("sigmoid", "softmax")
        extra = f", activation={activation!r}" if kept else ""
        head = f"keras.layers.Dense({case.units}{extra}, name='per_step')"
        source = f"model.get_layer({lost.operation.name!r}).input"
        fix = case.replace(f"{head}({source})")
    return Found("per-sequence-output", why, fix)


def _length(case: Case) -> Found | None:
    """Recognise a label for each step of the input, but fewer steps in the output."""
    ranks = len(case.steps)
    given, rest = case.axes[:ranks], case.axes[ranks:]
    if not ranks or len(given) < ranks or match(given, case.steps):
        return None
    if rest not in ((), (1,), (case.units,)):
        return None
    changing = [
        link.operation
        for link in case.head.chain
        if len(link.input_shape) == len(link.output_shape) == ranks + 2
        and link.input_shape[1:-1] != link.output_shape[1:-1]
    ]
    cause = f": {', '.join(repr(layer.name) for layer in changing)}" if changing else ""
    what = "time axis changes" if ranks == 1 else "picture changes its size"
    why = f"the {what} on its way through the model{cause}."
    fix = (
        "# Keep the steps, or choose the labels that belong to the steps that are left."
    )
    if changing and all(
        hasattr(layer, "strides") and layer.padding in ("valid", "same", "causal")
        for layer in changing
    ):
        lines = []
        for layer in changing:
            name = f"model.get_layer({layer.name!r})"
            if layer.padding == "valid":
                lines.append(f"{name}.padding = 'same'")
            if set(layer.strides) != {1}:
                lines.append(f"{name}.strides = {(1,) * ranks}")
        fix = rebuilt(lines)
    return Found("time-length", why, fix)


# --- Other axes -----------------------------------------------------------------------


def _axes(case: Case) -> Found | None:
    """Recognise the same number of values in other axes."""
    sizes = [size for size in case.axes if size is not None]
    wanted = [size for size in case.wanted if size is not None]
    unknown = len(sizes) < len(case.axes) or len(wanted) < len(case.wanted)
    if unknown or math.prod(sizes) != math.prod(wanted):
        return None
    if len(sizes) == 2 and sizes == wanted[::-1]:
        why = "the labels have the axes of the output in another order."
        return Found("label-axes", why, case.relabel("np.swapaxes({y}, 1, 2)"))
    shape = ", ".join(map(str, (-1, *wanted))) + ("" if wanted else ",")
    why = (
        "the labels hold the right number of values in other axes. Reshape them, if "
        "the values come in the same order."
    )
    return Found("label-axes", why, case.relabel(f"np.reshape({{y}}, ({shape}))"))


def _anything_else(case: Case) -> Found:
    rank = len(case.wanted) + 1
    wanted = name_axes((None, *case.wanted), axis_names(rank, len(case.steps)))
    fix = f"# Make labels {wanted}, or a head for these labels."
    return Found("label-shape", f"this loss wants labels {wanted}.", fix)


_RULES = (
    _one_hot_for_sparse,
    _indices_for_one_hot,
    _two_columns,
    _per_step_output,
    _per_sequence_output,
    _length,
    _units,
    _axes,
    _anything_else,
)
