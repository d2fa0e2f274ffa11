"""The rules of `check_targets` for labels of the right shape, and for the activation.

Each returns None, or what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..tracing.heads import SPOILED
from .fixes import Finding, dense
from .labels import Case, are_in, are_rows, are_whole, are_yes_or_no, hold_several

COMPETING = ("softmax", "gated softmax")

# The facts of a head without activation.
LINEAR = {"head": {"activation": "linear"}}

NUMBERED = "np.unique(y, return_inverse=True)[1]"


def missing(case: Case) -> Finding | None:
    """Recognise labels that are NaN or infinite."""
    finite = np.isfinite(case.labels.sample)
    if finite.all():
        return None
    why = (
        f"{int(np.sum(~finite))} labels are NaN or infinite. One is enough to make the "
        "loss NaN, and with it every weight."
    )
    advice = "Replace what is missing by 0, with a sample weight of 0 there."
    facts = {"by_hand": advice}
    whole = finite.reshape(len(finite), -1).all(axis=1)
    if case.has_inputs and case.is_plain and whole.mean() >= 0.9:
        facts = {"keep": "np.isfinite(np.asarray(y)).reshape(len(y), -1).all(1)"}
    return Finding("label-missing", why, facts)


def several_hot(case: Case) -> Finding:
    """Say what is wrong with several labels at once under a softmax."""
    why = (
        "some rows hold more than one 1, several labels at once. Softmax lets the "
        "classes compete for one place; here each needs a yes or no of its own."
    )
    return Finding("several-hot", why, as_binary(case))


def as_binary(case: Case) -> Mapping[str, Any]:
    """Return the facts of a head and a loss for yes or no."""
    logits = case.head.activation != "sigmoid"
    facts = {"loss": case.loss.change("BinaryCrossentropy", from_logits=logits)}
    keeps = case.head.activation in ("linear", "sigmoid", "unknown")
    return facts if keeps else {**LINEAR, **facts}


def as_regression(case: Case) -> Mapping[str, Any]:
    """Return the facts of a head and a loss for numbers."""
    facts = {"loss": case.loss.change("MeanSquaredError")}
    keeps = case.head.activation in ("linear", "unknown")
    return facts if keeps else {**LINEAR, **facts}


def as_classes(case: Case) -> Mapping[str, Any]:
    """Return the facts of as many units as classes, or of classes without gaps."""
    values = np.unique(case.labels.sample)
    high = int(values[-1])
    if len(values) <= (case.units or 1):
        return {"labels": NUMBERED}
    if high < 10 * len(values):
        return {"head": {"units": high + 1}}
    return {"by_hand": "Are these classes? Numbers want one unit, a regression loss."}


def value_mismatch(case: Case) -> Finding | None:
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


def _class_indices(case: Case) -> Finding | None:
    labels, units = case.labels, case.units
    if not are_whole(labels):
        return _not_whole(case)
    if units is None:
        return None
    ignored = case.loss.options.get("ignore_class")
    values = np.unique(labels.sample)
    values = values[values != ignored] if ignored is not None else values
    outside = values[(values < 0) | (values >= units)]
    if not len(outside):
        return None
    low, high = int(values[0]), int(values[-1])
    if ignored is not None:
        why = f"besides {ignored}, there are labels from {low} to {high}."
        advice = f"Number the classes from 0 to {units - 1}, and leave {ignored} be."
        return Finding("label-range", why, {"by_hand": advice})
    why = f"{units} units mean classes 0 to {units - 1}, and these go {low} to {high}."
    if low == 1 and high == units:
        return Finding("labels-from-one", why, {"labels": "y - 1"})
    if list(values) == [-1, 1]:
        return Finding("labels-signed", why, {"labels": "(y + 1) // 2"})
    if list(values) == [0, 255]:
        return Finding("label-range", why, {"labels": "y // 255"})
    if len(outside) == 1 and outside[0] in (low, 255) and len(values) > 1:
        marked = int(outside[0])
        why += f" If {marked} stands for no label, the loss has to know."
        loss = case.loss.change(ignore_class=marked)
        return Finding("label-range", why, {"loss": loss})
    if low >= 0:
        return Finding("units", why, as_classes(case))
    return Finding("label-range", why, {"labels": f"y - ({low})"})


def _not_whole(case: Case) -> Finding:
    why = "this loss wants whole numbers and cuts these silently: 0.7 becomes class 0. "
    values = len(np.unique(case.labels.sample))
    if values <= (case.units or 1):
        why += f"There are {values} different values, which may be the classes."
        return Finding("labels-not-whole", why, {"labels": NUMBERED})
    why += "Numbers want one unit without activation and a regression loss."
    loss = case.loss.change("MeanSquaredError")
    facts = {"head": {"units": 1, "activation": "linear"}, "loss": loss}
    return Finding("labels-not-whole", why, facts)


# --- Rows of probabilities ------------------------------------------------------------


def _rows(case: Case) -> Finding | None:
    labels = case.labels
    if are_rows(labels):
        return None
    if are_yes_or_no(labels):
        return several_hot(case) if hold_several(labels) else None
    why = "this loss wants rows that sum to one, and these do not."
    if set(np.unique(labels.sample)) == {-1, 1}:
        return Finding("labels-signed", why, {"labels": "(y + 1) / 2"})
    facts = as_regression(case)
    if labels.sample.min() >= 0 and labels.sample.sum(axis=-1).min() > 0:
        facts = {"labels": "np.asarray(y) / np.sum(np.asarray(y), -1, keepdims=True)"}
    return Finding("labels-not-probabilities", why, facts)


# --- Yes or no ------------------------------------------------------------------------


def _yes_or_no(case: Case) -> Finding | None:
    labels = case.labels
    if are_in(labels, 0, 1):
        competing = case.head.activation in COMPETING
        return several_hot(case) if competing and hold_several(labels) else None
    values = np.unique(labels.sample)
    low, high = values[0], values[-1]
    why = f"this loss wants labels from 0 to 1, and these go from {low:g} to {high:g}."
    if list(values) == [-1, 1]:
        return Finding("labels-signed", why, {"labels": "(y + 1) / 2"})
    if list(values) == [1, 2]:
        return Finding("labels-from-one", why, {"labels": "y - 1"})
    if list(values) == [0, 1, 255]:
        advice = "If 255 stands for no label: 0 instead, with a sample weight of 0."
        return Finding("label-range", why, {"by_hand": advice})
    if low >= 0 and high == 255:
        return Finding("label-range", why, {"labels": "y / 255"})
    if case.units == 1 and low >= 0 and are_whole(labels):
        why += " More than two classes need a unit each."
        return Finding("units", why, {**as_classes(case), "loss": as_sparse(case)})
    why += " For numbers, take a regression loss."
    return Finding("label-range", why, as_regression(case))


def as_sparse(case: Case) -> Any:
    """Return the loss of class indices, of logits unless the head squashes them."""
    logits = case.head.activation not in ("softmax", "sigmoid")
    if case.loss.kind == "one-hot":
        logits = bool(case.loss.from_logits)
    return case.loss.change("SparseCategoricalCrossentropy", from_logits=logits)


def _sides(case: Case) -> Finding | None:
    values = np.unique(case.labels.sample)
    if set(values) <= {-1, 1} or set(values) <= {0, 1}:
        return None
    low, high = values[0], values[-1]
    why = f"this loss wants labels -1 and 1, and these go from {low:g} to {high:g}."
    facts = {"labels": f"np.where(y > {values.mean():g}, 1, -1)"}
    return Finding("label-range", why, facts)


# --- Numbers --------------------------------------------------------------------------

_LIMITS = {"sigmoid": (0, 1), "softmax": (0, 1), "tanh": (-1, 1), "relu": (0, np.inf)}


def _numbers(case: Case) -> Finding | None:
    low, high = _LIMITS.get(case.head.activation, (-np.inf, np.inf))
    sample = case.labels.sample
    if sample.min() >= low - 1e-3 and sample.max() <= high + 1e-3:
        return None
    why = (
        f"{case.head.activation} gives values from {low} to {high}, and the labels go "
        f"from {sample.min():.4g} to {sample.max():.4g}: some are out of reach."
    )
    return Finding("labels-beyond-activation", why, LINEAR)


_VALUES = {
    "sparse": _class_indices,
    "one-hot": _rows,
    "binary": _yes_or_no,
    "hinge": _sides,
    "regression": _numbers,
}


# --- CTC, whose labels are shorter than the output ------------------------------------


def ctc_mismatch(case: Case) -> Finding | None:
    """Return why labels and an output (batch, time, classes) do not fit, or None."""
    letters, steps, units = case.labels.sample, case.steps[0], case.units
    by_hand = {"by_hand": "Number the letters from 1, and pad with 0 at the end."}
    if not are_whole(case.labels):
        why = "CTC wants whole numbers, the indices of letters, and cuts these."
        return Finding("labels-not-whole", why, by_hand)
    if letters.min() < 0 or np.any((letters[:, :-1] == 0) & (letters[:, 1:] != 0)):
        why = (
            "CTC takes 0 for the end of the labels, and here letters follow a 0, or "
            "there are labels below it: letters are lost, silently."
        )
        return Finding("label-range", why, by_hand)
    if units is not None and letters.max() >= units:
        why = (
            f"{units} units mean letters 1 to {units - 1} beside the blank, 0, and "
            f"these go to {letters.max():g}."
        )
        return Finding("units", why, {"head": {"units": int(letters.max()) + 1}})
    repeated = (letters[:, 1:] == letters[:, :-1]) & (letters[:, 1:] != 0)
    needed = (letters != 0).sum(axis=1) + repeated.sum(axis=1)
    if steps is None or needed.max() <= steps:
        return None
    why = (
        f"{int((needed > steps).sum())} rows need more than the {steps} steps of the "
        f"output, up to {needed.max()}: CTC gives each letter a step, and a blank "
        "between two equal ones. The loss of such a row is huge, silently, and "
        "teaches nothing."
    )
    advice = (
        f"Where the model is built: at least {needed.max()} steps in the output, by "
        "fewer strides and poolings, or by UpSampling1D in front."
    )
    return Finding("ctc-length", why, {"by_hand": advice})


# --- The activation -------------------------------------------------------------------

_PROBABILITIES = {"hardsigmoid", "sigmoid", "softmax", "sparsemax"}


def activation_mismatch(case: Case) -> Finding | None:
    """Return why the activation of the head does not fit the loss, or None."""
    activation, loss = case.head.activation, case.loss
    if activation == "unknown" or (case.units == 1 and activation in COMPETING):
        return None
    if loss.kind == "hinge" and activation in _PROBABILITIES | SPOILED | {"relu"}:
        why = f"this loss wants outputs on both sides of 0, and {activation} has one."
        return Finding("head-activation", why, LINEAR)
    if loss.kind == "ctc" and activation in _PROBABILITIES | SPOILED:
        why = (
            f"the head ends in {activation}, but CTC wants logits, and takes these for "
            "some, silently."
        )
        return Finding("softmax-from-logits", why, LINEAR)
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
    facts: Mapping[str, Any] = {"head": {"activation": "softmax"}}
    if loss.name != "KLDivergence":
        facts = {"loss": loss.change(from_logits=True)}
    return Finding("logits-as-probabilities", why, facts)


def _from_logits(case: Case) -> Finding | None:
    activation = case.head.activation
    # Softmax sees differences of logits only, and those may be large above 0 as well.
    if activation == "tanh" or (activation == "relu" and case.loss.kind == "binary"):
        why = (
            f"{activation} bounds the logits, so that no class can become as likely, "
            "or as unlikely, as it should."
        )
        return Finding("head-activation", why, LINEAR)
    if activation not in _PROBABILITIES:
        return None
    noticed = case.head.keras_sees_logits and activation in ("sigmoid", "softmax")
    seen = (
        "Keras notices, warns, and goes back to the logits in front of it."
        if noticed
        else "Keras does not notice, and takes its probabilities for logits, silently."
    )
    why = f"the head ends in {activation}, but from_logits=True. {seen}"
    loss = case.loss.change(from_logits=False)
    return Finding("softmax-from-logits", why, {"loss": loss})


_SPOILED_BY = {
    "gated softmax": "its gates scale and mix what softmax gives",
    "joined softmax": "it joins the softmax of both directions",
    "summed sigmoid": "it adds the sigmoids of both directions, up to 2",
    "summed softmax": "it adds the softmax of both directions",
}


def _no_probabilities(case: Case) -> Finding | None:
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
        return Finding(
            "no-probabilities", why, {"behind": dense(case.units, "softmax")}
        )
    facts = {"behind": dense(case.units), "loss": loss.change(from_logits=True)}
    if loss.from_logits:
        del facts["loss"]
    return Finding("no-probabilities", why, facts)
