"""Do what a fix says: run its code, or by hand what its sentence asks for."""

import re

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from cnnseq_helpers import BatchApply

from . import catalogue
from .catalogue import CLASSES, dense, lstm_steps, same, stack
from .traps import reader

OUTPUTS = ["which", "much"]


def follow(problem, names, by_hand=None):
    """Change model, `y` or loss in `names` as the fix of a problem says."""
    lines = problem.fix.splitlines()
    assert is_plain(names) or all(line.startswith("#") for line in lines)
    if not problem.fix.startswith("#"):
        exec(problem.fix, names)
    elif problem.fix.startswith("# By hand, with y for all labels"):
        follow_for_some(problem.fix, names)
    else:
        by_hand = by_hand or BY_HAND[problem.code]
        by_hand(names)


def is_plain(names):
    """Tell whether all is one output and one array, which code can be written for."""
    y, outputs = names["y"], getattr(names["model"], "outputs", None) or [1]
    mapped = isinstance(y, (dict, tuple, tf.data.Dataset, keras.utils.PyDataset))
    return len(outputs) == 1 and not mapped


def follow_for_some(fix, names):
    """Run the lines below the first for one output, or all labels of a data set."""
    heading, *lines = fix.splitlines()
    code = "\n".join(line.removeprefix("# ") for line in lines)
    output = re.search(r"of output '(\w+)':$", heading)
    if output is None:
        inputs, labels = unbatched(names["y"])
        own = {**names, "y": labels}
        exec(code, own)
        own["y"] = catalogue.data(own["y"], inputs)
        names.update({key: own[key] for key in ("model", "y", "loss")})
        return
    y, loss = (by_output(names[key]) for key in ("y", "loss"))
    own = {**names, "y": y[output[1]], "loss": loss[output[1]]}
    exec(code, own)
    y[output[1]], loss[output[1]] = own["y"], own["loss"]
    for key, values in (("y", y), ("loss", loss)):
        kept = isinstance(names["y"], dict)
        names[key] = values if kept else type(names["y"])(values.values())
    names["model"] = own["model"]


def unbatched(data):
    parts = zip(*data.as_numpy_iterator(), strict=True)
    return [np.concatenate(part) for part in parts]


def by_output(given):
    """Return labels or losses by the names of the outputs."""
    if isinstance(given, dict):
        return dict(given)
    if not isinstance(given, (list, tuple)):
        given = [given] * len(OUTPUTS)
    return dict(zip(OUTPUTS, given, strict=True))


# --- What a sentence asks for ---------------------------------------------------------


def build(model):
    """Return a hand that builds another model."""
    return lambda names: names.update(model=model())


def give_batches(names):
    names["y"] = names["y"].batch(32)


def promise_ranks(names):
    """Give each part of a data set a shape, with None for sizes that vary."""
    batches = list(names["y"])

    def common(*tensors):
        sizes = zip(*(tensor.shape[1:] for tensor in tensors), strict=True)
        return [None, *(axis[0] if len({*axis}) == 1 else None for axis in sizes)]

    shapes = keras.tree.map_structure(common, *batches)

    def ensure(*element):
        return keras.tree.map_structure_up_to(
            element, tf.ensure_shape, element, tuple(shapes)
        )

    names["y"] = names["y"].map(ensure)


def apply_to_batches(names):
    """Put BatchApply in place of TimeDistributed."""

    def swap(layer):
        if not isinstance(layer, layers.TimeDistributed):
            return layer.__class__.from_config(layer.get_config())
        inner = layer.layer.__class__.from_config(layer.layer.get_config())
        return BatchApply(inner, name=layer.name)

    clone = keras.models.clone_model
    names["model"] = clone(names["model"], clone_function=swap, recursive=True)


def pool_first(names):
    """Pool the steps in front of the first of two outputs."""
    one, other = names["model"].outputs
    outputs = [layers.GlobalAveragePooling1D()(one), other]
    if isinstance(names["y"], dict):
        outputs = dict(zip(OUTPUTS, outputs, strict=True))
    names["model"] = keras.Model(names["model"].inputs, outputs)


def leave_out_third(names):
    names["y"] = {key: names["y"][key] for key in OUTPUTS}


def take_softmax_away(names):
    body = stack(catalogue.conv, catalogue.average, dense(CLASSES))
    names.update(model=body(), loss=keras.losses.BinaryCrossentropy(from_logits=True))


# By the code of the problem, or by the name of the case.
BY_HAND = {
    "not-batched": give_batches,
    "unknown-rank": promise_ranks,
    "time-distributed": apply_to_batches,
    "labels per step, pooled": build(stack(same, dense(1))),
    "a column of numbers per step, one output": build(stack(same, dense(1))),
    "words, pooled": build(
        stack(
            lambda: layers.Embedding(50, 8, mask_zero=True),
            dense(CLASSES),
            shape=(12,),
        )
    ),
    "several-hot, softmax in a layer": take_softmax_away,
    "no pooling in front of the second output": pool_first,
    "one LSTM, a label a sequence and one a step": pool_first,
    "labels for a third output": leave_out_third,
    "fewer steps than letters": build(reader(2)),
    "fewer steps than letters, by pooling": build(
        stack(same, lstm_steps, dense(CLASSES))
    ),
    "no step between two equal letters": build(reader(1)),
}
