"""Mismatches of logits, labels and loss: found, told truly, and mended by the fix."""

import copy
import re
import warnings
from functools import partial

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras import layers

from cnnseq_helpers import ShapeError, check_targets, checked_targets
from cnnseq_helpers.targets.checking import find_problems

from ..conftest import sampled
from . import catalogue
from .catalogue import BATCH, OwnModel, two_outputs
from .data import RIGHT_DATA, WRONG_DATA
from .hands import BY_HAND, follow
from .relatives import RIGHT_HEADS, WRONG_HEADS
from .traps import RIGHT_TRAPS, WRONG_TRAPS, of_unknown_length

RIGHT = catalogue.RIGHT | RIGHT_HEADS | RIGHT_DATA | RIGHT_TRAPS
WRONG = catalogue.WRONG | WRONG_HEADS | WRONG_DATA | WRONG_TRAPS


def named(cases, every):
    """Return cases by their names: one of so many always, the others in CI."""
    rows = sampled([(case,) for case in cases.values()], every)
    lengths = pytest.mark.tensorflow_only("lengths")
    rows = [
        pytest.param(*row.values, marks=[*row.marks, lengths])
        if "time-distributed" in getattr(row.values[0], "codes", ())
        else row
        for row in rows
    ]
    return pytest.mark.parametrize("case", rows, ids=list(cases))


def codes(*arguments, **options):
    """Return the codes of all problems; an error of the package itself is raised."""
    return [problem.code for problem in find_problems(*arguments, **options)]


def fit(model, inputs, y, loss):
    """Run `fit` without a gradient, which takes most of its time; return warnings."""
    model.compile("sgd", loss)
    model.trainable = False
    data = isinstance(y, (tf.data.Dataset, keras.utils.PyDataset))
    given, batch = ((y,), None) if data else ((inputs, y), BATCH)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(*given, batch_size=batch, shuffle=not data, verbose=0)
    finally:
        model.trainable = True  # as its layers may be those of other models, too
    messages = [str(warning.message) for warning in caught]
    return [text for text in messages if "not have any trainable weights" not in text]


def learns(model, inputs, y, loss):
    """Tell whether a small step down the gradient makes the loss smaller."""
    batch = (inputs, y)
    if isinstance(y, (tf.data.Dataset, keras.utils.PyDataset)):
        batch = y[0] if isinstance(y, keras.utils.PyDataset) else next(iter(y))
    given, labels, *weights = batch
    given = keras.tree.map_structure(tf.convert_to_tensor, given)
    model.compile("sgd", loss)

    def measure():
        return model.compute_loss(given, labels, model(given), *weights)

    with tf.GradientTape() as tape:
        before = measure()
    gradient = tape.gradient(before, model.trainable_variables)
    rate = 0.01 / tf.linalg.global_norm(gradient)
    for variable, slope in zip(model.trainable_variables, gradient, strict=True):
        variable.assign_sub(rate * slope)
    return bool(measure() < before)


@named(WRONG, 1)
def test_wrong_set_up_is_found(case):
    assert codes(case.model(), case.y, case.loss, x=case.x) == case.codes


@pytest.mark.tensorflow_only("fit")
@named(WRONG, 10)
def test_fit_does_what_is_said_of_it(case):
    model = case.model()
    try:
        outcome = "warns" if fit(model, case.x, case.y, case.loss) else "silent"
    except Exception:
        outcome = "raises"
    assert outcome == case.fit


@pytest.mark.tensorflow_only("fit")
@named(WRONG, 8)
def test_fix_gives_a_model_that_trains(case, request):
    keras.utils.set_random_seed(0)
    name = request.node.callspec.id
    model, y, loss = case.model(), copy.copy(case.y), copy.copy(case.loss)
    names = {"model": model, "y": y, "loss": loss, "x": case.x, "keras": keras}
    names["np"] = np
    for _ in range(4):
        arguments = [names[key] for key in ("model", "y", "loss", "x")]
        problems = find_problems(*arguments)
        if not problems:
            break
        follow(problems[0], names, BY_HAND.get(name))
    assert problems == []
    assert learns(names["model"], names["x"], names["y"], names["loss"])


@named(RIGHT, 1)
def test_right_set_up_raises_no_alarm(case):
    assert find_problems(case.model(), case.y, case.loss, case.x) == []


@pytest.mark.tensorflow_only("fit")
@named(RIGHT, 10)
def test_right_set_up_trains(case):
    keras.utils.set_random_seed(0)
    model = case.model()
    assert fit(model, case.x, case.y, case.loss) == []
    assert learns(model, case.x, case.y, case.loss)
    assert find_problems(model, case.y) == []


