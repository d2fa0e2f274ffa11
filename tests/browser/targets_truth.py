"""What the explorer of logits and labels knows: every choice, judged beforehand.

Run as ``python -m tests.browser.targets_truth``, it writes the table in which the
explorer looks up what Keras does and what check_targets says.
"""

import itertools
import json
import re
import warnings
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers, losses

from cnnseq_helpers.targets.checking import find_problems

TABLE = Path(__file__).parents[2] / "book/_static/explorers/targets_table.js"
BATCH, STEPS, CLASSES = 32, 6, 4

random = np.random.default_rng(0)
x = random.normal(size=(BATCH, STEPS, 3)).astype("float32")
of_two, of_four = np.arange(BATCH) % 2, np.arange(BATCH) % CLASSES
of_steps = (np.arange(BATCH * STEPS) % CLASSES).reshape(BATCH, STEPS)
several = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [1, 1, 0, 1], [0, 0, 0, 1]] * 8)
numbers = np.linspace(0.5, 9.5, BATCH)

LABELS = {
    "0 or 1: (batch,)": of_two,
    "1 or 2: (batch,)": of_two + 1,
    "one-hot: (batch, 2)": np.eye(2)[of_two],
    "indices 0 to 3: (batch,)": of_four,
    "indices 1 to 4: (batch,)": of_four + 1,
    "one-hot: (batch, 4)": np.eye(CLASSES)[of_four],
    "0 or 1 for each: (batch, 4)": several,
    "-1 or 1 for each: (batch, 4)": 2 * several - 1,
    "indices 0 to 3: (batch, 6)": of_steps,
    "indices 1 to 4: (batch, 6)": of_steps + 1,
    "one-hot: (batch, 6, 4)": np.eye(CLASSES)[of_steps],
    "numbers 0.5 to 9.5: (batch,)": numbers,
    "numbers 0.5 to 9.5: (batch, 1)": numbers[:, None],
}


def model(units, activation=None, *, steps=False, padding="same"):
    body = [layers.Conv1D(8, 3, padding=padding, activation="relu", name="conv")]
    pooling = [] if steps else [layers.GlobalAveragePooling1D(name="pooling")]
    head = layers.Dense(units, activation=activation, name="head")
    return keras.Sequential([keras.Input((STEPS, 3)), *body, *pooling, head])


HEADS = {
    "Dense(1)": partial(model, 1),
    'Dense(1, "sigmoid")': partial(model, 1, "sigmoid"),
    'Dense(1, "softmax")': partial(model, 1, "softmax"),
    "Dense(2)": partial(model, 2),
    'Dense(2, "softmax")': partial(model, 2, "softmax"),
    "Dense(4)": partial(model, CLASSES),
    'Dense(4, "sigmoid")': partial(model, CLASSES, "sigmoid"),
    'Dense(4, "softmax")': partial(model, CLASSES, "softmax"),
    "Dense(1) at every step": partial(model, 1, steps=True),
    "Dense(2) at every step": partial(model, 2, steps=True),
    "Dense(4) at every step": partial(model, CLASSES, steps=True),
    'Dense(4, "softmax") at every step': partial(model, CLASSES, "softmax", steps=True),
    "Dense(4), 2 of 6 steps lost": partial(model, CLASSES, steps=True, padding="valid"),
}

CROSSENTROPIES = {
    "binary": losses.BinaryCrossentropy,
    "categorical": losses.CategoricalCrossentropy,
    "sparse": losses.SparseCategoricalCrossentropy,
}
LOSSES = {
    f"{name}, from_logits={logits}": loss(from_logits=logits)
    for (name, loss), logits in itertools.product(CROSSENTROPIES.items(), (True, False))
} | {"mean squared error": losses.MeanSquaredError()}


