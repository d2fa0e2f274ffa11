"""The rules of `check_targets` for the metrics that a model was compiled with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from .fixes import Finding
from .labels import Case, are_rows, are_yes_or_no, hold_several

_ARGMAX = {"categoricalaccuracy", "topkcategoricalaccuracy"}

_SPARSE = {f"sparse{name}" for name in _ARGMAX}

_THRESHOLDS = {"precision", "recall"} | {
    f"{true}{sign}" for true in ("true", "false") for sign in ("positives", "negatives")
}

_ENTROPIES = {
    name.lower(): f"{name}(from_logits=True)"
    for name in (
        "BinaryCrossentropy",
        "CategoricalCrossentropy",
        "SparseCategoricalCrossentropy",
    )
}


class Metric(NamedTuple):
    """A metric as Keras makes it: how it was named, its class and its settings.

    `measure` is the metric itself, an instance or a function, if it can be tried.
    """

    given: str
    kind: str
    options: Mapping[str, Any]
    measure: Any = None


def metric_mismatches(case: Case) -> Iterator[Finding]:
    """Say which metrics measure something else than what labels and loss are about."""
    if len(case.head.shape) < 2:
        return
    case = case._replace(labels=case.labels.only_counted())
    for metric in filter(None, (_read(given, case) for given in case.metrics)):
        for why, instead in filter(None, (rule(metric, case) for rule in _RULES)):
            what = f"in place of {metric.given}: keras.metrics.{instead}"
            advice = {"by_hand": f"In compile, {what}."}
            yield Finding("metric", f"the metric {metric.given} {why}", advice)
            break


def _read(identifier: Any, case: Case) -> Metric | None:
    """Resolve a metric as `compile` does."""
    if str(identifier).lower() in ("accuracy", "acc"):
        return Metric(repr(identifier), _accuracy(case), {})
    try:
        metric = keras.metrics.get(identifier)
    except (TypeError, ValueError):
        return None
    made = metric if isinstance(metric, keras.metrics.Metric) else None
    name = type(metric).__name__ if made else getattr(metric, "__name__", "")
    if not (getattr(metric, "__module__", "") or "").startswith("keras."):
        return None
    options = made.get_config() if made else {}
    return Metric(name, name.replace("_", "").lower(), options, metric)


def _accuracy(case: Case) -> str:
    """Return which accuracy Keras takes for "accuracy": it looks at shapes alone."""
    output, labels = case.head.shape, case.labels.shape
    if output[-1] == 1:
        return "binaryaccuracy"
    if len(labels) < len(output) or labels[-1] == 1:
        return "sparsecategoricalaccuracy"
    return "categoricalaccuracy"


# --- What is wrong, and what to take instead ------------------------------------------


def _gives_logits(case: Case) -> bool:
    return bool(case.head.activation == "linear" and case.loss.from_logits)


def _usual(case: Case) -> str:
    """Write the metric that says how often, or how far, this output is right."""
    kinds = {
        "sparse": "SparseCategoricalAccuracy()",
        "one-hot": "CategoricalAccuracy()",
        "binary": f"BinaryAccuracy({'threshold=0.0' * _gives_logits(case)})",
        "hinge": "Hinge()",
    }
    return kinds.get(case.loss.kind, "MeanAbsoluteError()")


def _equality(metric: Metric, case: Case) -> tuple[str, str] | None:
    if metric.kind != "accuracy":
        return None
    return "counts outputs that equal the labels, which none does.", _usual(case)


def _classes(metric: Metric, case: Case) -> tuple[str, str] | None:
    """Judge metrics that look for the largest column."""
    if metric.kind not in _ARGMAX | _SPARSE or case.loss.kind == "regression":
        return None
    if case.units == 1:
        return "compares columns, and there is one, always the largest.", _usual(case)
    top = "topk" in metric.kind
    extra = f"k={metric.options.get('k', 5)}" if top else ""
    name = f"{'TopK' if top else ''}CategoricalAccuracy({extra})"
    if case.loss.kind == "sparse" and metric.kind in _ARGMAX:
        why = "wants a column for each class, and the labels are class indices."
        return why, f"Sparse{name}"
    columns = case.loss.kind in ("binary", "one-hot")
    if columns and hold_several(case.labels):
        return "takes one of several labels at once for the only one.", _usual(case)
    if columns and metric.kind in _SPARSE:
        return "wants class indices, and the labels have a column for each.", name
    return None


def _binary(metric: Metric, case: Case) -> tuple[str, str] | None:
    if metric.kind != "binaryaccuracy":
        return None
    if case.loss.kind == "sparse" and case.units != 1:
        return "wants yes or no, and the labels are class indices.", _usual(case)
    at = float(metric.options.get("threshold", 0.5))
    if case.loss.kind in ("binary", "one-hot") and _gives_logits(case) and at > 0:
        why = f"cuts at {at:g}, and these are logits: the middle is 0, not {at:g}."
        return why, _usual(case)
    return None


def _numbers(metric: Metric, case: Case) -> tuple[str, str] | None:
    """Judge accuracies where the labels are numbers."""
    if case.loss.kind != "regression" or case.head.masked:
        return None
    columns = metric.kind in _ARGMAX and case.units != 1 and not are_rows(case.labels)
    counts = metric.kind == "binaryaccuracy" or columns
    if not counts or are_yes_or_no(case.labels):
        return None
    return "counts classes, and the labels are numbers.", _usual(case)


def _shapes(metric: Metric, case: Case) -> tuple[str, str] | None:
    """Try the metric on two samples of these shapes: some refuse them, in `fit`."""
    output = [size for size in case.head.shape[1:] if size is not None]
    known = len(output) == len(case.head.shape) - 1 and len(case.labels.sample) > 1
    if metric.measure is None or not known:
        return None
    labels, predicted = case.labels.sample[:2], np.full((2, *output), 0.5, "float32")
    try:
        if isinstance(metric.measure, keras.metrics.Metric):
            fresh = type(metric.measure).from_config(metric.measure.get_config())
            fresh.update_state(labels, predicted)
        else:
            metric.measure(labels, predicted)
    except Exception as error:
        first = str(error).strip().splitlines()[:1]
        why = f"does not take labels and outputs of these shapes: {''.join(first)}"
        return why, _usual(case)
    return None


def _thresholds(metric: Metric, case: Case) -> tuple[str, str] | None:
    """Judge metrics that cut probabilities, where the output holds logits."""
    if not _gives_logits(case) or case.loss.kind == "sparse":
        return None
    if metric.kind == "auc" and not metric.options.get("from_logits"):
        why = "cuts between 0 and 1, and these are logits, below 0 and above 1."
        return why, "AUC(from_logits=True)"
    cuts, top = metric.options.get("thresholds"), metric.options.get("top_k")
    if metric.kind not in _THRESHOLDS or case.loss.kind != "binary":
        return None
    if cuts in (None, 0.5, [0.5], (0.5,)) and top is None:
        why = "cuts at 0.5, and these are logits: the middle is 0, not 0.5."
        return why, f"{metric.given}(thresholds=0.0)"
    return None


def _entropy(metric: Metric, case: Case) -> tuple[str, str] | None:
    if metric.kind not in _ENTROPIES or case.loss.from_logits is None:
        return None
    if _gives_logits(case) and not metric.options.get("from_logits"):
        return "wants probabilities, and these are logits.", _ENTROPIES[metric.kind]
    return None


_RULES = (_equality, _classes, _binary, _numbers, _shapes, _thresholds, _entropy)
