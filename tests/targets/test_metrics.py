"""Metrics that measure something else than labels and loss are about."""

from functools import partial

import keras
import numpy as np
import pytest
from keras import losses, metrics

from cnnseq_helpers.targets.checking import find_problems

from .catalogue import (
    CLASSES,
    average,
    conv,
    dense,
    head,
    index,
    number,
    numbers,
    one_hot,
    one_logit,
    one_sigmoid,
    several,
    softmax_head,
    stack,
    step_index,
    steps_out,
    two_outputs,
    x,
    yes_no,
)

sparse = losses.SparseCategoricalCrossentropy(from_logits=True)
categorical = losses.CategoricalCrossentropy(from_logits=True)
binary = losses.BinaryCrossentropy(from_logits=True)
column, rows_of_two = yes_no[:, None], stack(conv, average, dense(2))


def largest(y, output):
    """Return how often the largest output is that of the class."""
    classes = y.argmax(-1) if y.ndim == output.ndim else y
    return np.mean(output.argmax(-1) == classes)


def above(y, output, middle=0.0):
    return np.mean((output > middle) == (np.reshape(y, output.shape) > 0.5))


def distance(y, output):
    return np.mean(np.abs(np.reshape(y, output.shape) - output))


WRONG = {
    "columns wanted, indices given": (
        head,
        index,
        sparse,
        metrics.CategoricalAccuracy,
        largest,
    ),
    "columns wanted, indices of steps": (
        steps_out,
        step_index,
        sparse,
        "categorical_accuracy",
        largest,
    ),
    "indices wanted, columns given": (
        head,
        one_hot,
        categorical,
        metrics.SparseCategoricalAccuracy(),
        largest,
    ),
    "indices wanted, columns, by function": (
        head,
        one_hot,
        categorical,
        metrics.sparse_categorical_accuracy,
        largest,
    ),
    "indices wanted, top two": (
        head,
        one_hot,
        categorical,
        metrics.SparseTopKCategoricalAccuracy(2),
        lambda y, output: np.mean(
            (np.argsort(output)[:, -2:] == y.argmax(1)[:, None]).any(1)
        ),
    ),
    "logits cut at 0.5": (one_logit, yes_no, binary, "accuracy", above),
    "logits in a column cut at 0.5": (
        one_logit,
        column,
        binary,
        metrics.BinaryAccuracy(),
        above,
    ),
    "several logits cut at 0.5": (head, several, binary, "binary_accuracy", above),
    "several labels, one of them counted": (head, several, binary, "acc", above),
    "several probabilities, one of them counted": (
        stack(conv, average, dense(CLASSES, "sigmoid")),
        several,
        losses.BinaryCrossentropy(),
        "accuracy",
        partial(above, middle=0.5),
    ),
    "yes or no wanted, indices given": (
        head,
        index[:, None],
        sparse,
        "binary_accuracy",
        None,
    ),
    "the largest of one": (
        one_logit,
        column,
        binary,
        metrics.CategoricalAccuracy(),
        above,
    ),
    "accuracy of numbers": (one_logit, number, "mse", "accuracy", distance),
    "accuracy of three numbers": (
        stack(conv, average, dense(3)),
        numbers,
        "mse",
        "accuracy",
        distance,
    ),
    "equality": (head, index, sparse, metrics.Accuracy(), largest),
    "equality of one": (one_logit, column, binary, metrics.Accuracy(), above),
    "a curve of logits": (one_logit, yes_no, binary, metrics.AUC(), None),
    "precision of logits": (one_logit, yes_no, binary, metrics.Precision(), None),
    "crossentropy of logits": (
        one_logit,
        column,
        binary,
        metrics.BinaryCrossentropy(),
        None,
    ),
}


def evaluate(model, y):
    return model.evaluate(x, y, verbose=0, return_dict=True)


def compile_quickly(model, loss, metric):
    """Compile for a single batch, which a graph would be made for."""
    model.compile("sgd", loss, metrics=[metric], run_eagerly=True)


def follow(fix):
    """Return the metric that a fix says to take."""
    words = "# In compile, in place of"
    assert fix.startswith(words)
    return eval(fix.rsplit(": ", 1)[1].removesuffix("."), {"keras": keras})


