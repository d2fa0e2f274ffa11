"""The rules of `check_targets` for labels of the right shape, and for the head.

Each returns None, or what is wrong.
"""

from __future__ import annotations

import numpy as np

from ..tracing.heads import SPOILED
from .cases import Case, Found
from .labels import (
    are_in,
    are_rows,
    are_whole,
    are_yes_or_no,
    hold_several,
    keep_finite,
)

_COMPETING = ("softmax", "gated softmax")


def one_unit(case: Case) -> Found | None:
    """Recognise a single unit where classes compete: softmax over it is always 1."""
    softmax = case.head.activation in _COMPETING and _is_over_one(case)
    compared = case.loss.kind in ("sparse", "one-hot")
    compared = compared and case.loss.name != "KLDivergence"
    if case.units != 1 or not (softmax or compared):
        return None
    if case.loss.kind in ("regression", "hinge"):
        why = "softmax over one unit is always 1, whatever the model has learned."
        return Found("one-unit", why, case.retype("linear"))
    why = (
        "one unit is one class, and softmax over it is always 1. Two classes need one "
        "logit and a binary loss, more classes a unit each."
    )
    if not are_whole(case.labels):
        return Found("one-unit", why, _as_regression(case))
    if case.axes and (case.axes[-1] or 1) > 2 and len(case.axes) == len(case.wanted):
        return Found("one-unit", why, case.resize(int(case.axes[-1] or 1)))
    if case.loss.kind == "sparse" and not are_in(case.labels, 0, 1):
        return Found("one-unit", why, _as_classes(case))
    return Found("one-unit", why, _as_binary(case))


def _is_over_one(case: Case) -> bool:
    """Tell whether the activation itself sees a single unit: it may be cut later."""
    for link in case.head.chain:
        if link.operation is case.head.activated_by:
            return link.output_shape[-1] == 1
    return case.head.bare


def several_hot(case: Case) -> Found:
    """Say what is wrong with several labels at once under a softmax."""
    why = (
        "some rows hold more than one 1, several labels at once. Softmax lets the "
        "classes compete for one place; here each needs a yes or no of its own."
    )
    return Found("several-hot", why, _as_binary(case))


def _as_binary(case: Case) -> str:
    logits = case.head.activation != "sigmoid"
    loss = case.recompile("BinaryCrossentropy", from_logits=logits)
    keeps = case.head.activation in ("linear", "sigmoid", "unknown")
    return loss if keeps else f"{case.retype('linear')}\n{loss}"


def _as_regression(case: Case) -> str:
    loss = case.recompile("MeanSquaredError")
    keeps = case.head.activation in ("linear", "unknown")
    return loss if keeps else f"{case.retype('linear')}\n{loss}"


def missing(case: Case) -> Found | None:
    """Recognise labels that are NaN or infinite."""
    sample = case.labels.sample
    count = int(np.sum(~np.isfinite(sample)))
    if not count:
        return None
    why = (
        f"{count} labels are NaN or infinite. One is enough to make the loss NaN, and "
        "with it every weight."
    )
    return Found("label-missing", why, keep_finite(case.labels, case.source))


def value_mismatch(case: Case) -> Found | None:
    """Return which values labels of the right shape should not have, or None."""
    labels = case.labels
    if case.loss.kind != "sparse":  # which looks up what it will not count, too
        if case.head.masked or labels.counted is None:
            return None
        labels = labels._replace(sample=labels.counted)
    if labels.sample.ndim > len(case.head.shape):
        labels = labels._replace(sample=labels.sample[..., 0])
    if not labels.sample.size:
        return None
    return _VALUES[case.loss.kind](case._replace(labels=labels))


# --- Class indices --------------------------------------------------------------------


def _class_indices(case: Case) -> Found | None:
    labels, units = case.labels, case.units
    if not are_whole(labels):
        return _not_whole(case)
    ignored = case.loss.options.get("ignore_class")
    if units is None or (ignored is None and are_in(labels, 0, units - 1)):
        return None
    values = np.unique(labels.sample)
    values = values[values != ignored] if ignored is not None else values
    outside = values[(values < 0) | (values >= units)]
    if not len(outside):
        return None
    low, high = int(values[0]), int(values[-1])
    if ignored is not None:
        why = f"besides {ignored}, there are labels from {low} to {high}."
        fix = f"# Number the classes from 0 to {units - 1}, and leave {ignored} be."
        return Found("label-range", why, fix)
    why = f"{units} units mean classes 0 to {units - 1}, and these go {low} to {high}."
    if low == 1 and high == units:
        return Found("labels-from-one", why, case.relabel("{y} - 1"))
    if list(values) == [-1, 1]:
        return Found("labels-signed", why, case.relabel("({y} + 1) // 2"))
    if list(values) == [0, 255]:
        return Found("label-range", why, case.relabel("{y} // 255"))
    if len(outside) == 1 and outside[0] in (low, 255) and len(values) > 1:
        marked = int(outside[0])
        why += f" If {marked} stands for no label, the loss has to know."
        return Found("label-range", why, case.recompile(ignore_class=marked))
    if low >= 0:
        return Found("units", why, _as_classes(case))
    return Found("label-range", why, case.relabel(f"{{y}} - ({low})"))


