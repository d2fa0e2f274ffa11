"""The rules of `check_targets` that hold the shapes of output and labels together.

Each returns None, or what is wrong. They come in order: the first that recognises a
mismatch speaks. Code is offered as a fix only where nothing else of the model depends
on what it changes; else a comment says what to do.
"""

from __future__ import annotations

import math

from ..shapes import name_axes
from ..tracing.graph import Link, Shape
from ..tracing.heads import RECURRENT
from .cases import Case, Found, axis_names, input_of, is_layer, lost_steps, match
from .labels import are_in, are_rows, are_whole, are_yes_or_no, hold_several
from .value_rules import several_hot


def shape_mismatch(case: Case) -> Found | None:
    """Return why the shapes of an output and its labels do not fit, or None."""
    if fits(case):
        return None
    found = _without_ones(case) or _first_of_rules(case)
    if case.loss.kind in ("regression", "hinge") and _broadcasts(case):
        broadcast = " Keras broadcasts one over the other and trains, silently."
        return found._replace(why=found.why + broadcast)
    return found


def _first_of_rules(case: Case) -> Found:
    return next(found for rule in _RULES if (found := rule(case)))


def _without_ones(case: Case) -> Found | None:
    """Judge labels without their superfluous axes of size 1, but for a last one."""
    axes, wanted = case.labels.shape[1:], (*case.wanted, *[None] * len(case.axes))
    kept = tuple(a for a, b in zip(axes, wanted, strict=False) if a != 1 or b == 1)
    if kept in (axes, axes[:-1]):
        return None  # the rules know a column
    sample = case.labels.sample
    shapes = (case.labels.shape[0], *kept), (len(sample), *kept)
    bare = case.labels._replace(shape=shapes[0], sample=sample.reshape(shapes[1]))
    reshape = case.relabel(f"np.reshape({{y}}, {(-1, *kept)})")
    if fits(case._replace(labels=bare)):
        why = "the labels have axes of size 1 too many."
        return _axes(case) or Found("label-axes", why, reshape)
    found = _first_of_rules(case._replace(labels=bare))
    if found.code == "label-shape":
        return None
    both = found.fix.startswith("y")
    return found._replace(fix=f"{reshape}\n{found.fix}" if both else found.fix)


def fits(case: Case) -> bool:
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
    if columns != case.units and lost_steps(case):
        return None  # one event in a sequence, step by step, looks one-hot as well
    if not are_rows(case.labels):
        several = columns == case.units and hold_several(case.labels)
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
    if case.loss.kind == "binary" and case.units == 2 and are_yes_or_no(case.labels):
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
    if not (are_yes_or_no(case.labels) and are_rows(case.labels)):
        return None
    why = (
        "two columns say the same thing twice, but there is one unit. The second "
        "column alone, 1 for the second class, is what one unit learns."
    )
    return Found("one-unit-two-columns", why, case.relabel("np.asarray({y})[..., 1:]"))


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
    ranks = len(case.steps)
    if ranks > 1 and case.axes and match(case.axes, case.wanted[1:]):
        why = "the labels have no time axis, and the output has one."
        return Found("per-step-output", why, _BUILD.format("keep the last step only"))
    columns = case.axes == (case.units,) and (
        case.loss.kind in ("regression", "hinge", "binary") or are_rows(case.labels)
    )
    if not ranks or not (columns or case.axes in ((), (1,))):
        return None
    recurrent = _behind_stepwise(case)
    cause = "nothing pools the steps in front of the head"
    fix = _BUILD.format("average over the steps")
    if ranks <= 3:
        fix = case.follow(f"keras.layers.GlobalAveragePooling{ranks}D()")
    if recurrent is not None:
        cause = f"{recurrent.operation.name!r} has return_sequences=True"
        if case.is_single(recurrent.operation):
            fix = _with_sequences(case, recurrent, False)
    why = f"one label a sample, but an output for each step: {cause}."
    return Found("per-step-output", why, fix)


_BUILD = "# Where the model is built: {}."

_STEPWISE = set(
    "Activation BatchNormalization Dense Dropout LayerNormalization LeakyReLU ReLU "
    "Softmax".split()
)


def _behind_stepwise(case: Case) -> Link | None:
    """Return the recurrent layer whose steps reach the head one by one, if any does."""
    for link in case.head.chain:
        kind = type(link.operation).__name__
        if kind in RECURRENT | {"Bidirectional"}:
            return link if link.operation.return_sequences else None
        if kind not in _STEPWISE:
            return None
    return None


def _with_sequences(case: Case, link: Link, every_step: bool) -> str:
    name = f"model.get_layer({link.operation.name!r})"
    parts = [""]
    if type(link.operation).__name__ == "Bidirectional":
        parts = [".forward_layer", ".backward_layer"]
    lines = [f"{name}{part}.return_sequences = {every_step}" for part in parts]
    return case.rebuild(lines)


def _per_sequence_output(case: Case) -> Found | None:
    """Recognise a label for each step, but one output for all of them."""
    if len(case.axes) > 2 and case.axes[0] != 1 and match(case.axes[1:], case.wanted):
        why = "the labels have a time axis, and the output has none."
        fix = _BUILD.format("return_sequences=True")
        return Found("per-sequence-output", why, fix)
    lost = lost_steps(case)
    if case.steps or not case.axes or (lost is None and case.head.chain):
        return None
    if math.prod(size or 0 for size in case.axes) == case.units != 1:
        return None  # a picture against as many units as pixels
    rest = case.axes[len(lost.input_shape) - 2 :] if lost else case.axes[1:]
    columns = not rest and case.loss.kind != "sparse"
    one_hot = case.loss.kind == "one-hot" and are_rows(case.labels)
    if rest not in ((), (1,), (case.units,)) or (columns and (one_hot or not lost)):
        return None
    cause = f": {lost.operation.name!r} joins them" if lost else ""
    why = f"a label for each step, but one output for all of them{cause}."
    return Found("per-sequence-output", why, _keep_steps(case, lost))


