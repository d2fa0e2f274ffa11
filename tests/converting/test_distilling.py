"""distill: students come closer to their teacher, and what can't be taught is told."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from cnnseq_helpers import ShapeError, cnn_lstm, distill, to_cnn1d
from cnnseq_helpers.converting.distilling import mix_series

from ..conftest import sampled

random = np.random.default_rng(0)
TIME, CHANNELS = 12, 3

# After one epoch most students are no better than the mean yet, and distill says so;
# test_usage.py holds when it does.
pytestmark = pytest.mark.filterwarnings("ignore:distill. the student ends")


def series(n=8, steps=TIME, channels=CHANNELS):
    return random.normal(size=(n, steps, channels)).astype("float32")


def sequential(*stack, shape=(TIME, CHANNELS)):
    return keras.Sequential([keras.Input(shape), *stack])


def recurrent(activation=None, units=2, sequences=False):
    """Return a teacher."""
    lstm = layers.LSTM(4, return_sequences=sequences)
    return sequential(lstm, layers.Dense(units, activation))


def small(activation=None, units=2):
    """Return a student that is quick to train."""
    return sequential(layers.Flatten(), layers.Dense(units, activation))


def once(student, teacher, x, **options):
    return distill(student, teacher, x, **{"epochs": 1, "verbose": 0} | options)


class OwnModel(keras.Model):
    """A model with a call of its own."""

    def __init__(self, units=2):
        super().__init__()
        self.lstm, self.head = layers.LSTM(4), layers.Dense(units)

    def call(self, inputs):
        return self.head(self.lstm(inputs))


# --- What is learned ------------------------------------------------------------------


def test_a_student_comes_close_to_the_logits_on_new_series():
    keras.utils.set_random_seed(0)
    teacher = cnn_lstm((40, CHANNELS), 4, filters=(8,), units=8)
    # An untrained teacher says nearly the same of all; this one tells them apart.
    teacher.layers[-1].set_weights([random.normal(size=(8, 4)) * 5, np.zeros(4)])
    student = to_cnn1d(teacher)
    x, new = (series(n, 40) + series(n, 1) for n in (96, 64))
    wanted = np.asarray(teacher(new))
    before = np.mean((np.asarray(student(new)) - wanted) ** 2)
    loss = distill(student, teacher, x, epochs=20, learning_rate=1e-2, verbose=0)
    after = np.mean((np.asarray(student(new)) - wanted) ** 2)
    assert after < before / 2
    # To have learned more than a constant: the mean over all series does worse.
    assert after < np.mean((wanted.mean(axis=0) - wanted) ** 2)
    assert len(loss.history["loss"]) == 20
    assert loss.history["loss"][-1] < loss.history["loss"][0] / 2


LOSSES = {
    None: lambda ours, theirs: (ours - theirs) ** 2,
    "sigmoid": lambda ours, theirs: (
        -(theirs * np.log(ours) + (1 - theirs) * np.log(1 - ours))
    ),
    "softmax": lambda ours, theirs: (
        -np.sum(theirs * np.log(ours), axis=-1, keepdims=True)
    ),
    "tanh": lambda ours, theirs: (ours - theirs) ** 2,
}


@pytest.mark.parametrize("activation", LOSSES)
def test_the_distance_is_that_of_the_last_activation(activation):
    teacher, student, x = recurrent(activation, 3), small(activation, 3), series()
    ours, theirs = (np.asarray(each(x), "float64") for each in (student, teacher))
    # One step, so slow that the weights stay.
    loss = once(student, teacher, x, learning_rate=1e-9).history["loss"][0]
    np.testing.assert_allclose(loss, LOSSES[activation](ours, theirs).mean(), rtol=1e-4)


def test_the_same_seed_gives_the_same_student():
    teacher, x, found = recurrent(), series(), []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        student = small()
        loss = distill(student, teacher, x, epochs=2, verbose=0).history["loss"]
        found.append([*loss, *map(np.sum, student.get_weights())])
    assert found[0] == found[1]


def test_epochs_batches_and_rate_are_those_asked_for():
    batches = []
    student, teacher = small(), recurrent()
    history = once(student, teacher, series(7), epochs=3, batch_size=2)
    assert history.epoch == [0, 1, 2]
    assert history.params["steps"] == 4
    assert float(history.model.optimizer.learning_rate) == pytest.approx(1e-3)
    assert int(history.model.optimizer.iterations) == 12
    batches = once(small(), teacher, series(3), learning_rate=0.25)
    assert float(batches.model.optimizer.learning_rate) == 0.25


def test_nothing_is_printed_unless_asked_for(capsys):
    once(small(), recurrent(), series())
    assert capsys.readouterr().out == ""


# --- What stays -----------------------------------------------------------------------


def test_the_teacher_and_how_the_student_is_compiled_stay():
    teacher, x = recurrent(), series()
    teacher.compile("rmsprop", "mae")
    student = sequential(layers.BatchNormalization(), layers.Flatten(), layers.Dense(2))
    student.compile(keras.optimizers.SGD(0.5), "mae")
    student.train_on_batch(x, np.zeros((8, 2)))
    kept = [student.optimizer, student.loss, teacher.optimizer, teacher.loss]
    weights, ours = teacher.get_weights(), student.get_weights()
    once(student, teacher, x)
    assert kept == [student.optimizer, student.loss, teacher.optimizer, teacher.loss]
    assert int(student.optimizer.iterations) == 1
    for before, after in zip(weights, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    changed = zip(ours, student.get_weights(), strict=True)
    assert all(not np.array_equal(before, after) for before, after in changed)
    student.train_on_batch(x, np.zeros((8, 2)))
    assert int(student.optimizer.iterations) == 2


def test_a_student_that_was_not_compiled_stays_so():
    student = small()
    once(student, recurrent(), series())
    assert not student.compiled


def test_frozen_layers_of_the_student_stay():
    student = sequential(
        layers.Dense(4, name="front", trainable=False),
        layers.Flatten(),
        layers.Dense(2),
    )
    before = student.get_layer("front").get_weights()
    once(student, recurrent(), series())
    for old, new in zip(before, student.get_layer("front").get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


# --- Inputs and outputs of many kinds -------------------------------------------------


@pytest.mark.parametrize(
    "convert", [np.asarray, tf.constant, lambda x: np.asarray(x, "float64")]
)
def test_arrays_of_many_kinds(convert):
    assert np.isfinite(once(small(), recurrent(), convert(series())).history["loss"])


def test_a_single_series_and_a_batch_larger_than_all():
    once(small(), recurrent(), series(1), batch_size=64)


def test_unknown_lengths_fit_known_ones():
    open_ended = sequential(
        layers.GlobalAveragePooling1D(), layers.Dense(2), shape=(None, CHANNELS)
    )
    once(open_ended, recurrent(), series())


def test_a_teacher_with_a_call_of_its_own():
    teacher, x = OwnModel(), series()
    teacher(x)
    once(small(), teacher, x)


def heads(structure):
    """Return a teacher and a student with one output a step and one for all."""

    def build(front):
        x = keras.Input((TIME, CHANNELS))
        steps = layers.Dense(3, "softmax", name="each")(front(x))
        return keras.Model(x, structure(steps, layers.Dense(2)(layers.Flatten()(x))))

    student = build(layers.Conv1D(4, 3, padding="causal"))
    return student, build(layers.GRU(4, return_sequences=True))


@pytest.mark.parametrize(
    "structure",
    sampled(
        [
            lambda steps, all_: {"z": steps, "b": all_},
            lambda steps, all_: [steps, all_],
            lambda steps, all_: [steps],
            lambda steps, all_: {"b": steps},
        ],
        2,
    ),
)
def test_outputs_in_lists_and_dictionaries(structure):
    student, teacher = heads(structure)
    x = series()
    ours, theirs = (
        [np.asarray(each, "float64") for each in keras.tree.flatten(model(x))]
        for model in (student, teacher)
    )
    wanted = sum(
        LOSSES["softmax" if mine.ndim == 3 else None](mine, other).mean()
        for mine, other in zip(ours, theirs, strict=True)
    )
    loss = once(student, teacher, x, learning_rate=1e-9).history["loss"][0]
    np.testing.assert_allclose(loss, wanted, rtol=1e-4)


def masked(front, structure=list, outputs=list, both=False, time=TIME):
    """Return a model of series and mask, its inputs in a list or a dictionary."""
    x = keras.Input((time, CHANNELS), name="x")
    mask = keras.Input((time,), dtype="bool", name="mask")
    steps = [layers.Dense(2)(front(x, mask))]
    if both:
        steps.append(layers.Dense(3)(layers.Flatten()(x)))
    given = {"x": x, "mask": mask} if structure is dict else [x, mask]
    given_back = dict(zip("ab", steps, strict=False)) if outputs is dict else steps
    return keras.Model(given, steps[0] if outputs is None else given_back)


def run(x, mask):
    return layers.LSTM(4, return_sequences=True)(x, mask=mask)


def per_step(x, mask):
    return layers.Dense(4)(x)


LENGTHS = np.array([12, 5, 1, 0, 7, 12, 3, 9])
MASK = np.arange(TIME) < LENGTHS[:, None]


@pytest.mark.parametrize("inputs", [list, dict])
@pytest.mark.parametrize("outputs", sampled([dict, None, list], 3))
def test_padded_steps_are_not_taught(inputs, outputs):
    student = masked(per_step, inputs, outputs)
    teacher = masked(run, inputs, outputs)
    losses = []
    start = student.get_weights()
    x = series()
    for garbage in (0.0, 50.0):
        student.set_weights(start)
        x[~MASK] = garbage
        given = {"x": x, "mask": MASK} if inputs is dict else [x, MASK]
        losses += once(student, teacher, given, learning_rate=1e-9).history["loss"]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] > 0


@pytest.mark.parametrize("more", [0, 5])
def test_the_distance_is_the_mean_over_real_steps(more):
    # However much padding there is, since it is the same job.
    x, mask = np.pad(series(), [(0, 0), (0, more), (0, 0)]), MASK
    mask = np.pad(mask, [(0, 0), (0, more)])
    student, teacher = (masked(kind, time=None) for kind in (per_step, run))
    ours, theirs = (
        np.asarray(keras.tree.flatten(model([x, mask]))[0], "float64")
        for model in (student, teacher)
    )
    wanted = ((ours - theirs) ** 2).mean(axis=-1)[mask].mean()
    loss = once(student, teacher, [x, mask], learning_rate=1e-9).history["loss"]
    np.testing.assert_allclose(loss, [wanted], rtol=1e-4)


def test_the_mask_leaves_outputs_of_whole_sequences_alone():
    student, teacher = masked(per_step, both=True), masked(run, both=True)
    given = [series(), MASK]
    ours, theirs = (
        [np.asarray(each, "float64") for each in model(given)]
        for model in (student, teacher)
    )
    wanted = ((ours[1] - theirs[1]) ** 2).mean()
    history = once(student, teacher, given, learning_rate=1e-9).history
    assert any(np.isclose(loss, wanted, rtol=1e-4) for (loss,) in history.values())


# --- What is refused ------------------------------------------------------------------


@pytest.mark.parametrize(
    "student", [keras.Sequential([layers.Dense(2)]), OwnModel(), layers.Dense(2), None]
)
def test_students_without_a_graph_are_refused(student):
    with pytest.raises(
        ShapeError, match="^distill expected a student that is .*keras.Input"
    ):
        distill(student, recurrent(), series())


@pytest.mark.parametrize("teacher", [None, "model.keras"])
def test_teachers_that_can_not_be_asked_are_refused(teacher):
    with pytest.raises(
        TypeError, match="^distill expected a Keras model or a function"
    ):
        distill(small(), teacher, series())


def means(x):
    """Judge series by what is no network."""
    return x.mean(axis=1)[:, :2]


def test_any_function_teaches():
    keras.utils.set_random_seed(0)
    x, student = series(32), small()
    history = distill(student, means, x, epochs=80, learning_rate=1e-2, verbose=0)
    distance = np.mean((np.asarray(student(x)) - means(x)) ** 2)
    assert distance < np.mean((means(x) - means(x).mean(axis=0)) ** 2) / 4
    assert history.history["loss"][-1] < history.history["loss"][0] / 4


WRONG_FUNCTIONS = {
    "one row of outputs": lambda x: means(x)[:-1],
    "output_shape of the teacher": lambda x: x.mean(axis=1),
    "finite outputs from the teacher 'function'": lambda x: np.log(means(x) * 0 - 1),
    "asked the teacher 'function'.*KeyError": lambda x: {}[0],
}


@pytest.mark.filterwarnings("ignore:invalid value encountered in log")
@pytest.mark.parametrize("message", WRONG_FUNCTIONS)
def test_what_a_function_returns_is_checked(message):
    with pytest.raises(ValueError, match=f"^distill .*{message}"):
        once(small(), WRONG_FUNCTIONS[message], series())


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_scores_do_not_teach_probabilities(activation):
    with pytest.raises(ValueError, match="^distill expected probabilities.*logits"):
        once(small(activation), lambda x: means(x) * 9, series())


# --- Mixed series ---------------------------------------------------------------------


def test_mixed_series_are_sums_of_their_two():
    keras.utils.set_random_seed(0)
    x = series(5)
    mixed, pairs, shares = mix_series(x, None, 400)
    assert mixed.dtype == x.dtype
    assert mixed.shape == (400, *x.shape[1:])
    for row, (first, second), share in zip(mixed, pairs, shares, strict=True):
        wanted = share * x[first] + (1 - share) * x[second]
        np.testing.assert_allclose(row, wanted, atol=1e-6)
    assert len({*pairs.ravel().tolist()}) == 5
    assert shares.min() < 0.01 < 0.99 < shares.max()
    assert shares.mean() == pytest.approx(0.5, abs=0.05)


def test_padding_of_mixtures_is_that_of_the_first_and_never_read():
    keras.utils.set_random_seed(2)
    x, lengths = series(6, 30), np.array([30, 20, 10, 5, 2, 1])
    mask = np.arange(30) < lengths[:, None]
    broken = np.where(mask[..., None], x, np.nan)
    # With the padding in front as with that behind.
    for turn in (1, -1):
        mixed, pairs, _ = mix_series(broken[:, ::turn], mask[:, ::turn], 300)
        real = mask[:, ::turn][pairs[:, 0]]
        assert np.isfinite(mixed[real]).all()
        assert np.isnan(mixed[~real]).all()
        # Behind the end of the second a mixture is its first, as it is.
        alone = real & ~mask[:, ::turn][pairs[:, 1]]
        np.testing.assert_array_equal(
            mixed[alone], broken[:, ::turn][pairs[:, 0]][alone]
        )


def test_a_teacher_judges_mixed_series_as_well():
    seen = []

    def teacher(x):
        seen.append(x)
        return means(x)

    for _ in range(2):
        keras.utils.set_random_seed(3)
        history = once(small(), teacher, x := series(5), mixed=11, batch_size=4)
    assert history.params["steps"] == 4
    assert seen[0].shape == (16, TIME, CHANNELS)
    np.testing.assert_array_equal(seen[1][:5], x)
    assert not np.array_equal(seen[1][5:10], x)


def test_mixed_series_bring_their_mask():
    seen = []

    def teacher(both):
        seen.extend(both)
        return means(both[0])

    inputs = keras.Input((TIME, CHANNELS)), keras.Input((TIME,), dtype="bool")
    student = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(inputs[0])))
    mask = np.arange(TIME) < np.array([3, 12, 6])[:, None]
    once(student, teacher, [series(3), mask], mixed=9)
    assert seen[0].shape == (12, TIME, CHANNELS)
    assert {row.sum() for row in seen[1]} <= {3, 6, 12}


@pytest.mark.parametrize(
    "x", [np.zeros((4, TIME, CHANNELS), int), np.zeros((4, 6, 5, 5, 1), "float32")]
)
def test_what_is_no_series_is_not_mixed(x):
    student = sequential(layers.Flatten(), layers.Dense(2), shape=x.shape[1:])
    with pytest.raises(ShapeError, match="^distill mixes series, .*leave out mixed"):
        once(student, lambda x: np.zeros((len(x), 2)), x, mixed=3)


@pytest.mark.parametrize(
    "number", [{"epochs": 0}, {"epochs": 1.5}, {"batch_size": 0}, {"mixed": -1}]
)
def test_numbers_that_make_no_sense_are_refused(number):
    (name,) = number
    with pytest.raises(ShapeError, match=f"^distill expected {name} to be a whole"):
        distill(small(), recurrent(), series(), **number)


def test_a_student_that_shares_weights_is_refused():
    teacher = recurrent()
    x = keras.Input((TIME, CHANNELS))
    part_of_it = keras.Model(x, layers.Dense(2)(teacher(x)))
    for student in (teacher, part_of_it):
        with pytest.raises(ValueError, match="shares '.*lstm.*Training would change"):
            distill(student, teacher, series())


SHAPES = {
    "input_shape": sequential(
        layers.Flatten(), layers.Dense(2), shape=(TIME, CHANNELS + 1)
    ),
    "output_shape": small(units=3),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_that_differ_are_refused(name):
    with pytest.raises(
        ShapeError, match=f"^distill expected a student with the {name} of the teacher"
    ):
        distill(SHAPES[name], recurrent(), series())


def test_inputs_in_another_order_or_of_other_names_are_refused():
    def build(*names, structure=list):
        sizes = {"a": TIME, "b": 5, "c": 5}
        inputs = {name: keras.Input((sizes[name], 1), name=name) for name in names}
        flat = [layers.Flatten()(each) for each in inputs.values()]
        outputs = layers.Dense(2)(layers.Concatenate()(flat))
        return keras.Model(structure(inputs.values()), outputs)

    def by_name(inputs):
        return {each.name: each for each in inputs}

    for student, teacher in (
        (build("b", "a"), build("a", "b")),
        (build("a", "c", structure=by_name), build("a", "b", structure=by_name)),
        (build("a", "b", structure=by_name), build("a", "b")),
    ):
        with pytest.raises(ShapeError, match="input_shape of the teacher"):
            distill(student, teacher, [])


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_other_last_activations_are_refused(activation):
    with pytest.raises(
        ShapeError, match=f"last activations .*'linear'.*'{activation}'.*end in logits"
    ):
        distill(small(), recurrent(activation), series())


WRONG = {
    "channels": lambda: series(channels=CHANNELS + 1),
    "axes": lambda: series()[0],
    "nothing": lambda: series(0),
    "a list of numbers": lambda: series(2).tolist(),
}


@pytest.mark.parametrize("kind", WRONG)
def test_data_that_does_not_fit_is_refused(kind):
    with pytest.raises(
        ShapeError, match="(?s)^distill .*(without labels|labels:|Of a data set)"
    ):
        once(small(), recurrent(), WRONG[kind]())


def test_another_length_is_refused():
    open_ended = sequential(layers.LSTM(4), layers.Dense(2), shape=(None, CHANNELS))
    with pytest.raises(ShapeError, match="^distill"):
        once(small(), open_ended, series(steps=TIME - 1))


@pytest.mark.filterwarnings("ignore:The structure of `inputs`")
@pytest.mark.parametrize("labels", [np.zeros(3), np.zeros((3, 2))])
@pytest.mark.parametrize("pair", [tuple, list])
def test_labels_are_refused(pair, labels):
    with pytest.raises(ShapeError, match="(?s)^distill .*Leave out labels"):
        once(small(), recurrent(), pair((series(3), labels)))


def test_datasets_are_refused():
    data = tf.data.Dataset.from_tensor_slices(series()).batch(4)
    with pytest.raises((ShapeError, TypeError), match="^distill"):
        once(small(), recurrent(), data)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_not_finite_are_refused(value):
    x = series()
    x[3, 5, 1] = value
    teacher = sequential(layers.Flatten(), layers.Dense(2))
    with pytest.raises(ValueError, match="finite outputs from the teacher .*NaN"):
        distill(small(), teacher, x, verbose=0)


# --- What was found by trying to break it ---------------------------------------------


@pytest.mark.parametrize(
    "recurrent_layer",
    [
        layers.LSTM(4),
        layers.GRU(4, return_sequences=True),
        layers.Bidirectional(layers.LSTM(4)),
    ],
)
def test_what_to_cnn1d_makes_can_be_taught(recurrent_layer):
    teacher = sequential(recurrent_layer)
    once(to_cnn1d(teacher), teacher, series())


def test_a_teacher_that_was_never_called_is_refused_or_called():
    try:
        once(small(), OwnModel(), series())
    except ShapeError as error:
        assert str(error).startswith("distill")  # noqa: PT017


def test_other_outputs_of_a_model_with_its_own_call_are_refused():
    teacher, x = OwnModel(units=5), series()
    teacher(x)
    with pytest.raises(ShapeError, match="^distill .*output"):
        once(small(), teacher, x)


def test_steps_that_broadcast_are_refused():
    teacher = sequential(
        layers.LSTM(2, return_sequences=True), layers.Dense(2), shape=(None, CHANNELS)
    )
    student = sequential(layers.Conv1D(2, TIME), shape=(None, CHANNELS))
    with pytest.raises(ShapeError, match="^distill .*output"):
        once(student, teacher, series())


def test_statistics_that_are_shared_are_refused_or_stay():
    shared = layers.BatchNormalization(center=False, scale=False, momentum=0.1)

    def build():
        x = keras.Input((TIME, CHANNELS))
        return keras.Model(x, layers.Dense(2)(layers.Flatten()(shared(x))))

    student, teacher, x = build(), build(), series() + 5
    before = ops.convert_to_numpy(teacher(x))
    try:
        once(student, teacher, x)
    except ValueError as error:
        assert "shares" in str(error)  # noqa: PT017
    np.testing.assert_array_equal(teacher(x), before)
