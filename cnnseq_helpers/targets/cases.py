"""One output of a model with its labels and its loss, and the code that mends each."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras

from ..shapes import name_axes
from ..tracing.graph import Link, Shape
from ..tracing.heads import RECURRENT, Head, is_recurrent
from .labels import Labels, Source, rewrite
from .losses import Loss


class Found(NamedTuple):
    """What is wrong: its code, why it is wrong, and the Python that mends it."""

    code: str
    why: str
    fix: str


class Case(NamedTuple):
    """One output with its labels and its loss, and where each is to be changed.

    `loss_place` is how to write the loss of this output as code, and `outputs` how to
    write all the outputs of the model; "" if there is only this one.
    """

    head: Head
    labels: Labels
    loss: Loss
    source: Source
    loss_place: str
    outputs: str

    @property
    def steps(self) -> Shape:
        """The axes of the output between batch and units: time, or height and width."""
        return self.head.shape[1:-1]

    @property
    def units(self) -> int | None:
        """The last axis of the output."""
        return self.head.shape[-1] if len(self.head.shape) > 1 else 1

    @property
    def axes(self) -> Shape:
        """The axes of the labels after the batch."""
        return self.labels.shape[1:]

    @property
    def wanted(self) -> Shape:
        """The axes that labels of this loss should have after the batch."""
        return self.steps if self.loss.kind == "sparse" else self.head.shape[1:]

    # Each of the following writes code: for the labels, the loss, or the model.

    def relabel(self, expression: str) -> str:
        """Change the labels; "{y}" stands for the old ones."""
        return rewrite(self.source, self.labels.place, expression)

    def recompile(self, name: str = "", **changes: object) -> str:
        """Change the loss: its class, or some of its settings."""
        return f"{self.loss_place} = {self.loss.but(name, **changes)}"

    def resize(self, units: int, activation: str = "") -> str:
        """Give the head another number of units, and perhaps another activation."""
        layer = self.head.layer
        if layer is None or units > 100_000 or not self.is_single(layer):
            return f"# Where the model is built: {units} units in the last layer."
        inner = getattr(layer, "layer", layer)
        if type(inner).__name__ in RECURRENT:
            return self.follow(f"keras.layers.Dense({units})")
        name = "filters" if hasattr(inner, "filters") else "units"
        settings: dict[str, object] = {name: units}
        if activation:
            settings["activation"] = f"keras.activations.{activation}"
        return self.reset(layer, **settings)

    def retype(self, activation: str) -> str:
        """Give the head another activation."""
        layer = self.head.activated_by
        kind = type(layer).__name__
        if is_recurrent(layer):
            return self.follow(self.dense(activation))
        last: Any = self.head.chain[0].operation if self.head.chain else None
        alone = layer is last and self.is_single(layer)
        if kind in ("ReLU", "Softmax") and alone and is_layer(layer):
            return self.replace(input_of(self.head.chain[0]))
        inner = getattr(layer, "layer", layer)
        if not self.is_single(layer) or not hasattr(inner, "activation"):
            return f"# Where the model is built: a last layer with {activation} output."
        return self.reset(layer, activation=f"keras.activations.{activation}")

    def dense(self, activation: str = "linear") -> str:
        """Write a dense layer of as many units as the output has."""
        extra = "" if activation == "linear" else f", activation={activation!r}"
        return f"keras.layers.Dense({self.units}{extra})"

    def follow(self, layer: str) -> str:
        """Put another layer behind the output."""
        if not self.head.extendable:
            return f"# Where the model is built, behind its last layer: {layer}."
        output = "model.outputs[0]"
        return self.replace(f"{layer}({self._this_output() or output})")

    def replace(self, output: str) -> str:
        """Make a model with another tensor as this output."""
        if not self.head.extendable:
            return f"# Where the model is built: {output} as its output."
        if not self.outputs:
            return f"model = keras.Model(model.inputs, {output})"
        return (
            f"outputs = {self.outputs}\n{self._this_output()} = {output}\n"
            "model = keras.Model(model.inputs, outputs)"
        )

    def reset(self, layer: Any, **settings: object) -> str:
        """Build the model anew with other settings of one layer."""
        inner = ".layer" if hasattr(layer, "layer") else ""
        place = f"model.get_layer({layer.name!r}){inner}"
        return self.rebuild([f"{place}.{key} = {v}" for key, v in settings.items()])

    def rebuild(self, lines: list[str]) -> str:
        """Build the model anew after some settings were changed."""
        if not self.head.rebuildable:
            # A clone would thaw frozen layers, forget what others adapted to, or fail.
            return "\n".join(
                ["# Where the model is built:", *(f"# {k}" for k in lines)]
            )
        build = "model = keras.models.clone_model(model)  # with fresh weights"
        return "\n".join([*lines, build])

    def is_single(self, operation: Any) -> bool:
        """Tell whether nothing else hangs on an operation and what comes behind it.

        A Reshape behind it does, on the sizes.
        """
        for link in self.head.chain:
            if not link.alone or type(link.operation).__name__ == "Reshape":
                return False
            if link.operation is operation:
                return True
        return False

    def _this_output(self) -> str:
        key = self.head.number if self.outputs.startswith("list") else self.head.name
        return f"outputs[{key!r}]" if self.outputs else ""


def input_of(link: Link) -> str:
    """Write the tensor that enters a layer; a mask would come beside it."""
    place = f"model.get_layer({link.operation.name!r}).input"
    return f"{place}[0]" if link.masked else place


def is_layer(operation: Any) -> bool:
    """Tell a layer, which a model finds by name, from an operation of keras.ops."""
    return isinstance(operation, keras.Layer)


# --- Shapes and their names -----------------------------------------------------------


def match(axes: Shape, other: Shape) -> bool:
    """Tell whether axes may have the same sizes; an unknown length is not 1."""
    return len(axes) == len(other) and all(
        a == b or (None in (a, b) and 1 not in (a, b))
        for a, b in zip(axes, other, strict=True)
    )


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
    fits = any(match(steps, n) for n in lengths if not columns or None not in n)
    frames = case.loss.kind == "sparse" and case.axes in {n[:1] for n in lengths}
    return lost if fits or frames else None


_STEP_NAMES: dict[int, tuple[str, ...]] = {
    0: (),
    1: ("time",),
    2: ("height", "width"),
    3: ("time", "height", "width"),
}


def axis_names(rank: int, steps: int) -> list[str]:
    """Name the axes of an array with a batch, so many axes of steps, and units."""
    names = ["batch", *_STEP_NAMES.get(steps, [f"step{i}" for i in range(steps)])]
    if rank > len(names) + 1:
        return names + [f"axis{i}" for i in range(len(names), rank)]
    return [*names, "units"][:rank]


def describe(case: Case) -> str:
    """Write both shapes with their axis names."""
    head, labels = case.head.shape, case.labels.shape
    output = name_axes(head, axis_names(len(head), len(case.steps)))
    names = ["columns" if name == "units" else name for name in _label_names(case)]
    which = f"Output {case.head.name!r}" if case.outputs else "The output"
    return (
        f"{which} is {output}, the labels are {name_axes(labels, names)} "
        f"of {case.labels.dtype}, the loss is {case.loss.name}"
    )


def _label_names(case: Case) -> list[str]:
    """Name the axes of the labels by what they seem to stand for."""
    head, labels, steps = case.head.shape, case.labels.shape, len(case.steps)
    names = axis_names(len(head), steps)
    if len(labels) > 2 and labels[1:] == head[2:]:
        return [names[0], *names[2:]]  # one frame for a clip
    if len(head) > 2 and labels[2:] == head[1:]:
        return [names[0], "time", *names[1:]]
    if labels[1:] != head[1:] and (lost := lost_steps(case)):
        steps = min(len(lost.input_shape) - 2, len(labels) - 1)
    elif len(labels) == 2 and labels[1] in (1, case.units) and case.steps != labels[1:]:
        steps = 0
    return axis_names(len(labels), steps)
