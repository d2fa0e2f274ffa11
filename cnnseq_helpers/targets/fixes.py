"""What mends a finding: Python where that is safe, else a sentence.

Code is written for a model with one output whose labels are one array, and only where
nothing else of the model depends on what it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..tracing.graph import RECURRENT
from ..tracing.heads import is_recurrent
from .labels import Case


class Finding(NamedTuple):
    """What is wrong, and the facts that a fix is written from.

    The facts are what should be: "reshape", the shape of the labels; "labels", an
    expression of `y`; "keep", one of the samples to keep; "head", what is to be set in
    its layer; "behind", a layer behind the output; "every_step", a layer, and whether
    it should return each step; "padded", layers that should keep the length; "loss",
    another loss; "by_hand", what no code can do.
    """

    code: str
    message: str
    facts: Mapping[str, Any] = {}


# Where the finding is about no output that could be read.
_FIXES = {
    "batch-size": "# Find out which samples have no label, or which labels no sample.",
    "label-dtype": 'y = np.asarray(y, "float32")',
    "label-list": "y = np.asarray(y)",
    "label-strings": "y = np.unique(y, return_inverse=True)[1]",
    "no-labels": "# Give the labels as y, or a data set of pairs (x, y).",
    "no-loss": "# Compile the model first, or check_targets(model, y, loss).",
    "not-batched": "# Batch the data set: y = y.batch(32).",
    "not-built": "# Call it on a batch first, model(x[:1]), and check again.",
    "outputs": "# Give labels and a loss for each output, by name or in this order.",
    "time-distributed": (
        "# Where the model is built: cnnseq_helpers.BatchApply for TimeDistributed."
    ),
    "unknown-rank": (
        "# In a map of the data set: tf.ensure_shape, with None for sizes that vary."
    ),
    "unreadable-labels": (
        "# Give numbers in one array: pad them to one length, with a sample weight of "
        "0 where there is no label."
    ),
}


def write_fix(finding: Finding, case: Case | None) -> str:
    """Write what mends a finding, of this output if it is one output's."""
    facts, whose = finding.facts, ""
    if case is None:
        lines, is_plain = [_FIXES[finding.code]], facts.get("is_plain", True)
    else:
        lines, is_plain = _write_lines(case, facts), case.is_plain
        whose = "" if case.is_single else f" of output {case.head.name!r}"
    if is_plain or all(line.startswith("#") for line in lines):
        return "\n".join(lines)
    start = f"# By hand, with y for all labels{whose}:"
    return "\n".join([start, *(f"# {line}" for line in lines)])


_LABELS = {
    "by_hand": "# {}",
    "reshape": "y = np.reshape(y, {})",
    "labels": "y = {}",
    "keep": "keep = {}\n"
    "x, y = keras.tree.map_structure(lambda a: np.asarray(a)[keep], (x, y))",
}


def _write_lines(case: Case, facts: Mapping[str, Any]) -> list[str]:
    lines = [text.format(facts[key]) for key, text in _LABELS.items() if key in facts]
    for key, write in _MODELS.items():
        if key in facts:
            lines += write(case, facts[key])
    return [*lines, f"loss = {facts['loss']}"] if "loss" in facts else lines


# --- The model ------------------------------------------------------------------------


def _set_head(case: Case, settings: Mapping[str, Any]) -> list[str]:
    """Give the head other units, or another activation, or both."""
    units, activation = settings.get("units"), settings.get("activation")
    layer = case.head.layer if units else case.head.activated_by
    inner = getattr(layer, "layer", layer)
    known = hasattr(inner, "activation") and (units or 0) <= 100_000
    if not units and is_recurrent(layer):
        return _put_behind(case, dense(case.units, activation))
    if not known or not case.stands_alone(layer):
        what = f"{units} units in the last layer"
        if not units:
            what = f"a last layer with {activation} output"
        return [f"# Where the model is built: {what}."]
    if units and type(inner).__name__ in RECURRENT:
        return _put_behind(case, dense(units))
    place = _name(layer) + (".layer" if inner is not layer else "")
    lines = []
    if units:
        kind = "filters" if hasattr(inner, "filters") else "units"
        lines.append(f"{place}.{kind} = {units}")
    if activation:
        lines.append(f"{place}.activation = keras.activations.{activation}")
    return _rebuild(case, lines)


def _put_behind(case: Case, layer: str) -> list[str]:
    if case.is_single and case.head.can_be_extended:
        output = f"keras.layers.{layer}(model.outputs[0])"
        return [f"model = keras.Model(model.inputs, {output})"]
    return [f"# Where the model is built, behind its last layer: keras.layers.{layer}."]


def dense(units: int | None, activation: str | None = None) -> str:
    """Write a dense layer."""
    usual = activation in (None, "linear")
    return f"Dense({units})" if usual else f"Dense({units}, activation={activation!r})"


def _return_steps(case: Case, change: tuple[Any, bool]) -> list[str]:
    layer, every_step = change
    both = [".forward_layer", ".backward_layer"]
    parts = both if type(layer).__name__ == "Bidirectional" else [""]
    places = [f"{_name(layer)}{part}.return_sequences" for part in parts]
    return _rebuild(case, [f"{place} = {every_step}" for place in places])


def _keep_length(case: Case, layers: list[Any]) -> list[str]:
    lines = []
    for layer in layers:
        if layer.padding == "valid":
            lines.append(f"{_name(layer)}.padding = 'same'")
        if set(layer.strides) != {1}:
            lines.append(f"{_name(layer)}.strides = {(1,) * len(layer.strides)}")
    return _rebuild(case, lines)


def _name(layer: Any) -> str:
    return f"model.get_layer({layer.name!r})"


def _rebuild(case: Case, lines: list[str]) -> list[str]:
    """Build the model anew after some settings were changed."""
    if case.head.can_be_cloned:
        return [*lines, "model = keras.models.clone_model(model)  # with fresh weights"]
    # A clone would thaw frozen layers, forget what others adapted to, or fail.
    return ["# Where the model is built:", *(f"# {line}" for line in lines)]


_MODELS: dict[str, Callable[[Case, Any], list[str]]] = {
    "head": _set_head,
    "behind": _put_behind,
    "every_step": _return_steps,
    "padded": _keep_length,
}