def outcome_of(train):
    """Return what Keras does, and the first line that it says of the matter."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            train()
        except (ValueError, tf.errors.InvalidArgumentError) as error:
            return "raises", first_line(str(error))
    return ("warns", str(caught[0].message)) if caught else ("silent", "")


def first_line(message):
    if message.startswith("Graph execution error"):
        message = message.rsplit("\n\n", 1)[-1]
    message = re.sub(r"^\{\{function_node .*?\}\} ", "", message.splitlines()[0])
    message = re.sub(r"for '\{\{node .*' with", "for … with", message)
    return message.split("  Label values")[0]


def step(model, y, loss):
    """Trace and run what `fit` runs, of a batch whose size is not known beforehand."""
    run = tf.function(lambda x, y: loss(y, model(x)), autograph=False)
    like = [tf.TensorSpec((None, *a.shape[1:]), a.dtype) for a in (x, y)]
    run.get_concrete_function(*like)(tf.constant(x), tf.constant(y))


# --- The table ------------------------------------------------------------------------

# The first of the labels belongs to the first of the heads and the loss.
TASKS = {
    "one of two classes": {
        "labels": ["0 or 1: (batch,)", "1 or 2: (batch,)", "one-hot: (batch, 2)"],
        "heads": [
            "Dense(1)",
            'Dense(1, "sigmoid")',
            'Dense(1, "softmax")',
            "Dense(2)",
            'Dense(2, "softmax")',
            "Dense(2) at every step",
        ],
        "loss": "binary, from_logits=True",
    },
    "one of four classes": {
        "labels": [
            "indices 0 to 3: (batch,)",
            "indices 1 to 4: (batch,)",
            "one-hot: (batch, 4)",
        ],
        "heads": [
            "Dense(4)",
            'Dense(4, "softmax")',
            'Dense(4, "sigmoid")',
            "Dense(4) at every step",
            "Dense(1)",
        ],
        "loss": "sparse, from_logits=True",
    },
    "several of four labels": {
        "labels": ["0 or 1 for each: (batch, 4)", "-1 or 1 for each: (batch, 4)"],
        "heads": ["Dense(4)", 'Dense(4, "sigmoid")', 'Dense(4, "softmax")', "Dense(1)"],
        "loss": "binary, from_logits=True",
    },
    "a class for every step": {
        "labels": [
            "indices 0 to 3: (batch, 6)",
            "indices 1 to 4: (batch, 6)",
            "one-hot: (batch, 6, 4)",
        ],
        "heads": [
            "Dense(4) at every step",
            'Dense(4, "softmax") at every step',
            "Dense(4), 2 of 6 steps lost",
            "Dense(4)",
        ],
        "loss": "sparse, from_logits=True",
    },
    "a number": {
        "labels": ["numbers 0.5 to 9.5: (batch,)", "numbers 0.5 to 9.5: (batch, 1)"],
        "heads": ["Dense(1)", 'Dense(1, "sigmoid")', "Dense(1) at every step"],
        "loss": "mean squared error",
    },
}


def describe_labels(y):
    """Return what the drawing shows of labels."""
    rows = y.ndim > 1 and y.shape[-1] > 1 and bool((y.sum(axis=-1) == 1).all())
    columns = y.shape[1:] == (CLASSES,)
    return {
        "axes": y.shape[1:],
        "low": y.min().item(),
        "high": y.max().item(),
        "rows": rows,
        "several": columns and not rows,
        "parts": bool((y != np.round(y)).any()),
    }


def describe_head(model):
    *steps, units = model.output_shape[1:]
    activation = model.layers[-1].activation.__name__
    name = None if activation == "linear" else activation
    return {"units": units, "steps": steps, "activation": name}


def kind_of(name):
    return name.split(",")[0].replace("mean squared error", "squared")


def describe_loss(name):
    logits = "from_logits=True" if "True" in name else ""
    code = f"{type(LOSSES[name]).__name__}({logits})"
    return {"kind": kind_of(name), "code": code}


# Why what runs is a poor choice, by the kind of the loss.
BETTER = {
    "squared": "A squared error takes classes for amounts; a crossentropy learns "
    "better.",
    "binary": "The binary loss takes each column for a question of its own.",
    "sparse": "Keras goes back to the logits in front of the sigmoid and applies "
    "softmax; the predictions stay sigmoids, and their sum is not 1.",
}
BETTER["categorical"] = BETTER["sparse"]


def suits(labels, head, kind):
    """Tell whether what runs without a fault is also a good choice."""
    if kind == "squared":
        return labels["parts"]
    return not labels["rows"] if kind == "binary" else head["activation"] != "sigmoid"


def metric_of(head, kind):
    probabilities = "" if head["activation"] else "threshold=0.0"
    return {
        "squared": "MeanAbsoluteError()",
        "categorical": "CategoricalAccuracy()",
        "sparse": "SparseCategoricalAccuracy()",
        "binary": f"BinaryAccuracy({probabilities})",
    }[kind]


# The entries of the error clinic: by a part of the message, or by the code.
RANK = "argument-output-must-have-rank-ndim-target-ndim-1-"
SAME = "arguments-target-and-output-must-have-the-same-shape-"
ERRORS = {
    "`target.ndim - 1`": f"{RANK}one-hot-labels",
    "up until the last": "must-have-the-same-shape-up-until-the-last-dimension",
    "same rank": "must-have-the-same-rank-ndim",
    "same shape. Received": f"{SAME}as-many-units-as-classes",
    "a label value": "received-a-label-value-of-4-which-is-outside-the-valid-"
    "range-of-0-4",
    "ncompatible shapes": "dimensions-must-be-equal-but-are-20-and-18",
    "Dimensions must": "dimensions-must-be-equal-but-are-20-and-18",
}
CAUSES = {
    "one-unit-two-columns": f"{SAME}one-unit-two-columns",
    "per-step-output": f"{RANK}an-output-for-every-step",
    "per-sequence-output": f"{RANK}labels-for-every-step",
}
REPEATS = "squared-error-repeats-a-label-over-steps-and-columns"
RANGE = "labels-1-and-2-1-and-1-or-pixels-up-to-255-with-a-binary-loss"
SILENT = {
    "label-range": RANGE,
    "labels-beyond-activation": "a-sigmoid-can-t-reach-the-targets",
    "labels-from-one": RANGE,
    "labels-signed": RANGE,
    "logits-as-probabilities": "logits-in-a-loss-that-expects-probabilities",
    "one-unit": "softmax-over-one-unit",
    "one-unit-two-columns": REPEATS,
    "per-step-output": REPEATS,
    "several-hot": "several-right-answers-one-softmax",
    "softmax-from-logits": "softmax-applied-twice",
    "units": REPEATS,
}


def entry_of(codes, outcome, kind, message):
    """Return the entry's anchor on the page of the clinic, "" where there is none."""
    if not codes:
        return ""
    if outcome != "raises":
        return RANGE if (codes[0], kind) == ("units", "binary") else SILENT[codes[0]]
    entry = next(anchor for part, anchor in ERRORS.items() if part in message)
    cause = CAUSES.get(codes[0], "")
    told = cause.startswith(RANK) == entry.startswith(RANK)
    return cause if cause and told and "imensions" not in message else entry