def _as_classes(case: Case) -> str:
    """Write the code for as many units as classes, or for classes without gaps."""
    values = np.unique(case.labels.sample)
    high = int(values[-1])
    if len(values) <= (case.units or 1):
        return case.relabel("np.unique({y}, return_inverse=True)[1]")
    if high < 10 * len(values):
        return case.resize(high + 1)
    return "# Are these classes? Numbers want one unit and a regression loss."


def _not_whole(case: Case) -> Found:
    why = "this loss wants whole numbers and cuts these silently: 0.7 becomes class 0. "
    values = len(np.unique(case.labels.sample))
    if values <= (case.units or 1):
        why += f"There are {values} different values, which may be the classes."
        fix = case.relabel("np.unique({y}, return_inverse=True)[1]")
    else:
        why += "Numbers want one unit without activation and a regression loss."
        fix = f"{case.resize(1, 'linear')}\n{case.recompile('MeanSquaredError')}"
    return Found("labels-not-whole", why, fix)


# --- Rows of probabilities ------------------------------------------------------------


def _rows(case: Case) -> Found | None:
    labels = case.labels
    if are_rows(labels):
        return None
    if are_yes_or_no(labels):
        return several_hot(case) if hold_several(labels) else None
    why = "this loss wants rows that sum to one, and these do not."
    if set(np.unique(labels.sample)) == {-1, 1}:
        return Found("labels-signed", why, case.relabel("({y} + 1) / 2"))
    fix = _as_regression(case)
    if labels.sample.min() >= 0 and labels.sample.sum(axis=-1).min() > 0:
        fix = case.relabel(
            "np.asarray({y}) / np.sum(np.asarray({y}), -1, keepdims=True)"
        )
    return Found("labels-not-probabilities", why, fix)


# --- Yes or no ------------------------------------------------------------------------


def _yes_or_no(case: Case) -> Found | None:
    labels = case.labels
    if are_in(labels, 0, 1):
        competing = case.head.activation in _COMPETING
        return several_hot(case) if competing and hold_several(labels) else None
    values = np.unique(labels.sample)
    low, high = values[0], values[-1]
    why = f"this loss wants labels from 0 to 1, and these go from {low:g} to {high:g}."
    if list(values) == [-1, 1]:
        return Found("labels-signed", why, case.relabel("({y} + 1) / 2"))
    if list(values) == [1, 2]:
        return Found("labels-from-one", why, case.relabel("{y} - 1"))
    if list(values) == [0, 1, 255]:
        fix = "# If 255 stands for no label: 0 instead, with a sample weight of 0."
        return Found("label-range", why, fix)
    if low >= 0 and high == 255:
        return Found("label-range", why, case.relabel("{y} / 255"))
    if case.units == 1 and low >= 0 and are_whole(labels):
        logits = case.head.activation not in ("softmax", "sigmoid")
        loss = case.recompile("SparseCategoricalCrossentropy", from_logits=logits)
        why += " More than two classes need a unit each."
        return Found("units", why, f"{_as_classes(case)}\n{loss}")
    why += " For numbers, take a regression loss."
    return Found("label-range", why, _as_regression(case))


def _sides(case: Case) -> Found | None:
    values = np.unique(case.labels.sample)
    if set(values) <= {-1, 1} or set(values) <= {0, 1}:
        return None
    low, high = values[0], values[-1]
    why = f"this loss wants labels -1 and 1, and these go from {low:g} to {high:g}."
    fix = case.relabel(f"np.where({{y}} > {values.mean():g}, 1, -1)")
    return Found("label-range", why, fix)


# --- Numbers --------------------------------------------------------------------------

_LIMITS = {"sigmoid": (0, 1), "softmax": (0, 1), "tanh": (-1, 1), "relu": (0, np.inf)}


