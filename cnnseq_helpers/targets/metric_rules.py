"""The rules of `check_targets` for the metrics that a model was compiled with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from ..tracing.graph import compile_settings, compiled_metrics
from .cases import Case, Found
from .labels import are_rows, are_yes_or_no, hold_several
from .pairing import Outputs

_ARGMAX = {"categoricalaccuracy", "topkcategoricalaccuracy"}

_SPARSE = {f"sparse{name}" for name in _ARGMAX}

_THRESHOLDS = {
    "falsenegatives",
    "falsepositives",
    "precision",
    "recall",
    "truenegatives",
    "truepositives",
}

_ENTROPIES = {
    "binarycrossentropy",
    "categoricalcrossentropy",
    "sparsecategoricalcrossentropy",
}


class Metric(NamedTuple):
    """A metric as Keras makes it: how it was named, its class and its settings.

    `measure` is the metric itself, an instance or a function, if it can be tried.
    """

    given: str
    kind: str
    options: Mapping[str, Any]
    measure: Any = None


def metric_mismatches(model: Any, case: Case, outputs: Outputs) -> Iterator[Found]:
    """Say which metrics measure something else than what labels and loss are about."""
    given = compiled_metrics(model)
    own = [one for metrics in given for one in _of_output(metrics, case, outputs)]
    for identifier in own:
        metric = _read(identifier, case)
        if metric is None or not (found := _judge(metric, case)):
            continue
        why, instead = found
        alone = len(own) == len(outputs.heads) == 1
        why = f"the metric {metric.given} {why}"
        yield Found("metric", why, _recompile(model, metric, instead, alone))


def _of_output(metrics: Any, case: Case, outputs: Outputs) -> list[Any]:
    """Return the metrics of one output, from where `compile` takes them."""
    if len(outputs.heads) > 1:
        if isinstance(metrics, dict):
            metrics = metrics.get(case.head.name)
        elif isinstance(metrics, (list, tuple)) and len(metrics) == len(outputs.heads):
            metrics = metrics[case.head.number]
        else:
            return []
    return [one for one in keras.tree.flatten(metrics) if one is not None]


def _read(identifier: Any, case: Case) -> Metric | None:
    """Resolve a metric as `compile` does."""
    if str(identifier).lower() in ("accuracy", "acc"):
        return Metric(repr(identifier), _accuracy(case), {"threshold": 0.5})
    try:
        metric = keras.metrics.get(identifier)
    except (TypeError, ValueError):
        return None
    made = metric if isinstance(metric, keras.metrics.Metric) else None
    name = type(metric).__name__ if made else getattr(metric, "__name__", "")
    if not (getattr(metric, "__module__", "") or "").startswith("keras."):
        return None
    options = made.get_config() if made else {"threshold": 0.5}
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


def _judge(metric: Metric, case: Case) -> tuple[str, str] | None:
    if len(case.head.shape) < 2:
        return None
    rules = (_equality, _classes, _binary, _numbers, _shapes, _thresholds, _entropy)
    return next((found for rule in rules if (found := rule(metric, case))), None)


def _gives_logits(case: Case) -> bool:
    return bool(case.head.activation == "linear" and case.loss.from_logits)


def _usual(case: Case) -> str:
    """Write the metric that says how often, or how far, this output is right."""
    if case.loss.kind == "binary":
        logits = "threshold=0.0" if _gives_logits(case) else ""
        return f"BinaryAccuracy({logits})"
    kinds = {
        "sparse": "SparseCategoricalAccuracy()",
        "one-hot": "CategoricalAccuracy()",
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
    if columns and hold_several(_counted(case)):
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
    labels = _counted(case)
    if metric.kind == "binaryaccuracy":
        wrong = not are_yes_or_no(labels)
    else:
        wrong = metric.kind in _ARGMAX and case.units != 1 and not are_rows(labels)
        wrong = wrong and not are_yes_or_no(labels)
    if not wrong:
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
    if metric.kind in _THRESHOLDS and case.loss.kind == "binary":
        cuts = metric.options.get("thresholds")
        cut = cuts is None or cuts == 0.5 or list(_flat(cuts)) == [0.5]
        if cut and metric.options.get("top_k") is None:
            why = "cuts at 0.5, and these are logits: the middle is 0, not 0.5."
            name = metric.given
            return why, f"{name}(thresholds=0.0)"
    return None


def _flat(cuts: Any) -> Any:
    return cuts if isinstance(cuts, (list, tuple)) else [cuts]


def _entropy(metric: Metric, case: Case) -> tuple[str, str] | None:
    if metric.kind not in _ENTROPIES or case.loss.from_logits is None:
        return None
    if _gives_logits(case) and not metric.options.get("from_logits"):
        names = {name.lower(): name for name in dir(keras.metrics)}
        name = names[metric.kind]
        return "wants probabilities, and these are logits.", f"{name}(from_logits=True)"
    return None


def _counted(case: Case) -> Any:
    """Return the labels without what has a weight of 0, as far as that is known."""
    counted = case.labels.counted
    if counted is None or not len(counted):
        return case.labels
    return case.labels._replace(sample=counted)


def _recompile(model: Any, metric: Metric, instead: str, alone: bool) -> str:
    """Write the call of compile, if nothing else was set in it."""
    usual = {"jit_compile": ("auto",), "steps_per_execution": (1,)}
    set_too = [
        name
        for name, value in compile_settings(model).items()
        if name not in ("optimizer", "loss", "metrics")
        and value not in (None, False, *usual.get(name, ()))
    ]
    if not alone or set_too:
        return f"# In compile, in place of {metric.given}: keras.metrics.{instead}."
    metrics = f"metrics=[keras.metrics.{instead}]"
    return f"model.compile(model.optimizer, model.loss, {metrics})"