def judge(labels, head, loss, model):
    """Return what the explorer says of one choice; all is given by its name."""
    problems = find_problems(model, LABELS[labels], LOSSES[loss])
    outcome, message = outcome_of(partial(step, model, LABELS[labels], LOSSES[loss]))
    findings = [(each.code, each.message.split(": ", 1)[1]) for each in problems]
    codes = [code for code, _ in findings]
    drawn, kind = describe_head(model), kind_of(loss)
    verdict = outcome
    if outcome != "raises" and not codes:
        fits = suits(describe_labels(LABELS[labels]), drawn, kind)
        verdict = "fits" if fits else "runs"
        findings = [] if fits else [("", BETTER[kind])]
    findings = [(code, why[0].upper() + why[1:]) for code, why in findings]
    entry = entry_of(codes, outcome, kind, message)
    return [verdict, metric_of(drawn, kind), message, entry, *sum(findings, ())]


def make_table():
    """Return the table as JavaScript, with each text written once."""
    models = {name: build() for name, build in HEADS.items()}
    texts = {}
    answers = {
        f"{labels} / {head}": [
            [
                texts.setdefault(text, len(texts))
                for text in judge(labels, head, loss, models[head])
            ]
            for loss in LOSSES
        ]
        for task in TASKS.values()
        for labels, head in itertools.product(task["labels"], task["heads"])
    }
    parts = {
        "TASKS": TASKS,
        "LABELS": {name: describe_labels(y) for name, y in LABELS.items()},
        "HEADS": {name: describe_head(model) for name, model in models.items()},
        "LOSSES": {name: describe_loss(name) for name in LOSSES},
        "ANSWERS": answers,
        "TEXTS": list(texts),
    }
    written = [f"{name}: {write(part)},\n" for name, part in parts.items()]
    return f"{HEADING}explorers.targets = {{\nBATCH: {BATCH},\n{''.join(written)}}};\n"


def write(part):
    """Write a list or a dictionary with a line for each item."""
    compact = partial(json.dumps, separators=(",", ":"))
    if isinstance(part, list):
        return "\n".join(["[", *(f"{compact(value)}," for value in part), "]"])
    items = [f"{compact(key)}: {compact(value)}," for key, value in part.items()]
    return "\n".join(["{", *items, "}"])


HEADING = """/* What there is to choose, and what Keras and check_targets say of it,
   loss by loss: the numbers of the texts for verdict, metric, message and entry of the
   error clinic, then code and reason of each finding.
   Written by `python -m tests.browser.targets_truth`. */
"use strict";

"""

if __name__ == "__main__":
    TABLE.write_text(make_table())