_JOINS = {"Flatten"} | {
    f"Global{kind}Pooling{rank}D" for kind in ("Average", "Max") for rank in (1, 2, 3)
}

_JOINS |= {f"MaskedGlobal{kind}Pooling1D" for kind in ("Average", "Max")}


def _keep_steps(case: Case, lost: Link | None) -> str:
    """Write the code that keeps the steps which an operation joins."""
    if lost is not None and case.is_single(lost.operation):
        kind, activation = type(lost.operation).__name__, case.head.activation
        if kind in RECURRENT | {"Bidirectional"}:
            return _with_sequences(case, lost, True)
        # Where only the head follows a pooling, the new head replaces nothing else.
        behind = [link.operation for link in case.head.chain[:2]]
        written = activation in ("linear", "relu", "sigmoid", "softmax", "tanh")
        written = written and len(case.axes) >= len(lost.input_shape) - 2
        if kind in _JOINS and behind == [case.head.layer, lost.operation] and written:
            extra = "" if activation == "linear" else f", activation={activation!r}"
            name = f"{case.head.layer.name}_per_step"
            head = f"keras.layers.Dense({case.units}{extra}, name={name!r})"
            return case.replace(f"{head}({input_of(lost)})")
    return _BUILD.format("an output for each step, without what joins them")


def _length(case: Case) -> Found | None:
    """Recognise a label for each step, but another number of steps in the output."""
    ranks = len(case.steps)
    given, rest = case.axes[:ranks], case.axes[ranks:]
    if not ranks or len(given) < ranks or match(given, case.steps):
        return None
    if rest not in ((), (1,), (case.units,)):
        return None
    chain = case.head.chain
    same_rank = [k for k in chain if len(k.input_shape) == ranks + 2]
    if not any(match(given, link.input_shape[1:-1]) for link in same_rank):
        why = f"the labels have the length {given}, and the output has {case.steps}."
        return Found("time-length", why, "# Make the labels as long as the output.")
    changing = [k for k in same_rank if k.input_shape[1:-1] != k.output_shape[1:-1]]
    plain = all(link.alone for link in chain)
    fixed = any(type(link.operation).__name__ == "Reshape" for link in chain)
    names = ", ".join(repr(link.operation.name) for link in changing)
    cause = f": {names}" if plain else ""
    what = "time axis changes" if ranks == 1 else "picture changes its size"
    why = f"the {what} on its way through the model{cause}."
    fix = (
        "# Keep the steps, or choose the labels that belong to the steps that are left."
    )
    if plain and not fixed and all(is_padded(link) for link in changing):
        fix = case.rebuild([k for link in changing for k in keep_length(link, ranks)])
    return Found("time-length", why, fix)


def is_padded(link: Link) -> bool:
    """Tell whether a layer shortens only by strides and what it does at the ends."""
    paddings = ("valid", "same", "causal")
    layer = link.operation
    plain = is_layer(layer) and "Transpose" not in type(layer).__name__
    return plain and hasattr(layer, "strides") and layer.padding in paddings


def keep_length(link: Link, ranks: int) -> list[str]:
    """Write what makes a layer keep the steps, or height and width."""
    layer, lines = link.operation, []
    name = f"model.get_layer({layer.name!r})"
    if layer.padding == "valid":
        lines.append(f"{name}.padding = 'same'")
    if set(layer.strides) != {1}:
        lines.append(f"{name}.strides = {(1,) * ranks}")
    return lines


# --- Other axes -----------------------------------------------------------------------


def _axes(case: Case) -> Found | None:
    """Recognise the same number of values in other axes."""
    axes, wanted = _known(case.axes), _known(case.wanted)
    if axes is None or wanted is None or math.prod(axes) != math.prod(wanted):
        return None
    if len(axes) == 2 and axes == wanted[::-1]:
        why = "the labels have the axes of the output in another order."
        return Found("label-axes", why, case.relabel("np.swapaxes({y}, 1, 2)"))
    shape = ", ".join(map(str, (-1, *wanted))) + ("" if wanted else ",")
    why = (
        "the labels hold the right number of values in other axes. Reshape them, if "
        "the values come in the same order."
    )
    return Found("label-axes", why, case.relabel(f"np.reshape({{y}}, ({shape}))"))


def _known(axes: Shape) -> list[int] | None:
    sizes = [size for size in axes if size is not None]
    return sizes if len(sizes) == len(axes) else None


def _anything_else(case: Case) -> Found:
    rank = len(case.wanted) + 1
    wanted = name_axes((None, *case.wanted), axis_names(rank, len(case.steps)))
    fix = f"# Make labels {wanted}, or a head for these labels."
    return Found("label-shape", f"this loss wants labels {wanted}.", fix)


_RULES = (
    _one_hot_for_sparse,
    _per_step_output,
    _indices_for_one_hot,
    _two_columns,
    _per_sequence_output,
    _length,
    _units,
    _axes,
    _anything_else,
)
