"""Which labels and which loss belong to which output of a model."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..tracing.heads import Head
from .labels import Source, UnreadableError, is_list_of_numbers


class Outputs(NamedTuple):
    """The outputs of a model: as a list, a dictionary, or one alone."""

    heads: list[Head]
    structure: Any

    @property
    def names(self) -> list[Any]:
        """How the outputs are called: by name, or by number."""
        return [head.name for head in self.heads]

    def loss_of(self, head: Head, loss: Any) -> tuple[Any, str]:
        """Return the loss of one output, and how to write it to set it."""
        single = len(self.heads) == 1
        if isinstance(loss, dict):
            key = next(iter(loss)) if single and len(loss) == 1 else head.name
            return loss.get(key), f"loss[{key!r}]"
        if isinstance(loss, (list, tuple)) and single and len(loss) > 1:
            return loss, "loss"
        if isinstance(loss, (list, tuple)):
            before = "loss = list(loss)\n" if isinstance(loss, tuple) else ""
            own = loss[head.number]
            own = own[0] if isinstance(own, (list, tuple)) and len(own) == 1 else own
            return own, f"{before}loss[{head.number}]"
        if single:
            return loss, "loss"
        if isinstance(self.structure, dict):
            spread = f"loss = dict.fromkeys({self.names!r}, loss)"
            return loss, f"{spread}\nloss[{head.name!r}]"
        return loss, f"loss = [loss] * {len(self.heads)}\nloss[{head.number}]"

    def as_code(self, y: Any, loss: Any) -> str:
        """Write all outputs of the model by name or number; "" for a single one."""
        if len(self.heads) == 1:
            return ""
        if any(isinstance(given, dict) for given in (self.structure, y, loss)):
            return f"dict(zip({self.names!r}, model.outputs))"
        return "list(model.outputs)"


class Pair(NamedTuple):
    """An output, if it is known, its labels, how to write them, and their weights."""

    head: Head | None
    place: str
    labels: Any
    weights: Any


def pair(outputs: Outputs, source: Source, loss: Any) -> list[Pair]:
    """Give each output that has a loss its labels."""
    y, heads = source.y, outputs.heads
    if len(heads) <= 1 and not isinstance(y, dict):
        head = heads[0] if heads else None
        wrapped = isinstance(y, (list, tuple)) and len(y) == 1
        wrapped = wrapped and not is_list_of_numbers(y)
        if wrapped:
            return [Pair(head, "y[0]", y[0], _part(source.weights, 0))]
        return [Pair(head, "y", y, source.weights)]
    _check_losses(outputs, loss)
    learned = [h for h in heads if loss is None or outputs.loss_of(h, loss)[0]]
    if isinstance(y, dict):
        if {h.name for h in learned} <= set(y) <= set(outputs.names):
            return [_of(source, h, h.name) for h in learned]
    elif isinstance(y, (list, tuple)):
        for some in (heads, learned):
            if len(y) == len(some):
                given = [_of(source, h, i) for i, h in enumerate(some)]
                return [one for one in given if one.head in learned]
    elif len(learned) == 1:
        return [Pair(learned[0], "y", y, source.weights)]
    raise _unpaired(y, outputs.names)


def _of(source: Source, head: Head, key: Any) -> Pair:
    weights = _part(source.weights, key)
    return Pair(head, f"y[{key!r}]", source.y[key], weights)


def _part(weights: Any, key: Any) -> Any:
    """Return the weights of one output: its own, or those of all."""
    if not isinstance(weights, (dict, list, tuple)):
        return weights
    try:
        return weights[key]
    except (IndexError, KeyError, TypeError):
        why = "The sample weights do not have the structure of the labels."
        fix = "# Give weights for each output, as for the labels."
        raise UnreadableError(why, fix, "outputs") from None


def _check_losses(outputs: Outputs, loss: Any) -> None:
    names = outputs.names
    wanted = ", ".join(map(repr, names))
    if isinstance(loss, (list, tuple)) and len(loss) != len(names) > 1:
        why = f"There are {len(loss)} losses for {len(names)} outputs."
        fix = f"# Give a loss, or None, for each output, in this order: {wanted}."
        raise UnreadableError(why, fix, "outputs")
    # Keras lets losses be left out where the outputs are a dictionary, not a list.
    partial = isinstance(outputs.structure, dict)
    if isinstance(loss, dict) and len(names) > 1:
        extra, absent = set(loss) - set(names), set(names) - set(loss)
        if extra or (absent and not partial):
            given = ", ".join(map(repr, loss))
            why = f"The outputs of the model are {wanted}; the losses are for {given}."
            fix = f"# Name the losses after the outputs: {wanted}."
            raise UnreadableError(why, fix, "outputs")


def _unpaired(y: Any, names: list[Any]) -> UnreadableError:
    wanted = ", ".join(map(repr, names))
    if not isinstance(y, dict):
        given = f"{len(y)} arrays" if isinstance(y, (list, tuple)) else "one array"
        fix = f"# Give one array of labels for each output, in this order: {wanted}."
    else:
        given = f"labels for {', '.join(map(repr, y))}"
        extra = [key for key in y if key not in names]
        fix = f"# Give labels for each output: {wanted}."
        if names == [""]:
            wanted, fix = "a single one", f"y = y[{next(iter(y))!r}]"
        elif len(y) - len(extra) == len(names):
            fix = "\n".join(f"del y[{key!r}]" for key in extra)
    why = f"The outputs of the model are {wanted}; y holds {given}."
    return UnreadableError(why, fix, "outputs")
