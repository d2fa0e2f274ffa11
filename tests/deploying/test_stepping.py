"""step_model, held against the model on the whole sequence, also without Keras."""

import keras
import numpy as np
import pytest
from keras import layers

from cnnseq_helpers import step_model

SERIES = np.random.default_rng(0).normal(size=(2, 20, 3)).astype("float32")


def stacked():
    return keras.Sequential(
        [
            keras.Input((None, 3)),
            layers.Conv1D(4, 5, padding="causal", activation="relu"),
            layers.BatchNormalization(),
            layers.Conv1D(4, 3, dilation_rate=2, padding="causal"),
            layers.LSTM(4, return_sequences=True),
            layers.GRU(3, return_sequences=True),
            layers.SimpleRNN(3, return_sequences=True),
            layers.Dense(2),
        ]
    )


def dilated():
    x = series = keras.Input((20, 3))
    for rate in (1, 2, 4):
        y = layers.Conv1D(4, 3, dilation_rate=rate, padding="causal")(x)
        y = layers.ReLU()(layers.LayerNormalization()(y))
        x = layers.Add()([y, layers.Conv1D(4, 1)(x)])
    return keras.Model(series, layers.Dense(2)(x[:, -1]))


def last_state():
    series = keras.Input((None, 3))
    x = layers.ZeroPadding1D((2, 0))(series)
    x = layers.SeparableConv1D(4, 3)(x)
    inner = keras.Sequential([keras.Input((None, 4)), layers.LSTM(4), layers.Dense(3)])
    return keras.Model(series, layers.Dense(2)(inner(x)))


MODELS = {each.__name__: each for each in (stacked, dilated, last_state)}


def made(kind):
    """Return a model of which no weight is at its start, and its steps."""
    keras.utils.set_random_seed(0)
    model = MODELS[kind]()
    draw = np.random.default_rng(1)
    model.set_weights([draw.uniform(0.1, 0.6, w.shape) for w in model.get_weights()])
    return model, step_model(model)


def zeros(step, batch):
    return [np.zeros((batch, *x.shape[1:]), "float32") for x in step.inputs[1:]]


def answers(step, x):
    states, found = zeros(step, len(x)), []
    for t in range(x.shape[1]):
        answer, *states = map(np.asarray, step([x[:, t : t + 1], *states]))
        found.append(answer)
    return found


@pytest.mark.parametrize("kind", MODELS)
def test_step_by_step_is_the_whole(kind):
    model, step = made(kind)
    found, whole = answers(step, SERIES), np.asarray(model(SERIES))
    if whole.ndim == 3:
        np.testing.assert_allclose(np.concatenate(found, axis=1), whole, atol=1e-5)
        return
    for t in (5, 20) if model.input_shape[1] is None else (20,):
        np.testing.assert_allclose(found[t - 1], model(SERIES[:, :t]), atol=1e-5)


# --- Elsewhere ------------------------------------------------------------------------


def by_onnx(step, path):
    """Return a function of the step model's inputs that runs it in onnxruntime."""
    import onnx
    import onnxruntime

    path += ".onnx"
    step.export(path, format="onnx", verbose=False)
    kinds = {node.op_type for node in onnx.load(path).graph.node}
    assert not kinds & {"Loop", "Scan", "If"}
    session = onnxruntime.InferenceSession(path)
    names = [each.name for each in session.get_inputs()]
    return lambda given: session.run(None, dict(zip(names, given, strict=True)))


def by_litert(step, path):
    """Return a function of the step model's inputs that runs it in LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    path += ".tflite"
    step.export(path, format="litert", verbose=False)
    interpreter = Interpreter(path)
    kinds = {each["op_name"] for each in interpreter._get_ops_details()}
    assert not [kind for kind in kinds if "Flex" in kind or kind in ("WHILE", "IF")]
    run = interpreter.get_signature_runner()
    names = [x.name for x in step.inputs]

    def call(given):
        outputs = run(**dict(zip(names, given, strict=True)))
        return [outputs[f"output_{number}"] for number in range(len(outputs))]

    return call


@pytest.mark.parametrize("runtime", [by_onnx, by_litert])
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.filterwarnings("ignore")  # of the converters
def test_the_same_in_another_runtime_without_a_loop(runtime, kind, tmp_path):
    model, step = made(kind)
    run = runtime(step, str(tmp_path / "step"))
    series = SERIES[:1]
    states, whole = zeros(step, 1), np.asarray(model(series))
    for t in range(20):
        answer, *states = run([series[:, t : t + 1], *states])
        if whole.ndim == 3:
            size = np.abs(whole).max()
            np.testing.assert_allclose(answer[:, 0], whole[:, t], atol=1e-4 * size)
    if whole.ndim == 2:
        np.testing.assert_allclose(answer, whole, atol=1e-4 * np.abs(whole).max())