def _numbers(case: Case) -> Found | None:
    low, high = _LIMITS.get(case.head.activation, (-np.inf, np.inf))
    sample = case.labels.sample
    if sample.min() >= low - 1e-3 and sample.max() <= high + 1e-3:
        return None
    why = (
        f"{case.head.activation} gives values from {low} to {high}, and the labels go "
        f"from {sample.min():.4g} to {sample.max():.4g}: some are out of reach."
    )
    return Found("labels-beyond-activation", why, case.retype("linear"))


_VALUES = {
    "sparse": _class_indices,
    "one-hot": _rows,
    "binary": _yes_or_no,
    "hinge": _sides,
    "regression": _numbers,
}


# --- The activation -------------------------------------------------------------------

_PROBABILITIES = {"hardsigmoid", "sigmoid", "softmax", "sparsemax"}


def activation_mismatch(case: Case) -> Found | None:
    """Return why the activation of the head does not fit the loss, or None."""
    activation, loss = case.head.activation, case.loss
    if activation == "unknown" or (case.units == 1 and activation in _COMPETING):
        return None
    if loss.kind == "hinge" and activation in _PROBABILITIES | SPOILED | {"relu"}:
        why = f"this loss wants outputs on both sides of 0, and {activation} has one."
        return Found("head-activation", why, case.retype("linear"))
    if loss.kind == "ctc" and activation in _PROBABILITIES | SPOILED:
        why = (
            f"the head ends in {activation}, but CTC wants logits, and takes these for "
            "some, silently."
        )
        return Found("softmax-from-logits", why, case.retype("linear"))
    if loss.from_logits is None:
        return None
    if activation in SPOILED:
        return _no_probabilities(case)
    if loss.from_logits:
        return _from_logits(case)
    normalized = activation in ("exponential", "softplus") and loss.kind != "binary"
    if activation in _PROBABILITIES or normalized:
        return None
    what = "no activation" if activation == "linear" else f"the activation {activation}"
    why = (
        f"the head has {what}, so these are no probabilities, but this loss takes them "
        "for some, silently."
    )
    if loss.name == "KLDivergence":
        return Found("logits-as-probabilities", why, case.retype("softmax"))
    fix = case.recompile(from_logits=True)
    return Found("logits-as-probabilities", why, fix)


def _from_logits(case: Case) -> Found | None:
    activation = case.head.activation
    # Softmax sees differences of logits only, and those may be large above 0 as well.
    if activation == "tanh" or (activation == "relu" and case.loss.kind == "binary"):
        why = (
            f"{activation} bounds the logits, so that no class can become as likely, "
            "or as unlikely, as it should."
        )
        return Found("head-activation", why, case.retype("linear"))
    if activation not in _PROBABILITIES:
        return None
    noticed = case.head.bare and activation in ("sigmoid", "softmax")
    seen = (
        "Keras notices, warns, and goes back to the logits in front of it."
        if noticed
        else "Keras does not notice, and takes its probabilities for logits, silently."
    )
    why = f"the head ends in {activation}, but from_logits=True. {seen}"
    return Found("softmax-from-logits", why, case.recompile(from_logits=False))


_SPOILED_BY = {
    "gated softmax": "its gates scale and mix what softmax gives",
    "joined softmax": "it joins the softmax of both directions",
    "summed sigmoid": "it adds the sigmoids of both directions, up to 2",
    "summed softmax": "it adds the softmax of both directions",
}


def _no_probabilities(case: Case) -> Found | None:
    """Say why the softmax in a recurrent head gives no probabilities."""
    activation, loss = case.head.activation, case.loss
    below_one = not activation.startswith("summed")
    if loss.kind == "binary" and below_one and not loss.from_logits:
        return None  # each value by itself is one, whatever the row sums to
    layer = case.head.activated_by
    name = "the head" if layer is None else repr(layer.name)
    sums = "" if activation == "summed sigmoid" else ", so that rows do not sum to 1"
    taken = "logits" if loss.from_logits else "probabilities"
    why = (
        f"{name} is recurrent, and {_SPOILED_BY[activation]}{sums}: these are neither "
        f"probabilities nor logits. The loss takes them for {taken}, silently."
    )
    if loss.name == "KLDivergence":
        fix = case.follow(case.dense("softmax"))
    else:
        fix = case.follow(case.dense())
        if not loss.from_logits and not fix.startswith("#"):
            fix += f"\n{case.recompile(from_logits=True)}"
    return Found("no-probabilities", why, fix)
