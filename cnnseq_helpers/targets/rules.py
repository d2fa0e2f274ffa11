"""The rules of `check_targets`, in the order in which they are asked.

They look at what was read and return findings: first those of all outputs, then, for
each output, the first rule that recognises why labels and output do not fit, and those
of the activation and the metrics. Shapes are judged here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..shapes import name_axes
from ..tracing.graph import POINTWISE, RECURRENT, Link, Shape
from .fixes import Finding
from .labels import (
    Case,
    Reading,
    are_in,
    are_rows,
    are_whole,
    are_yes_or_no,
    hold_several,
    match,
)
from .metric_rules import metric_mismatches
from .value_rules import (
    COMPETING,
    LINEAR,
    activation_mismatch,
    as_binary,
    as_classes,
    as_regression,
    as_sparse,
    ctc_mismatch,
    missing,
    several_hot,
    value_mismatch,
)


def judge(reading: Reading) -> Iterator[tuple[Finding, Case | None]]:
    """Say what does not fit, and which output with its labels it is about."""
    if reading.without_rank:
        yield _no_rank(reading.without_rank), None
    if reading.unknown_steps:
        yield _no_length(reading.unknown_steps), None
    for error in reading.errors:
        yield Finding(error.code, str(error), {"is_plain": error.is_plain}), None
    if different := _different_numbers(reading):
        yield different  # what follows would be read off the wrong rows
        return
    for case in reading.cases:
        for finding in _judge_output(case):
            yield finding, case


def _judge_output(case: Case) -> list[Finding]:
    if case.loss.kind == "unknown":
        why = f"Shapes and values were not compared: {case.loss.name}."
        advice = {"by_hand": "Compare the shapes by hand."}
        return [Finding("unknown-loss", why, advice)]
    rules: tuple[Any, ...] = (missing, misplaced, one_unit, misshaped, value_mismatch)
    if case.loss.kind == "ctc":
        rules = (missing, ctc_mismatch)
    unfit = next((found for rule in rules if (found := rule(case))), None)
    measured = [] if unfit else metric_mismatches(case)
    return [
        found._replace(message=f"{describe(case)}: {found.message}")
        for found in (unfit, activation_mismatch(case), *measured)
        if found
    ]


# --- All outputs ----------------------------------------------------------------------


def _no_rank(parts: tuple[str, ...]) -> Finding:
    why = (
        f"The data set promises no number of axes for {' and '.join(parts)}: the "
        "rank in its element_spec is unknown. fit traces the model with that alone "
        "and fails, although each batch that is drawn looks right. Give the shapes, "
        "or an output_signature where it is made by from_generator."
    )
    return Finding("unknown-rank", why)


def _no_length(layers: tuple[str, ...]) -> Finding:
    why = (
        f"{', '.join(map(repr, layers))}: TimeDistributed is called on steps whose "
        "number fit does not know, and this Keras then counts the samples of the batch "
        "in place of the steps: it drops steps, silently, or fails. Give all batches "
        "one known length, or merge batch and time."
    )
    return Finding("time-distributed", why)


def _different_numbers(reading: Reading) -> tuple[Finding, Case | None] | None:
    """Compare how many samples there are of everything."""
    numbers = {labels.shape[0] for labels in reading.labels}
    if len(numbers | reading.rows) < 2:
        return None
    given = ", ".join(f"{labels.name} {labels.shape}" for labels in reading.labels)
    count = f"x has {', '.join(map(str, sorted(reading.rows)))}; " * bool(reading.rows)
    message = (
        f"The numbers of samples differ: {count}the labels are {given}. Labels must "
        "belong to their samples, one by one."
    )
    for case in reading.cases if len(reading.rows) == 1 else []:
        (rows,) = reading.rows
        if case.labels.shape[0] != rows and (found := _arranged(case, rows)):
            return found._replace(message=f"{message} Here {found.message}"), case
    return Finding("batch-size", message), None


def _arranged(case: Case, rows: int) -> Finding | None:
    """Find so many samples in labels whose first axis has another length."""
    shape, likely = case.labels.shape, _likely_axes(case)
    bare = tuple(size for size in shape if size != 1)
    if shape[0] == 1 and bare[:1] == (rows,):
        why = "an axis of size 1 stands in front of that of the samples."
        return Finding("label-axes", why, {"reshape": (-1, *bare[1:])})
    for order in itertools.permutations(range(len(shape))) if len(shape) < 5 else ():
        first, *others = (shape[i] for i in order)
        if first == rows and tuple(others) in likely:
            why = "the samples are along another axis than the first."
            facts = {"labels": f"np.transpose(np.asarray(y), {order})"}
            return Finding("label-axes", why, facts)
    steps = _known(case.steps)
    if steps and shape[0] == rows * math.prod(steps):
        why = "steps and samples share the first axis."
        return Finding("batch-size", why, {"reshape": (-1, *steps, *shape[1:])})
    for axes in likely:
        long = axes[-1:] not in ((), (1,)) and bare == (rows * math.prod(axes),)
        if long and _may_be_rows(case, axes[-1]):
            why = f"the {axes[-1]} values of each row stand in one long vector."
            return Finding("batch-size", why, {"reshape": (-1, *axes)})
    return None


def _likely_axes(case: Case) -> list[tuple[int, ...]]:
    """Return what may follow the batch axis: steps, steps and units, or units alone."""
    units = case.head.shape[-1:] if len(case.head.shape) > 1 else ()
    steps = case.steps
    likely = [_known(axes) for axes in (steps, (*steps, 1), (*steps, *units), units)]
    return [axes for axes in likely if axes is not None]


def _may_be_rows(case: Case, columns: int) -> bool:
    """Tell whether blocks of so many values may be the rows of this loss."""
    sample, kind = case.labels.sample, case.loss.kind
    if kind in ("regression", "hinge"):
        return True
    if sample.min() < 0 or sample.max() > 1:
        return False
    if kind == "binary":
        return True
    if sample.size < math.prod(case.labels.shape):  # every so many values only
        return bool(abs(columns * sample.mean(dtype="float64") - 1) < 0.05)
    sums = sample.reshape(-1, columns).sum(axis=-1, dtype="float64")
    return bool(np.all(np.abs(sums - 1) < 0.01) and kind in ("sparse", "one-hot"))


# --- One output, without the inputs that tell the number of samples -------------------

# Fewer rows than these may look one-hot by chance.
_ROWS = 4


def misplaced(case: Case) -> Finding | None:
    """Recognise samples along another axis where only the labels can tell."""
    if case.has_inputs:
        return None
    found = _one_hot_vector(case)
    if found or fits(case) or len(case.labels.shape) < 2 or lost_steps(case):
        return found
    shape, units = case.labels.shape, case.units
    likely = [axes for axes in _likely_axes(case) if axes or not case.steps]
    if shape[0] == 1 != shape[1] and shape[1:] not in likely and shape[2:] in likely:
        why = (
            f"this is one sample. If there are {shape[1]}, an axis of size 1 stands in "
            "front of them."
        )
        return Finding("label-axes", why, {"reshape": shape[1:]})
    if case.steps or len(shape) > 2 or not shape[1] > shape[0] == units != 1:
        return None
    columns = np.asarray(case.labels.sample, "float64")
    one_hot = len(columns) == units and np.all(np.abs(columns.sum(axis=0) - 1) < 0.01)
    if case.loss.kind in ("sparse", "one-hot") and not one_hot:
        return None
    why = f"the {units} columns are along the first axis, where the samples should be."
    return Finding("label-axes", why, {"labels": "np.transpose(np.asarray(y))"})


def _one_hot_vector(case: Case) -> Finding | None:
    """Recognise one-hot rows behind one another; two columns may be chance."""
    units, sample = case.units or 0, case.labels.sample
    vector = case.axes in ((), (1,)) and sample.size == case.labels.shape[0]
    one_hot = case.loss.kind in ("sparse", "one-hot", "binary")
    if not (vector and one_hot and units > 2) or sample.size % units:
        return None
    rows = sample.reshape(-1, units)
    if len(rows) < _ROWS or not np.isin(rows, (0, 1)).all():
        return None
    # Yes and no in turns, of period `units`, has its 1 in the same column throughout.
    if (rows.sum(axis=1) != 1).any() or len(np.unique(rows.argmax(axis=1))) < 2:
        return None
    steps = _known(case.steps) or ()
    steps = () if len(rows) % math.prod(steps) else steps
    why = (
        f"these are one-hot rows of {units} columns behind one another in one long "
        "vector, not as many class indices."
    )
    return Finding("batch-size", why, {"reshape": (-1, *steps, units)})


# --- One unit where classes compete ---------------------------------------------------


def one_unit(case: Case) -> Finding | None:
    """Recognise a single unit where classes compete: softmax over it is always 1."""
    softmax = case.head.activation in COMPETING and _is_over_one(case)
    compared = case.loss.kind in ("sparse", "one-hot")
    compared = compared and case.loss.name != "KLDivergence"
    if case.units != 1 or not (softmax or compared):
        return None
    if case.loss.kind in ("regression", "hinge"):
        why = "softmax over one unit is always 1, whatever the model has learned."
        return Finding("one-unit", why, LINEAR)
    why = (
        "one unit is one class, and softmax over it is always 1. Two classes need one "
        "logit and a binary loss, more classes a unit each."
    )
    columns = case.axes[-1] if 0 < len(case.axes) == len(case.wanted) else None
    if not are_whole(case.labels):
        return Finding("one-unit", why, as_regression(case))
    if columns is not None and columns > 2:
        return Finding("one-unit", why, {"head": {"units": columns}})
    if case.loss.kind == "sparse" and not are_in(case.labels, 0, 1):
        return Finding("one-unit", why, as_classes(case))
    return Finding("one-unit", why, as_binary(case))


def _is_over_one(case: Case) -> bool:
    """Tell whether the activation itself sees a single unit: it may be cut later."""
    for link in case.head.chain:
        if link.operation is case.head.activated_by:
            return link.output_shape[-1] == 1
    return case.head.keras_sees_logits


# --- The shapes of an output and its labels -------------------------------------------


def misshaped(case: Case) -> Finding | None:
    """Return why the shapes of an output and its labels do not fit, or None."""
    if fits(case):
        return None
    found = _without_ones(case) or _first_of_rules(case)
    if case.loss.kind in ("regression", "hinge") and _broadcasts(case):
        broadcast = " Keras broadcasts one over the other and trains, silently."
        return found._replace(message=found.message + broadcast)
    return found


def _first_of_rules(case: Case) -> Finding:
    return next(found for rule in _RULES if (found := rule(case)))


def _without_ones(case: Case) -> Finding | None:
    """Judge labels without their superfluous axes of size 1, but for a last one."""
    axes, wanted = case.labels.shape[1:], (*case.wanted, *[None] * len(case.axes))
    kept = tuple(a for a, b in zip(axes, wanted, strict=False) if a != 1 or b == 1)
    if kept in (axes, axes[:-1]):
        return None  # the rules know a column
    sample = case.labels.sample.reshape((-1, *kept))
    bare = case.labels._replace(shape=(case.labels.shape[0], *kept), sample=sample)
    reshape = {"reshape": (-1, *kept)}
    if fits(case._replace(labels=bare)):
        why = "the labels have axes of size 1 too many."
        return _axes(case) or Finding("label-axes", why, reshape)
    found = _first_of_rules(case._replace(labels=bare))
    if found.code == "label-shape":
        return None
    return found._replace(facts={**reshape, **found.facts})


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


def _one_hot_for_sparse(case: Case) -> Finding | None:
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
    facts = {"loss": case.loss.change("CategoricalCrossentropy")}
    return Finding("one-hot-for-sparse-loss", why, facts)


def _indices_for_one_hot(case: Case) -> Finding | None:
    axes = case.axes[:-1] if case.axes[-1:] == (1,) else case.axes
    if case.loss.kind not in ("one-hot", "binary") or case.units == 1:
        return None
    if not match(axes, case.steps) or not are_whole(case.labels):
        return None
    facts = {"loss": as_sparse(case)}
    if case.loss.kind == "binary" and case.units == 2 and are_yes_or_no(case.labels):
        why = (
            "there is one column of 0 and 1, but two units. Take one unit, or keep "
            "two and take a sparse loss."
        )
        return Finding("two-units-one-column", why, facts)
    why = (
        "these are class indices, and this loss wants a column for each of the "
        f"{case.units} units."
    )
    return Finding("indices-for-one-hot-loss", why, facts)


def _two_columns(case: Case) -> Finding | None:
    if case.units != 1 or not match(case.axes, (*case.steps, 2)):
        return None
    if not (are_yes_or_no(case.labels) and are_rows(case.labels)):
        return None
    why = (
        "two columns say the same thing twice, but there is one unit. The second "
        "column alone, 1 for the second class, is what one unit learns."
    )
    facts = {"labels": "np.asarray(y)[..., 1:]"}
    return Finding("one-unit-two-columns", why, facts)


def _units(case: Case) -> Finding | None:
    steps = len(case.steps)
    columns = case.axes[steps] if len(case.axes) == steps + 1 else 1
    if case.loss.kind == "sparse" or len(case.axes) > steps + 1:
        return None
    if not match(case.axes[:steps], case.steps):
        return None
    if case.loss.kind in ("one-hot", "binary") and not are_in(case.labels, 0, 1):
        return None
    why = f"columns of the labels: {columns}, units of the head: {case.units}."
    return Finding("units", why, {"head": {"units": int(columns or 1)}})


# --- Steps ----------------------------------------------------------------------------


def _built(with_what: str) -> dict[str, Any]:
    return {"by_hand": f"Where the model is built: {with_what}."}


def _per_step_output(case: Case) -> Finding | None:
    """Recognise one label for a sequence, but an output for each step."""
    ranks = len(case.steps)
    if ranks > 1 and case.axes and match(case.axes, case.wanted[1:]):
        why = "the labels have no time axis, and the output has one."
        return Finding("per-step-output", why, _built("keep the last step only"))
    columns = case.axes == (case.units,) and (
        case.loss.kind in ("regression", "hinge", "binary") or are_rows(case.labels)
    )
    if not ranks or not (columns or case.axes in ((), (1,))):
        return None
    cause = "nothing pools the steps in front of the head"
    facts: dict[str, Any] = {"behind": f"GlobalAveragePooling{ranks}D()"}
    if ranks > 3:
        facts = _built("average over the steps")
    layer = _stepwise_recurrent(case)
    if layer is not None:
        cause = f"{layer.name!r} has return_sequences=True"
        if case.stands_alone(layer):
            facts = {"every_step": (layer, False)}
    why = f"one label a sample, but an output for each step: {cause}."
    return Finding("per-step-output", why, facts)


_RECURRENT = RECURRENT | {"Bidirectional"}


def _stepwise_recurrent(case: Case) -> Any:
    """Return the recurrent layer whose steps reach the head one by one, if any does."""
    for link in case.head.chain:
        kind = type(link.operation).__name__
        if kind in _RECURRENT:
            return link.operation if link.operation.return_sequences else None
        if kind not in POINTWISE:
            return None
    return None


def _per_sequence_output(case: Case) -> Finding | None:
    """Recognise a label for each step, but one output for all of them."""
    if len(case.axes) > 2 and case.axes[0] != 1 and match(case.axes[1:], case.wanted):
        why = "the labels have a time axis, and the output has none."
        return Finding("per-sequence-output", why, _built("return_sequences=True"))
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
    cause, facts = "", _built("an output for each step, without what joins them")
    if lost is not None:
        layer = lost.operation
        cause = f": {layer.name!r} joins them"
        if case.stands_alone(layer) and type(layer).__name__ in _RECURRENT:
            facts = {"every_step": (layer, True)}
    why = f"a label for each step, but one output for all of them{cause}."
    return Finding("per-sequence-output", why, facts)


def lost_steps(case: Case) -> Link | None:
    """Find behind which operation the steps are gone that the labels still have."""
    if case.steps or not case.axes:
        return None
    links = [link for link in case.head.chain if len(link.input_shape) > 2]
    lost = next((link for link in links if len(link.output_shape) == 2), None)
    if lost is None:
        return None
    steps = case.axes[: len(lost.input_shape) - 2]
    # An unknown length fits anything: only labels that can't be columns are steps then.
    columns = case.loss.kind != "sparse" and steps == case.axes
    lengths = [link.input_shape[1:-1] for link in links]
    likely = any(match(steps, n) for n in lengths if not columns or None not in n)
    frames = case.loss.kind == "sparse" and case.axes in {n[:1] for n in lengths}
    return lost if likely or frames else None


def _length(case: Case) -> Finding | None:
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
        advice = "Make the labels as long as the output."
        return Finding("time-length", why, {"by_hand": advice})
    changing = [k for k in same_rank if k.input_shape[1:-1] != k.output_shape[1:-1]]
    plain = all(link.alone for link in chain)
    cause = f": {', '.join(repr(k.operation.name) for k in changing)}" if plain else ""
    what = "time axis changes" if ranks == 1 else "picture changes its size"
    why = f"the {what} on its way through the model{cause}."
    fixed = any(type(link.operation).__name__ == "Reshape" for link in chain)
    layers = [link.operation for link in changing]
    if plain and not fixed and all(_only_pads(layer) for layer in layers):
        return Finding("time-length", why, {"padded": layers})
    advice = "Keep the steps, or choose the labels of the steps that are left."
    return Finding("time-length", why, {"by_hand": advice})


def _only_pads(layer: Any) -> bool:
    """Tell whether a layer shortens only by strides and what it does at the ends."""
    paddings = ("valid", "same", "causal")
    plain = hasattr(layer, "strides") and "Transpose" not in type(layer).__name__
    return plain and getattr(layer, "padding", "") in paddings


# --- Other axes -----------------------------------------------------------------------


def _axes(case: Case) -> Finding | None:
    """Recognise the same number of values in other axes."""
    axes, wanted = _known(case.axes), _known(case.wanted)
    if axes is None or wanted is None or math.prod(axes) != math.prod(wanted):
        return None
    if len(axes) == 2 and axes == wanted[::-1]:
        why = "the labels have the axes of the output in another order."
        return Finding("label-axes", why, {"labels": "np.swapaxes(y, 1, 2)"})
    why = (
        "the labels hold the right number of values in other axes. Reshape them, if "
        "the values come in the same order."
    )
    return Finding("label-axes", why, {"reshape": (-1, *wanted)})


def _known(axes: Shape) -> tuple[int, ...] | None:
    sizes = tuple(size for size in axes if size is not None)
    return sizes if len(sizes) == len(axes) else None


def _anything_else(case: Case) -> Finding:
    rank = len(case.wanted) + 1
    wanted = name_axes((None, *case.wanted), _axis_names(rank, len(case.steps)))
    advice = {"by_hand": f"Make labels {wanted}, or a head for these labels."}
    return Finding("label-shape", f"this loss wants labels {wanted}.", advice)


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


# --- The shapes in words --------------------------------------------------------------


def describe(case: Case) -> str:
    """Write both shapes with their axis names."""
    head, labels = case.head.shape, case.labels.shape
    output = name_axes(head, _axis_names(len(head), len(case.steps)))
    names = ["columns" if name == "units" else name for name in _label_names(case)]
    which = "The output" if case.is_single else f"Output {case.head.name!r}"
    return (
        f"{which} is {output}, the labels are {name_axes(labels, names)} "
        f"of {case.labels.dtype}, the loss is {case.loss.name}"
    )


_STEP_NAMES: dict[int, tuple[str, ...]] = {
    0: (),
    1: ("time",),
    2: ("height", "width"),
    3: ("time", "height", "width"),
}


def _axis_names(rank: int, steps: int) -> list[str]:
    """Name the axes of an array with a batch, so many axes of steps, and units."""
    names = ["batch", *_STEP_NAMES.get(steps, [f"step{i}" for i in range(steps)])]
    if rank > len(names) + 1:
        return names + [f"axis{i}" for i in range(len(names), rank)]
    return [*names, "units"][:rank]


def _label_names(case: Case) -> list[str]:
    """Name the axes of the labels by what they seem to stand for."""
    head, labels, steps = case.head.shape, case.labels.shape, len(case.steps)
    names = _axis_names(len(head), steps)
    if len(labels) > 2 and labels[1:] == head[2:]:
        return [names[0], *names[2:]]  # one frame for a clip
    if len(head) > 2 and labels[2:] == head[1:]:
        return [names[0], "time", *names[1:]]
    if labels[1:] != head[1:] and (lost := lost_steps(case)):
        steps = min(len(lost.input_shape) - 2, len(labels) - 1)
    elif len(labels) == 2 and labels[1] in (1, case.units) and case.steps != labels[1:]:
        steps = 0
    return _axis_names(len(labels), steps)
