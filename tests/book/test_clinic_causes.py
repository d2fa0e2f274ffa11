"""Each cause that the clinic lists for a message raises that message, run here.

The first row of a table is the case that the page runs itself; the others are below, in
the same order. What only another program or another machine can show is ``None``.
"""

import re
import subprocess
import sys

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
from keras import Input, Sequential, layers, losses

from cnnseq_helpers import export_model

from .test_error_clinic import RAISING, table_below, text

HEAD = "| sign | cause and cure |"
x = np.random.default_rng(0).random((8, 20, 3), dtype="float32")
y = np.array([0, 1] * 4, "float32")
clips = np.zeros((2, 10, 8, 8, 3), "float32")
labels = np.arange(8) % 4
one_hot = np.eye(4)[labels]
step_labels = np.tile(labels[:, None], (1, 20))
real = np.arange(20) < np.full((8, 1), 15)
boxes = np.empty(2, object)
boxes[:] = [x[0], x[1, :10]]
sparse = losses.SparseCategoricalCrossentropy(from_logits=True)
categorical = losses.CategoricalCrossentropy(from_logits=True)
binary = losses.BinaryCrossentropy(from_logits=True)


def functional():
    recording = Input((20, 3))
    return keras.Model(recording, layers.LSTM(4)(recording))


def for_sequence(units):
    return Sequential([Input((20, 3)), layers.Flatten(), layers.Dense(units)])


def for_steps(units):
    return Sequential([Input((20, 3)), layers.Dense(units)])


def fit(model, loss, targets, inputs=x, **settings):
    model.compile("sgd", loss)
    return model.fit(inputs, targets, verbose=0, **settings)


def batch(*recordings):
    data = tf.data.Dataset.from_generator(
        lambda: iter(recordings), output_signature=tf.TensorSpec((None, None))
    )
    return next(iter(data.batch(len(recordings))))


def built_then(layer, first, second):
    layer(first)
    return layer(second)


def concatenate(*inputs, axis=-1):
    return layers.Concatenate(axis=axis)(inputs)


def two_inputs_one_listed():
    first, second = Input((20, 3)), Input((20, 3))
    return keras.Model(first, layers.Add()([first, second]))