@pytest.mark.parametrize("case", WRONG.values(), ids=list(WRONG))
def test_metric_is_found_and_mended_by_the_fix(case):
    build, y, loss, metric, truth = case
    keras.utils.set_random_seed(0)
    model = build()
    compile_quickly(model, loss, metric)
    (problem,) = find_problems(model, y, x=x)
    assert problem.code == "metric"
    compile_quickly(model, loss, follow(problem.fix))
    assert find_problems(model, y, x=x) == []
    values = [v for k, v in evaluate(model, y).items() if k != "loss"]
    assert len(values) == 1
    if truth is not None:
        expected = truth(y, np.asarray(model(x)))
        np.testing.assert_allclose(values[0], expected, rtol=1e-4)


RIGHT = {
    "accuracy of indices": (head, index, sparse, "accuracy"),
    "accuracy of a column of indices": (head, index[:, None], sparse, "accuracy"),
    "accuracy of columns": (head, one_hot, categorical, "accuracy"),
    "accuracy of steps": (steps_out, step_index, sparse, "accuracy"),
    "accuracy of probabilities": (
        one_sigmoid,
        yes_no,
        "binary_crossentropy",
        "accuracy",
    ),
    "accuracy of 0 and 1 by squares": (one_logit, yes_no, "mse", "accuracy"),
    "accuracy of two classes": (rows_of_two, yes_no, sparse, "acc"),
    "indices": (head, index, sparse, metrics.SparseCategoricalAccuracy()),
    "top two": (head, index, sparse, metrics.SparseTopKCategoricalAccuracy(2)),
    "logits cut at 0": (
        one_logit,
        yes_no,
        binary,
        metrics.BinaryAccuracy(threshold=0.0),
    ),
    "several logits cut at 0": (
        head,
        several,
        binary,
        metrics.BinaryAccuracy(threshold=0.0),
    ),
    "columns, each by itself": (
        softmax_head,
        one_hot,
        "categorical_crossentropy",
        "binary_accuracy",
    ),
    "a curve of logits": (one_logit, yes_no, binary, metrics.AUC(from_logits=True)),
    "a curve of probabilities": (
        one_sigmoid,
        yes_no,
        "binary_crossentropy",
        metrics.AUC(),
    ),
    "precision above 0": (one_logit, yes_no, binary, metrics.Precision(thresholds=0)),
    "precision of probabilities": (
        one_sigmoid,
        yes_no,
        "binary_crossentropy",
        "precision",
    ),
    "distances": (one_logit, number, "mse", "mae"),
    "a function of one's own": (head, index, sparse, lambda y, output: output[:, 0]),
}


@pytest.mark.parametrize("case", RIGHT.values(), ids=list(RIGHT))
def test_right_metric_raises_no_alarm(case):
    build, y, loss, metric = case
    model = build()
    compile_quickly(model, loss, metric)
    assert find_problems(model, y, x=x) == []
    evaluate(model, y)


@pytest.mark.parametrize("kind", [list, dict])
def test_each_output_has_its_metrics(kind):
    model, y = two_outputs(kind), [one_hot, number]
    loss, own = [categorical, "mse"], ["sparse_categorical_accuracy", "mae"]
    if kind is dict:
        names = ("which", "much")
        y, loss, own = (dict(zip(names, k, strict=True)) for k in (y, loss, own))
    model.compile("sgd", loss, metrics=own)
    (problem,) = find_problems(model, y, x=x)
    assert problem.code == "metric"
    assert follow(problem.fix)
    assert "'which'" in problem.message


def test_a_metric_beside_others_is_found():
    model = one_logit()
    model.compile("sgd", binary, metrics=["accuracy", metrics.AUC(from_logits=True)])
    (problem,) = find_problems(model, yes_no)
    assert "the metric 'accuracy'" in problem.message
    assert isinstance(follow(problem.fix), metrics.BinaryAccuracy)


@pytest.mark.parametrize(
    "metric",
    [
        metrics.AUC,
        metrics.CategoricalCrossentropy,
        metrics.F1Score,
        metrics.KLDivergence,
        metrics.Precision,
        metrics.R2Score,
        partial(metrics.MeanIoU, 4),
    ],
)
def test_a_metric_that_keras_refuses_is_found(metric):
    model, refused = softmax_head(), softmax_head()
    loss = losses.SparseCategoricalCrossentropy()
    for each in (model, refused):
        each.compile("adam", loss, metrics=[metric()])
    with pytest.raises(Exception, match=r"."):
        evaluate(refused, index)
    (problem,) = find_problems(model, index)
    assert problem.code == "metric"
    compile_quickly(model, loss, follow(problem.fix))
    evaluate(model, index)
