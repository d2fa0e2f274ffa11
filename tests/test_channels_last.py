"""Models and layers are the same whatever the session's image_data_format is."""

import keras
import numpy as np
import pytest
from keras import layers

from cnnseq_helpers import (
    MaskedAveragePooling1D,
    MaskedConv1D,
    MaskedGlobalAveragePooling1D,
    MaskedGlobalMaxPooling1D,
    MaskedMaxPooling1D,
    ShapeError,
    cnn1d,
    cnn_lstm,
    conv_lstm_predictor,
    convolutional_predictor,
    recurrent_predictor,
    to_cnn1d,
)


def lstm(*, masked=False, sequences=False):
    x, mask = keras.Input((40, 3)), keras.Input((40,), dtype="bool")
    recurrent = layers.LSTM(4, return_sequences=sequences)
    y = recurrent(x, mask=mask) if masked else recurrent(x)
    return keras.Model([x, mask] if masked else x, y)


BUILDERS = {
    "cnn_lstm": lambda: cnn_lstm((40, 3), 2),
    "cnn_lstm, clips": lambda: cnn_lstm((5, 8, 12, 1), 2),
    "cnn1d": lambda: cnn1d((300, 3), 2),
    "cnn1d, clips": lambda: cnn1d((None, 8, 12, 1), 2),
    "cnn1d, masked": lambda: cnn1d((None, 3), 2, masked=True),
    "cnn_lstm, masked": lambda: cnn_lstm((None, 3), 2, masked=True),
    "to_cnn1d": lambda: to_cnn1d(lstm()),
    "to_cnn1d, masked": lambda: to_cnn1d(lstm(masked=True)),
    "to_cnn1d, every step": lambda: to_cnn1d(lstm(sequences=True)),
    "recurrent_predictor": lambda: recurrent_predictor((4, 16, 24, 1), 2),
    "conv_lstm_predictor": lambda: conv_lstm_predictor((4, 16, 24, 1), 2),
    "convolutional_predictor": lambda: convolutional_predictor((4, 16, 24, 1), 2),
    "convolutional_predictor, one step": lambda: convolutional_predictor(
        (None, 16, 24, 1)
    ),
}
LAYERS = {
    "MaskedConv1D": lambda: MaskedConv1D(4, 3),
    "MaskedMaxPooling1D": lambda: MaskedMaxPooling1D(2),
    "MaskedAveragePooling1D": lambda: MaskedAveragePooling1D(2),
    "MaskedGlobalAveragePooling1D": lambda: MaskedGlobalAveragePooling1D(),
    "MaskedGlobalMaxPooling1D": lambda: MaskedGlobalMaxPooling1D(),
}


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


@pytest.fixture
def both():
    """Build the same model under either setting, with the same weights."""

    def build(builder):
        models = []
        for setting in ("channels_last", "channels_first"):
            keras.config.set_image_data_format(setting)
            keras.utils.set_random_seed(0)
            models.append(builder())
        return models

    yield build
    keras.config.set_image_data_format("channels_last")


def example(model):
    random = np.random.default_rng(0)

    def make(tensor):
        shape = [2, *(size or 7 for size in tensor.shape[1:])]
        if tensor.dtype == "bool":
            return np.arange(shape[1]) < np.array([[shape[1]], [shape[1] // 2]])
        return random.random(shape, "float32")

    return keras.tree.map_structure(make, model.input)


@pytest.mark.parametrize("kind", BUILDERS)
def test_models_are_the_same_under_either_setting(kind, both):
    usual, other = both(BUILDERS[kind])
    assert other.output_shape == usual.output_shape
    x = example(usual)
    np.testing.assert_array_equal(other(x), usual(x))
    formats = {getattr(each, "data_format", None) for each in other._flatten_layers()}
    assert "channels_first" not in formats


@pytest.mark.parametrize("kind", LAYERS)
def test_masked_layers_are_the_same_under_either_setting(kind, both):
    usual, other = both(LAYERS[kind])
    x = np.random.default_rng(0).random((2, 7, 3), "float32")
    mask = np.arange(7) < np.array([[7], [4]])
    np.testing.assert_array_equal(other(x, mask=mask), usual(x, mask=mask))
    assert type(other).from_config(other.get_config()).data_format == "channels_last"


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv1D(4, 3, data_format="channels_first", name="turned"),
        layers.MaxPooling1D(2, data_format="channels_first", name="turned"),
    ],
)
def test_a_layer_with_channels_first_is_not_converted(layer):
    model = keras.Sequential([keras.Input((8, 8)), layer, layers.LSTM(4)])
    with pytest.raises(ShapeError, match="'turned' .*channels_last"):
        to_cnn1d(model)


def test_a_layer_with_channels_first_inside_another_is_not_converted(channels_first):
    frames = keras.Sequential([keras.Input((1, 8, 8)), layers.Flatten(name="flat")])
    model = keras.Sequential([keras.Input((5, 1, 8, 8))])
    model.add(layers.TimeDistributed(frames))
    model.add(layers.LSTM(4))
    with pytest.raises(ShapeError, match="'flat'"):
        to_cnn1d(model)
