"""step_model, held against the model on the whole sequence, also without Keras."""

import keras
import numpy as np
import pytest
from keras import layers

from cnnseq_helpers import export_model, step_model

from ..conftest import sampled

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


def test_the_names_of_the_states_and_the_model_as_it_was():
    model, step = made("last_state")
    names = [x.name for x in step.inputs[1:]]
    assert [name.split("_")[0] for name in names] == [
        "separable",
        "sequential",
        "sequential",
    ]
    assert step.name == f"{model.name}_step"
    assert len(model.layers[1]._inbound_nodes) == 1
    before = np.asarray(step([SERIES[:, :1], *zeros(step, 2)])[0])
    model.set_weights([w + 1 for w in model.get_weights()])
    np.testing.assert_array_equal(step([SERIES[:, :1], *zeros(step, 2)])[0], before)


@pytest.mark.exhaustive
def test_a_step_model_is_saved_and_loaded(tmp_path):
    _, step = made("stacked")
    step.save(tmp_path / "step.keras")
    loaded = keras.models.load_model(tmp_path / "step.keras")
    np.testing.assert_allclose(
        np.concatenate(answers(loaded, SERIES), axis=1),
        np.concatenate(answers(step, SERIES), axis=1),
        atol=1e-6,
    )


def of(*made):
    return keras.Sequential([keras.Input((12, 3)), *made])


def masked():
    series, mask = keras.Input((12, 3)), keras.Input((12,), dtype="bool")
    return keras.Model([series, mask], layers.LSTM(3, name="it")(series, mask=mask))


def started():
    convolution = layers.Conv1D(2, 3, bias_initializer="ones")
    pad = layers.ZeroPadding1D((4, 0))
    return of(pad, convolution, layers.Conv1D(2, 3, name="it"))


REFUSED = {
    "same": (
        lambda: of(layers.Conv1D(2, 3, padding="same", name="it")),
        "'it' .Conv1D. needs steps that come later. Use padding='causal'",
    ),
    "valid": (
        lambda: of(layers.Conv1D(2, 3, name="it")),
        "needs steps that come later",
    ),
    "strides": (
        lambda: of(layers.Conv1D(2, 3, strides=2, padding="causal", name="it")),
        "'it' .Conv1D. gives fewer steps than it reads.*strides of 1",
    ),
    "pooling": (lambda: of(layers.MaxPooling1D(2, name="it")), "gives fewer steps"),
    "mean": (
        lambda: of(layers.GlobalAveragePooling1D(name="it")),
        "'it' .GlobalAveragePooling1D. summarises all steps.*x.:, -1.",
    ),
    "mask": (masked, "'it' .LSTM. takes a mask"),
    "backwards": (
        lambda: of(layers.LSTM(2, go_backwards=True, name="it")),
        "'it' .LSTM. reads from the last step",
    ),
    "start": (started, "'it' .Conv1D. starts from something else than zeros"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refuses_what_is_not_one_step_of_each(kind):
    make, message = REFUSED[kind]
    start = "step_model expected layers that make one step of each"
    with pytest.raises(ValueError, match=f"{start}.*{message}"):
        step_model(make())


def twins():
    """Two layers of one name, and two recurrent ones, whose cells have one name."""
    conv = {"filters": 3, "kernel_size": 3, "padding": "causal", "name": "conv"}
    series = keras.Input((None, 3), name="inner_conv_steps")
    inner = keras.Sequential([keras.Input((None, 3)), layers.Conv1D(**conv)])
    inner.name = "inner"
    x = inner(layers.Conv1D(**conv)(series))
    for _ in range(2):
        x = layers.LSTM(3, return_sequences=True)(x)
    return keras.Model(series, x)


def spaced():
    conv = layers.Conv1D(3, 3, padding="causal", name="my conv")
    return keras.Sequential([keras.Input((None, 3), name="my series"), conv])


@pytest.mark.tensorflow_only("export")
@pytest.mark.parametrize("make", [twins, spaced])
def test_names_that_meet_and_names_with_spaces(make, tmp_path):
    model = make()
    names = [layer.name for layer in model.layers]
    step, whole = step_model(model), np.asarray(model(SERIES))
    found = np.concatenate(answers(step, SERIES), axis=1)
    np.testing.assert_allclose(found, whole, atol=1e-5)
    assert [layer.name for layer in model.layers] == names
    given = [SERIES[:, :1], *zeros(step, 2)]
    exported = export_model(step, tmp_path / "step.onnx", given)
    np.testing.assert_allclose(exported(given)[0], whole[:, :1], atol=1e-5)


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


CASES = [
    (kind, runtime)
    for kind in ("stacked", "dilated", "last_state")
    for runtime in (by_onnx, by_litert)
]


@pytest.mark.tensorflow_only("export")
@pytest.mark.parametrize(("kind", "runtime"), sampled(CASES[::-1], 3))
@pytest.mark.filterwarnings("ignore")  # of the converters
def test_the_same_in_another_runtime_without_a_loop(kind, runtime, tmp_path):
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
