"""What a recurrent layer does, and which of them convolutions can replace."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import layers

from ..shapes import ShapeError
from ..tracing.graph import (
    ATTENTION,
    CELLS,
    CONV_LSTMS,
    RECURRENT,
    is_known,
    is_made_of,
    is_model,
    layers_of,
    nodes_in_order,
)

_DOING = "to_cnn1d"


class Recurrent(NamedTuple):
    """A recurrent layer as seen from outside.

    Attributes
    ----------
    name : str
        Of the layer.
    channels : int
        Of its output.
    per_step : bool
        Whether it returns one vector a step, not one for the sequence.
    both_ways : bool
        Whether it reads the sequence in both directions.
    backwards : bool
        Whether its steps leave in reversed order.
    activation : callable or None
        What its outputs have gone through, where nothing follows that could give them
        another range: the layer's output is the model's.
    dropout : float
        Share of the input channels that are dropped in training.
    dtype : keras.DTypePolicy or None
        Of its computations.
    """

    name: str
    channels: int
    per_step: bool = False
    both_ways: bool = False
    backwards: bool = False
    activation: Any = None
    dropout: float = 0.0
    dtype: Any = None


class Calls(NamedTuple):
    """A recurrent layer, its one or two outputs, and on what it is called."""

    layer: Any
    outputs: list[Recurrent]
    lengths: list[int | None]
    masked: bool


def is_recurrent(layer: Any) -> bool:
    """Tell whether a layer is a recurrent one itself, known or not."""
    return isinstance(layer, (layers.RNN, layers.Bidirectional))


def holds_recurrent(operation: Any) -> bool:
    """Tell whether a layer or model is or contains a recurrent layer."""
    return any(map(is_recurrent, layers_of(operation)))


# --- One layer ------------------------------------------------------------------------


def read_recurrent(layer: Any) -> list[Recurrent]:
    """Return what each output of a layer is, or say why it can't be replaced."""
    if not isinstance(layer, layers.Bidirectional):
        return [_read_one_way(layer, layer)]
    ways = [
        _read_one_way(layer, each)._replace(both_ways=True, backwards=False)
        for each in (layer.forward_layer, layer.backward_layer)
    ]
    if layer.merge_mode is None:
        return [
            way._replace(name=f"{layer.name}_{which}")
            for way, which in zip(ways, ("forward", "backward"), strict=True)
        ]
    joined = layer.merge_mode == "concat"
    channels = sum(way.channels for way in ways) if joined else ways[0].channels
    return [ways[0]._replace(channels=channels)]


def _read_one_way(named: Any, layer: Any) -> Recurrent:
    _refuse_kind(named, layer)
    for setting, why in (
        (
            "return_state",
            "hands its state on; what convolutions keep are steps, not a state of its "
            "shape. Rebuild the model without the state: let the last output, or "
            "return_sequences=True, say all",
        ),
        (
            "stateful",
            "remembers its state from batch to batch, and layers that convolve keep "
            "nothing between calls. Build it with stateful=False, convert it, and run "
            "the result by to_streaming",
        ),
    ):
        if getattr(layer, setting, False) or getattr(named, setting, False):
            raise _refusal(named, why, f"{setting}=True")
    cells = _cells(layer)
    size = cells[-1].output_size
    return Recurrent(
        named.name,
        int(size),
        per_step=layer.return_sequences,
        backwards=layer.return_sequences and layer.go_backwards,
        activation=getattr(cells[-1], "activation", None),
        dropout=float(getattr(cells[0], "dropout", 0.0)),
        dtype=named.dtype_policy,
    )


def _cells(layer: Any) -> list[Any]:
    cell = layer.cell
    return list(cell.cells) if isinstance(cell, layers.StackedRNNCells) else [cell]


def _refuse_kind(named: Any, layer: Any) -> None:
    if is_made_of(layer, CONV_LSTMS):
        raise _refusal(
            named,
            "convolves along height and width too. Convolve frame by frame first, "
            "BatchApply(cnn), and let an LSTM read the features",
        )
    if not is_known(layer) or type(layer).__name__ not in RECURRENT | {"RNN"}:
        raise _refusal(
            named,
            "is no recurrent layer of Keras's own, so what it does is not known. Put "
            "LSTM, GRU, SimpleRNN or an RNN of their cells in its place",
        )
    for cell in _cells(layer):
        if not is_known(cell) or type(cell).__name__ not in CELLS:
            raise _refusal(
                named,
                f"has a cell of its own, {type(cell).__name__}, so what it does is not "
                "known. Put LSTMCell, GRUCell or SimpleRNNCell in its place",
            )


def _refusal(layer: Any, why: str, setting: str = "") -> ShapeError:
    kind = type(layer).__name__ + (f" with {setting}" if setting else "")
    return ShapeError(
        f"{_DOING} expected recurrent layers that convolutions can replace, but "
        f"{layer.name!r} ({kind}) {why}."
    )


# --- All layers of a model ------------------------------------------------------------


def survey(model: Any) -> dict[int, Calls]:
    """Return the recurrent layers of a model by their id, or refuse the first unfit."""
    calls: dict[int, Calls] = {}
    _survey(model, calls, masked=False, fed=False)
    return calls


def _survey(model: Any, calls: dict[int, Calls], masked: bool, fed: bool) -> None:
    # What comes after recurrent layers, since attention must not.
    after = {id(x) for x in model.inputs} if fed else set()
    for node in nodes_in_order(model):
        operation = node.operation
        if node.is_input:
            continue
        fed = any(id(x) in after for x in node.input_tensors)
        mask = masked or node.arguments.kwargs.get("mask") is not None
        if fed and is_made_of(operation, ATTENTION):
            raise _refusal(
                operation,
                "compares states of a recurrent layer, and convolutions give none to "
                "compare. Convert the part of the model in front of it",
            )
        if is_recurrent(operation):
            last = any(x is y for x in node.outputs for y in model.outputs)
            _note_call(operation, node, calls, mask, last)
        elif is_model(operation) and (fed or holds_recurrent(operation)):
            _survey(operation, calls, mask, fed)
        elif holds_recurrent(operation):
            raise _refusal(
                operation,
                "holds a recurrent layer where it can't be exchanged. Convert what is "
                "inside by itself, and put it back in the same kind of layer",
            )
        if fed or holds_recurrent(operation):
            after.update(map(id, node.outputs))


def _note_call(
    layer: Any, node: Any, calls: dict[int, Calls], masked: bool, last: bool
) -> None:
    steps, state, mask = given_to(*node.arguments.args, **node.arguments.kwargs)
    if state is not None:
        raise _refusal(
            layer,
            "starts from the state of another layer, which convolutions can't. Give "
            "that state as further channels: RepeatVector, then Concatenate",
        )
    outputs = read_recurrent(layer)
    if not last:
        outputs = [each._replace(activation=None) for each in outputs]
    known = calls.get(id(layer), Calls(layer, [], [], False))
    if known.outputs and known.outputs[0].activation is not None:
        outputs = known.outputs
    lengths = [*known.lengths, steps.shape[1]]
    masked = masked or known.masked or mask is not None
    calls[id(layer)] = Calls(layer, outputs, lengths, masked)


def given_to(
    sequences: Any, initial_state: Any = None, mask: Any = None, **_: Any
) -> tuple[Any, Any, Any]:
    """Return what a recurrent layer was called on, by position or by name."""
    return sequences, initial_state, mask