# --- Odd input ------------------------------------------------------------------------

sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def classifier(units=4, **options):
    return keras.Sequential(
        [
            keras.Input((20, 3)),
            layers.Conv1D(8, 5, name="conv"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(units, name="head", **options),
        ]
    )


def own_loss(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true - y_pred))


class OwnLoss(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return own_loss(y_true, y_pred)


class Broken:
    def __array__(self, *arguments, **options):
        raise RuntimeError("no array today")


class BrokenModel(keras.Model):
    def call(self, inputs):
        raise RuntimeError("no output today")


broken = BrokenModel()
broken.built = True
broken._build_shapes_dict = {"input_shape": (None, 20, 3)}
some = np.arange(8) % 4
ODD = {
    "no labels": (classifier(), None, sparse, ["no-labels"]),
    "empty batch": (classifier(), np.zeros(0), sparse, ["no-labels"]),
    "a single label": (classifier(), 3, sparse, ["no-labels"]),
    "no data": (
        classifier(),
        tf.data.Dataset.from_tensor_slices((np.zeros((0, 20, 3)), [])).batch(8),
        sparse,
        ["no-labels"],
    ),
    "no pairs": (
        classifier(),
        tf.data.Dataset.from_tensor_slices(np.zeros((8, 20, 3))).batch(8),
        sparse,
        ["no-labels"],
    ),
    "ragged list": (classifier(), [[0, 1], [2]], sparse, ["unreadable-labels"]),
    "ragged tensor": (
        classifier(),
        tf.ragged.constant([[0, 1], [2]]),
        sparse,
        ["unreadable-labels"],
    ),
    "objects": (
        classifier(),
        np.array([None, {}], dtype=object),
        sparse,
        ["unreadable-labels"],
    ),
    "dates": (
        classifier(),
        np.array(["2020-01-01"], dtype="datetime64"),
        sparse,
        ["unreadable-labels"],
    ),
    "complex": (classifier(), np.ones(8, complex), sparse, ["unreadable-labels"]),
    "a generator": (classifier(), iter([some]), sparse, ["unreadable-labels"]),
    "not an array": (classifier(), Broken(), sparse, ["not-checked"]),
    "not built": (
        keras.Sequential([layers.Dense(4)]),
        some,
        sparse,
        ["not-built"],
    ),
    "not built, NaN": (
        keras.Sequential([layers.Dense(4)]),
        np.full(8, np.nan),
        sparse,
        ["not-built"],
    ),
    "no model": (None, some, sparse, ["not-built"]),
    "a broken model": (broken, some, sparse, ["not-checked"]),
    "no loss": (classifier(), some, None, ["no-loss"]),
    "own function": (classifier(), some, own_loss, ["unknown-loss"]),
    "own class": (classifier(), some, OwnLoss(), ["unknown-loss"]),
    "own class, not an instance": (classifier(), some, OwnLoss, ["unknown-loss"]),
    "no such loss": (classifier(), some, "mean_cube", ["unknown-loss"]),
    "number as loss": (classifier(), some, 3, ["unknown-loss"]),
    "known loss, unknown labels": (classifier(), some, "ctc", ["unknown-loss"]),
    "classes on another axis": (
        classifier(),
        np.eye(4)[some],
        keras.losses.CategoricalCrossentropy(axis=1),
        ["unknown-loss"],
    ),
    "too few losses": (
        two_outputs(),
        [some, some],
        ["mse"],
        ["outputs"],
    ),
    "no such output": (
        two_outputs(),
        [some, some],
        {"which": sparse, "when": "mse"},
        ["outputs"],
    ),
    "several losses for one output": (
        classifier(),
        some,
        [sparse, sparse],
        ["unknown-loss"],
    ),
    "one array for two outputs": (two_outputs(), some, "mse", ["outputs"]),
    "no such axes": (classifier(), np.ones((8, 5, 7), int), sparse, ["label-shape"]),
}


@pytest.mark.parametrize("case", ODD.values(), ids=list(ODD))
def test_odd_input_gives_an_entry_not_an_error(case):
    model, y, loss, expected = case
    problems = check_targets(model, y, loss)
    assert [problem.code for problem in problems] == expected
    assert all(problem.message and problem.fix for problem in problems)


def test_errors_are_hidden_from_users_and_seen_by_these_tests():
    assert check_targets(broken, some, sparse)[0].code == "not-checked"
    with pytest.raises(RuntimeError, match="no output today"):
        find_problems(broken, some, sparse)


def masking_loss(y_true, y_pred):
    known = keras.ops.isfinite(y_true)
    return keras.ops.mean(keras.ops.where(known, y_true - y_pred, 0.0))


def u_net():
    inputs = keras.Input((8, 8, 1))
    down = layers.Conv2D(4, 2, strides=2)(inputs)
    up = layers.Conv2DTranspose(4, 2, strides=2)(down)
    joined = layers.Concatenate()([inputs, up])
    return keras.Model(inputs, layers.Conv2D(3, 3)(joined))


def deep_encoder():
    inputs = keras.Input((20, 3))
    encoder = keras.Sequential([layers.LSTM(4), layers.Dense(4)])
    return keras.Model(inputs, layers.Dense(4)(layers.Dense(8)(encoder(inputs))))


def two_branches():
    inputs = keras.Input((20, 3))
    joined = layers.Concatenate()([layers.LSTM(4)(inputs), layers.GRU(4)(inputs)])
    return keras.Model(inputs, layers.Dense(4)(joined))


def reshaped():
    return keras.Sequential(
        [
            keras.Input((20, 3)),
            layers.LSTM(4),
            layers.Dense(15),
            layers.Reshape((5, 3)),
        ]
    )


def adapted():
    normalization = layers.Normalization()
    normalization.adapt(np.ones((4, 20, 3)))
    return keras.Sequential(
        [
            keras.Input((20, 3)),
            normalization,
            layers.LSTM(4, return_sequences=True),
            layers.Dense(4),
        ]
    )


def frozen():
    model = classifier(3)
    model.get_layer("conv").trainable = False
    return model


def with_lambda():
    return keras.Sequential(
        [keras.Input((20, 3)), layers.LSTM(4), layers.Lambda(abs), layers.Dense(3)]
    )


def shared_activation():
    inputs = keras.Input((20, 3))
    hidden, relu = layers.LSTM(4)(inputs), layers.ReLU()
    one, other = layers.Dense(1)(hidden), layers.Dense(1)(hidden)
    return keras.Model(inputs, [relu(one), relu(other)])


def own_class():
    class Own(keras.Model):
        pass

    inputs = keras.Input((20, 3))
    return Own(inputs, layers.Dense(4)(inputs))


def encoder_and_head():
    encoder = keras.Sequential([keras.Input((20, 3)), layers.LSTM(4)])
    return keras.Sequential([keras.Input((20, 3)), encoder, layers.Dense(4)])


def autoencoder():
    return keras.Sequential(
        [
            keras.Input((15, 15, 1)),
            layers.Conv2D(4, 3, strides=2, padding="same"),
            layers.Conv2DTranspose(1, 3, strides=2, padding="same"),
        ]
    )


def conv_lstm():
    return keras.Sequential(
        [
            keras.Input((5, 6, 6, 1)),
            layers.ConvLSTM2D(2, 3),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )


steps = np.arange(8 * 20).reshape(8, 20) % 4
# Where code could do damage, the fix is advice.
ADVICE = {
    "a U-Net": (u_net, np.zeros((8, 8, 8), int), sparse, "time-length"),
    "a nested encoder": (deep_encoder, steps, sparse, "per-sequence-output"),
    "two branches": (two_branches, steps, sparse, "per-sequence-output"),
    "a reshaped head": (reshaped, np.zeros((8, 5, 4)), "mse", "units"),
    "an adapted layer": (adapted, some, sparse, "per-step-output"),
    "a frozen layer": (frozen, some, sparse, "units"),
    "a Lambda": (with_lambda, some, sparse, "units"),
    "a shared activation": (
        shared_activation,
        [np.ones(8), -np.ones(8)],
        "mse",
        "labels-beyond-activation",
    ),
    "marked labels beside wrong ones": (
        classifier,
        np.array([-1, 0, 5, 9]),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1),
        "label-range",
    ),
    "many gaps": (
        lambda: keras.Sequential([keras.Input((20, 3)), layers.Dense(1)]),
        np.where(np.arange(20)[:, None] > np.arange(8), 0, np.nan).T,
        "mse",
        "label-missing",
    ),
    "a class of one's own": (own_class, some, sparse, "per-step-output"),
    "an encoder and a head": (encoder_and_head, steps, sparse, "per-sequence-output"),
    "an autoencoder": (autoencoder, np.zeros((8, 15, 15, 1)), "mse", "time-length"),
    "a label a frame": (conv_lstm, steps[:, :5], sparse, "per-sequence-output"),
    "labels too short": (
        lambda: keras.Sequential([keras.Input((20, 3)), layers.Dense(4)]),
        steps[:, :15],
        sparse,
        "time-length",
    ),
    "numbers for classes": (
        classifier,
        np.arange(8) * 60_000 + 1,
        sparse,
        "units",
    ),
    "a mask with 255": (
        lambda: classifier(1),
        np.array([0, 1, 255, 1]),
        "binary_crossentropy",
        "label-range",
    ),
    "a gap in every sequence": (
        lambda: keras.Sequential([keras.Input((20, 3)), layers.Dense(1)]),
        np.where(np.arange(20) == 3, np.nan, np.zeros((8, 20))),
        "mse",
        "label-missing",
    ),
    "indices batch by batch": (
        lambda: classifier(3),
        tf.data.Dataset.from_tensor_slices(
            (np.zeros((8, 20, 3)), np.tile([0.0, 1.5], 4))
        ).batch(8),
        sparse,
        "labels-not-whole",
    ),
    "one frame for a clip": (
        lambda: keras.Sequential([keras.Input((4, 6, 6, 1)), layers.Dense(1)]),
        np.zeros((8, 6, 6, 1)),
        "mse",
        "per-step-output",
    ),
    "a clip for one frame": (
        lambda: keras.Sequential([keras.Input((6, 6, 1)), layers.Dense(1)]),
        np.zeros((8, 4, 6, 6, 1)),
        "mse",
        "per-sequence-output",
    ),
}


@pytest.mark.parametrize("case", ADVICE.values(), ids=list(ADVICE))
def test_fix_is_advice_where_code_could_do_damage(case):
    build, y, loss, code = case
    problem = check_targets(build(), y, loss)[0]
    assert problem.code == code
    assert problem.fix.startswith("#")


@pytest.mark.parametrize("count", [7, 9, 16])
def test_other_numbers_of_labels_are_never_paired_by_a_fix(count):
    (problem,) = check_targets(
        classifier(), np.arange(count) % 4, sparse, x=np.zeros((8, 20, 3))
    )
    assert problem.code == "batch-size"
    assert problem.fix.startswith("#")


def test_one_sequence_of_any_length_is_no_row_of_samples():
    model = keras.Sequential([keras.Input((None, 3)), layers.Dense(4)])
    rows = np.eye(4)[np.arange(7) % 4][None]
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    assert check_targets(model, rows, loss) == []


WITHOUT_INPUTS = {
    "one-hot rows in a vector": (np.eye(4)[some].reshape(-1), "batch-size"),
    "one-hot columns": (np.eye(4)[some].T, "label-axes"),
    "one row of indices": (some[None], "label-axes"),
    "one row of one-hot rows": (np.eye(4)[some][None], "label-axes"),
}


@pytest.mark.parametrize("case", WITHOUT_INPUTS.values(), ids=list(WITHOUT_INPUTS))
def test_misplaced_samples_are_found_by_the_labels_alone(case):
    y, code = case
    names = {"y": y, "np": np}
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    (problem,) = check_targets(classifier(), y, loss)
    assert problem.code == code
    exec(problem.fix, names)
    assert len(names["y"]) == 8


class OwnFrames(keras.Model):
    """A model with a call of its own, which no graph describes."""

    def __init__(self):
        super().__init__()
        self.steps = layers.TimeDistributed(layers.Dense(4))
        self.lstm = layers.LSTM(4)
        self(np.zeros((1, 20, 3), "float32"))

    def call(self, inputs):
        return self.lstm(self.steps(inputs))


@pytest.mark.tensorflow_only("lengths")
def test_time_distributed_in_a_model_of_ones_own_is_mended_by_hand():
    model, inputs = OwnFrames(), np.zeros((8, 20, 3), "float32")
    assert check_targets(model, np.zeros((8, 4)), "mse", x=inputs) == []
    (problem,) = check_targets(
        model, of_unknown_length(inputs, np.zeros((8, 4))), "mse"
    )
    assert problem.code == "time-distributed"
    assert problem.fix.startswith("#")
    assert "call" not in vars(model.steps)


def test_loss_of_ones_own_may_want_missing_labels():
    assert codes(classifier(1), np.full(8, np.nan), masking_loss) == ["unknown-loss"]


@pytest.mark.parametrize("second", [[np.full(8, np.nan)], [None], []])
def test_outputs_without_a_loss_need_no_labels(second):
    loss = [sparse, None]
    assert check_targets(two_outputs(), [some, *second], loss) == []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Gradients do not exist")
        model = two_outputs()
        model.compile("adam", loss, run_eagerly=True)
        model.fit(np.zeros((8, 20, 3)), [some, *second], verbose=0)


def test_outputs_inside_of_outputs_are_not_looked_at():
    inputs = keras.Input((20, 3))
    outputs = {"a": [layers.Dense(4)(inputs), inputs], "b": inputs}
    (problem,) = check_targets(keras.Model(inputs, outputs), some, "mse")
    assert problem.code == "not-checked"


# --- The guard ------------------------------------------------------------------------


def test_guard_returns_the_labels_or_lists_the_problems():
    model = classifier(activation="softmax")
    model.compile("adam", sparse)
    assert checked_targets(model, some, "sparse_categorical_crossentropy") is some
    with pytest.raises(ShapeError, match="labels-from-one") as error:
        checked_targets(model, some + 1)
    assert "softmax-from-logits" in str(error.value)


def test_guard_only_warns_of_what_it_can_not_check():
    with pytest.warns(UserWarning, match="own_loss"):
        assert checked_targets(classifier(), some, own_loss) is some


def test_callback_would_come_too_late():
    called = []
    callback = keras.callbacks.LambdaCallback(on_train_begin=called.append)
    model = classifier()
    model.compile("adam", sparse)
    with pytest.raises(ValueError, match="cardinality"):
        model.fit(np.zeros((9, 20, 3)), some, callbacks=[callback], verbose=0)
    assert called == []


# --- What is promised of the check itself ---------------------------------------------


def recurrent():
    return keras.Sequential(
        [keras.Input((20, 3)), layers.LSTM(8, dropout=0.1), layers.Dense(4)]
    )


class Regularized(keras.Model):
    def __init__(self):
        super().__init__()
        self.flatten = layers.Flatten()
        self.normalize = layers.BatchNormalization()
        self.head = layers.Dense(4, activity_regularizer="l2")
        self(np.ones((2, 20, 3), "float32"))

    def call(self, inputs, training=False):
        return self.head(self.normalize(self.flatten(inputs), training=training))


@pytest.mark.parametrize("build", [recurrent, partial(OwnModel, 4), Regularized])
def test_check_changes_nothing(build):
    model = build()
    model.compile("adam", sparse, metrics=["accuracy"])

    def state():
        nodes = [len(layer._inbound_nodes) for layer in model._flatten_layers()]
        return nodes, model.built, model.compiled, model._compile_loss.built

    def values():
        return [keras.ops.convert_to_numpy(v) for v in model.variables]

    before, weights = state(), copy.deepcopy(values())
    labels = some.copy()
    assert check_targets(model, labels) == []
    assert state() == before
    assert all(np.array_equal(a, b) for a, b in zip(values(), weights, strict=True))
    assert np.array_equal(labels, some)
    assert all(np.isfinite(loss) for loss in model.losses)


def test_a_compiled_model_is_neither_run_nor_traced(monkeypatch):
    model = recurrent()
    model.compile("adam", sparse)

    def called(*_, **__):
        raise AssertionError("the model was called")

    for kind in (keras.Model, keras.layers.Layer):
        monkeypatch.setattr(kind, "__call__", called)
    assert check_targets(model, np.arange(100_000) % 4) == []


def test_table_of_codes_tells_what_fit_does():
    rows = re.findall(r"^    (\S[\w, -]*?)  +\S.*?(?:  +(\w+))?$", table(), re.M)
    told = {code: word for codes, word in rows for code in codes.split(", ")}
    seen = {}
    for case in WRONG.values():
        if len(case.codes) == 1:
            seen.setdefault(case.codes[0], set()).add(case.fit)
    for code, outcomes in seen.items():
        outcome = outcomes.pop() if len(outcomes) == 1 else "varies"
        assert told[code] == outcome, code
    unfit = {code for _, _, _, codes in ODD.values() for code in codes}
    unfit.add("metric")  # which has a file of its own
    assert set(told) == seen.keys() | unfit


def table():
    lines = check_targets.__doc__.splitlines()
    rules = [i for i, line in enumerate(lines) if line.startswith("    ====")]
    return "\n".join(lines[rules[1] + 1 : rules[2]])


def test_a_table_of_transposed_rows_is_mended_as_an_array_is():
    model = catalogue.head()
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    rows = np.eye(model.output_shape[1])[np.arange(len(catalogue.x)) % 3]
    table = pd.DataFrame(rows.T)
    (problem,) = check_targets(model, table, loss, x=catalogue.x)
    names = {"y": table, "np": np, "keras": keras}
    exec(problem.fix, names)
    np.testing.assert_array_equal(names["y"], rows)