def import_from_a_file_called_keras(tmp_path):
    (tmp_path / "keras.py").write_text("")
    command = [sys.executable, "-c", "import keras.layers.recurrent"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    raise RuntimeError(ran.stderr)


def load_registered_elsewhere(tmp_path):
    @keras.saving.register_keras_serializable("elsewhere")
    class Registered(layers.Layer):
        pass

    Sequential([Input((3,)), Registered()]).save(tmp_path / "own.keras")
    keras.saving.get_custom_objects().pop("elsewhere>Registered")
    return keras.models.load_model(tmp_path / "own.keras")


def load_broken(tmp_path):
    (tmp_path / "broken.keras").write_text("no archive")
    return keras.models.load_model(tmp_path / "broken.keras")


def load_into_more_layers(tmp_path):
    Sequential([Input((3,)), layers.Dense(2)]).save_weights(tmp_path / "a.weights.h5")
    deeper = Sequential([Input((3,)), layers.Dense(2), layers.Dense(2)])
    deeper.load_weights(tmp_path / "a.weights.h5")


def run_with_another_name(tmp_path):
    export_model(for_sequence(4), tmp_path / "model.onnx", x)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    return session.run(None, {"recording": x})


def forget_to_return(values):
    np.asarray(values)


def swapped(values):
    return np.moveaxis(values, 1, -1)


CASES = {
    "`No module named 'keras.layers.recurrent'`": [import_from_a_file_called_keras],
    "`expected min_ndim=3, found ndim=2`": [
        lambda: layers.Conv1D(4, 3)(x[:, :, 0]),
        lambda: layers.Conv1D(4, 3)(layers.LSTM(4)(x)),
    ],
    "`expected ndim=3, found ndim=2`": [
        lambda: layers.LSTM(4)(layers.Flatten()(x)),
        lambda: layers.LSTM(4)(x[:, 0]),
    ],
    "`expected ndim=3, found ndim=4`": [
        lambda: layers.LSTM(4)(layers.Conv2D(2, 3)(clips[:, 0])),
        lambda: layers.LSTM(4)(x[..., None]),
    ],
    "`expected ndim=5, found ndim=4`": [lambda: layers.ConvLSTM2D(2, 3)(clips[0])],
    "`Computed output size would be zero or negative`": [
        lambda: layers.Conv1D(4, 5)(swapped(x))
    ],
    "`requires inputs with matching shapes except for the concatenation axis`": [
        lambda: concatenate(x, layers.MaxPooling1D(2)(x)),
        lambda: concatenate(x, x[:, :, :2], axis=1),
    ],
    "`Inputs have incompatible shapes`": [
        lambda: layers.Add()([x, layers.Conv1D(4, 3, padding="same")(x)])
    ],
    "`Shapes used to initialize variables must be fully-defined`": [
        lambda: Sequential([Input((20, None)), layers.LSTM(4)])
    ],
    "`Unrecognized keyword arguments passed to LSTM`": [
        lambda: layers.LSTM(4, batch_input_shape=(8, 20, 3))
    ],
    "`is not connected to`: an output of another input": [two_inputs_one_listed],
    "`expected shape=(None, 20, 3), found shape=(8, 10, 3)`": [
        lambda: functional()(x[:, :, :2]),
        lambda: functional()(swapped(x)),
        lambda: functional()(x[0]),
    ],
    "`expected axis -1 of input shape to have value 3`": [
        lambda: built_then(layers.Conv1D(4, 3), x, x[:, :, :2])
    ],
    "`Dimensions must be equal, but are 2 and 3`": [
        lambda: Sequential([Input((20, 3)), layers.LSTM(4)]).predict(swapped(x))
    ],
    "`inhomogeneous shape after 1 dimensions`": [lambda: np.array([x[0], x[1, :, :2]])],
    "`Failed to convert a NumPy array to a Tensor`": [
        lambda: layers.LSTM(4)(np.array([[[1.0, None]]], dtype=object))
    ],
    "`Invalid dtype: object`": [
        lambda: Sequential([Input((None, 3)), layers.LSTM(4)]).predict(boxes)
    ],
    "`Cannot unstack 20 tensors into a TensorArray of static size 18`": [
        lambda: layers.LSTM(4)(layers.MaxPooling1D(2)(x), mask=real)
    ],
    "`must be broadcastable`: a mask with too many axes": [
        lambda: layers.LSTM(4)(x, mask=x != 0)
    ],
    "`got an unexpected keyword argument 'mask'`": [
        lambda: type("Own", (layers.Layer,), {"call": lambda self, inputs: inputs})()(
            x, mask=real
        ),
        lambda: layers.MaxPooling1D(2)(x, mask=real),
        lambda: layers.Dense(4)(x, mask=real),
    ],
    "`Cannot batch tensors with different shapes in component 0`": [
        lambda: batch(x[0], x[1, :, :2])
    ],
    "`Could not locate class`": [load_registered_elsewhere],
    "`File not found: filepath=`": [load_broken],
    "`objects could not be loaded`: weights of another model": [load_into_more_layers],
    "`are missing from input feed`": [run_with_another_name],
    "`must have the same rank (ndim)`": [
        lambda: fit(for_steps(4), categorical, one_hot),
        lambda: fit(for_sequence(4), categorical, np.eye(4)[step_labels]),
    ],
    "``Arguments `target` and `output` must have the same shape``: as many units as "
    "classes": [
        lambda: fit(
            for_sequence(4), categorical, keras.utils.to_categorical(labels + 1)
        ),
        lambda: fit(
            for_sequence(4), categorical, keras.utils.to_categorical(labels % 3)
        ),
        lambda: fit(for_sequence(4), categorical, labels[:, None]),
    ],
    "``Arguments `target` and `output` must have the same shape``: one unit, two "
    "columns": [lambda: fit(for_sequence(1), binary, step_labels % 2)],
    "`Received a label value of 4 which is outside the valid range of [0, 4)`": [
        lambda: sparse(np.array([0, 4]), np.zeros((2, 4))),
        lambda: sparse(np.array([[1, 4, 5, 2]]), layers.Dense(5)(x[:1, :4])),
        lambda: sparse(np.array([0, 255]), np.zeros((2, 4))),
    ],
    "`None values not supported`: no labels": [
        lambda: fit(
            for_sequence(1), "mse", None, tf.data.Dataset.from_tensors(x), shuffle=False
        ),
        lambda: fit(for_sequence(1), "mse", forget_to_return(y)),
    ],
    "`Incompatible shapes: [24,20] vs. [24]`": [
        lambda: fit(for_steps(4), sparse, step_labels, class_weight={0: 1, 1: 2})
    ],
    "`Data cardinality is ambiguous`": [
        lambda: fit(for_sequence(1), "mse", y[:7]),
        lambda: fit(for_sequence(1), "mse", y, x.swapaxes(0, 1)),
        lambda: Sequential([Input((None, 3)), layers.LSTM(1)]).predict(list(boxes)),
    ],
    "`Dimensions must be equal, but are 20 and 18`": [
        lambda: fit(for_steps(3), "mse", x[:, 2:])
    ],
    "`KeyError: 'acc'`": [
        lambda: fit(for_sequence(1), "mse", y).history["val_loss"],
        lambda: {"three": 3}["jumps"],
    ],
}
SEVERAL = {
    heading: table_below(HEAD, text(entry))
    for heading, entry in RAISING.items()
    if HEAD in text(entry)
}


def test_many_messages_list_several_causes():
    assert len(SEVERAL) >= 30
    assert set(SEVERAL) == set(CASES)


@pytest.mark.parametrize("heading", CASES)
def test_every_cause_raises_the_message(heading, tmp_path):
    rows, causes = SEVERAL[heading], CASES[heading]
    assert len(rows) == len(causes) + 1
    assert len({sign for sign, _ in rows}) == len(rows)
    for cause in causes:
        with pytest.raises(Exception) as raised:  # noqa: PT011
            cause(*[tmp_path][: cause.__code__.co_argcount])
        found = without_numbers(f"{raised.type.__name__}: {raised.value}")
        assert words_of(heading) in found, found


def words_of(heading):
    (literal,) = re.findall(r"^(`+) ?(.*?) ?\1(?!`)", heading)
    # Which module, class and key it is belongs to the case.
    words = without_numbers(literal[1])
    return re.sub(r"'keras.layers.recurrent'|LSTM$|'acc'|\[N,N\] vs.*", "", words)


def without_numbers(message):
    return re.sub(r"shape=\([^)]*\)|-?\d+", "N", message)
