"""compare_models: multiply-adds by experiment and by hand, totals, text and HTML."""

import math

import keras
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from keras import layers, ops

from cnnseq_helpers import (
    BatchApply,
    MaskedConv1D,
    ShapeError,
    cnn1d,
    cnn_lstm,
    compare_models,
    to_cnn1d,
    trace_shapes,
)

from ..conftest import examples

TIME, CHANNELS = 12, 3
small = st.integers(1, 4)
FORMS = (str, lambda table: table._repr_html_())


def sequential(*stack, shape=(TIME, CHANNELS)):
    return keras.Sequential([keras.Input(shape, name="series"), *stack])


def totals(model):
    """Return parameters and multiply-adds of a model compared with itself."""
    comparison = compare_models(model, model)
    assert comparison.totals("-") == comparison.totals("+")
    return comparison.totals("-")


def multiply_adds(model):
    return totals(model)[1]


def measured(layer, shape):
    """Return the multiplications of a linear layer, by experiment.

    Where all weights and all inputs are 1, each product adds 1 to the sum of the
    outputs, unless it is one with the zeros of a padding.
    """
    model = sequential(layer, shape=shape)
    model.set_weights([np.ones_like(weight) for weight in model.get_weights()])
    return model, int(np.asarray(model(np.ones((1, *shape), "float32"))).sum())


# --- Multiply-adds, layer by layer ----------------------------------------------------


@examples(20)
@given(
    kernel=small,
    strides=small,
    dilation=small,
    groups=st.sampled_from([1, 2, 4]),
    per_group=small,
)
def test_convolutions_equal_the_experiment(
    kernel, strides, dilation, groups, per_group
):
    assume(strides == 1 or dilation == 1)
    layer = layers.Conv1D(
        groups * per_group,
        kernel,
        strides=strides,
        dilation_rate=dilation,
        groups=groups,
        use_bias=False,
    )
    model, count = measured(layer, (20, 4))
    assert multiply_adds(model) == count


@examples(8)
@given(kernel=small, strides=small, multiplier=small)
def test_depthwise_and_separable_equal_the_experiment(kernel, strides, multiplier):
    options = {"strides": strides, "depth_multiplier": multiplier, "use_bias": False}
    depthwise = layers.DepthwiseConv1D(kernel, **options)
    model, count = measured(depthwise, (20, CHANNELS))
    assert multiply_adds(model) == count
    _, steps, channels = model.output_shape
    _, pointwise = measured(layers.Conv1D(5, 1, use_bias=False), (steps, channels))
    separable = layers.SeparableConv1D(5, kernel, **options)
    together = multiply_adds(sequential(separable, shape=(20, CHANNELS)))
    assert together == count + pointwise


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (layers.Dense(5, use_bias=False), (7,)),
        (layers.Dense(5, use_bias=False), (TIME, 7)),
        (layers.Dense(5, use_bias=False), (2, 3, 4, 7)),
        (layers.Conv2D(3, (2, 3), strides=2, use_bias=False), (8, 9, 2)),
        (layers.Conv3D(2, (3, 1, 2), use_bias=False), (5, 6, 6, 1)),
        (layers.TimeDistributed(layers.Dense(5, use_bias=False)), (TIME, 7)),
        (layers.TimeDistributed(layers.Conv2D(3, 3, use_bias=False)), (4, 6, 6, 2)),
        (BatchApply(layers.Conv2D(3, 3, use_bias=False)), (4, 6, 6, 2)),
        (BatchApply(layers.DepthwiseConv2D(3, use_bias=False)), (4, 6, 6, 2)),
    ],
    ids=lambda value: value.name if isinstance(value, keras.Layer) else str(value),
)
def test_linear_layers_equal_the_experiment(layer, shape):
    model, count = measured(layer, shape)
    assert multiply_adds(model) == count


@pytest.mark.parametrize("padding", ["same", "causal"])
def test_products_with_the_padding_count(padding):
    layer = layers.Conv1D(5, 4, padding=padding, dilation_rate=2)
    assert multiply_adds(sequential(layer)) == TIME * 4 * CHANNELS * 5
    series, mask = keras.Input((TIME, CHANNELS)), keras.Input((TIME,), dtype="bool")
    masked = MaskedConv1D(5, 4, padding=padding)(series, mask=mask)
    model = keras.Model([series, mask], masked)
    assert multiply_adds(model) == TIME * 4 * CHANNELS * 5


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv1D(5, 3, data_format="channels_first"),
        layers.Conv1DTranspose(5, 4, strides=2),
        layers.EinsumDense("abc,cde->abde", output_shape=(TIME, 4, 5)),
    ],
    ids=lambda layer: layer.name,
)
def test_layers_without_a_rule_are_unknown(layer):
    assert multiply_adds(sequential(layer)) is None


def by_hand(gates, units, inputs):
    """Return the products of one step: each gate reads the input and the state."""
    products = 0
    for _ in range(gates):
        for _ in range(units):
            products += inputs + units
    return products


CELLS = (
    (layers.LSTM, layers.LSTMCell, 4),
    (layers.GRU, layers.GRUCell, 3),
    (layers.SimpleRNN, layers.SimpleRNNCell, 1),
)


@pytest.mark.parametrize(("recurrent", "cell", "gates"), CELLS)
@pytest.mark.parametrize("sequences", [True, False])
def test_recurrent_layers_by_hand(recurrent, cell, gates, sequences):
    one_way = TIME * by_hand(gates, 5, CHANNELS)
    options = {"return_sequences": sequences}
    assert multiply_adds(sequential(recurrent(5, **options))) == one_way
    assert multiply_adds(sequential(layers.RNN(cell(5), **options))) == one_way
    for merge_mode in ("concat", "sum"):
        both = layers.Bidirectional(recurrent(5, **options), merge_mode=merge_mode)
        assert multiply_adds(sequential(both)) == 2 * one_way
    each = layers.TimeDistributed(recurrent(5, **options))
    shape = (2, TIME, CHANNELS)
    assert multiply_adds(sequential(each, shape=shape)) == 2 * one_way


def test_cells_and_directions_of_two_kinds_by_hand():
    cells = layers.RNN([layers.LSTMCell(6), layers.GRUCell(4)])
    count = TIME * (by_hand(4, 6, CHANNELS) + by_hand(3, 4, 6))
    assert multiply_adds(sequential(cells)) == count
    back = layers.GRU(2, go_backwards=True)
    both = layers.Bidirectional(layers.LSTM(4), backward_layer=back)
    count = TIME * (by_hand(4, 4, CHANNELS) + by_hand(3, 2, CHANNELS))
    assert multiply_adds(sequential(both)) == count


def test_frames_of_convolutional_lstms_count():
    model = sequential(layers.ConvLSTM2D(2, 3, padding="same"), shape=(5, 8, 8, 1))
    count = 5 * 8 * 8 * by_hand(4, 2, 1) * 3 * 3
    assert multiply_adds(model) in (None, count)


@pytest.mark.parametrize("wrapper", [BatchApply, layers.TimeDistributed])
def test_a_model_for_each_frame_by_hand(wrapper):
    stack = [layers.Conv2D(2, 3), layers.MaxPooling2D(2), layers.Flatten()]
    cnn = keras.Sequential([*stack, layers.Dense(4)])
    model = sequential(wrapper(cnn), layers.LSTM(3), shape=(5, 8, 8, 1))
    assert multiply_adds(model) == 5 * (6 * 6 * 3 * 3 * 2 + 18 * 4 + by_hand(4, 3, 4))


FREE = {
    "norm": layers.BatchNormalization,
    "layer_norm": layers.LayerNormalization,
    "relu": layers.ReLU,
    "dropout": lambda: layers.Dropout(0.5),
    "max": layers.MaxPooling1D,
    "mean": layers.GlobalAveragePooling1D,
    "flatten": layers.Flatten,
    "pad": layers.ZeroPadding1D,
}


@pytest.mark.parametrize("kind", FREE)
def test_what_multiplies_no_weights_is_free(kind):
    assert multiply_adds(sequential(FREE[kind]())) == 0


def test_looking_up_tokens_is_free():
    model = sequential(layers.Embedding(9, 4), layers.LSTM(3), shape=(TIME,))
    assert multiply_adds(model) == TIME * by_hand(4, 3, 4)


class Own(layers.Layer):
    """A layer that no rule knows."""

    def build(self, shape):
        self.scale = self.add_weight(shape=shape[-1:], name="scale")

    def call(self, x):
        return ops.multiply(x, self.scale)


def attend(kind):
    series = keras.Input((TIME, CHANNELS))
    return keras.Model(series, kind(series))


UNKNOWN = {
    "own layer": lambda: sequential(Own()),
    "several heads": lambda: attend(lambda x: layers.MultiHeadAttention(2, 4)(x, x)),
    "attention": lambda: attend(lambda x: layers.Attention()([x, x])),
    "LSTM": lambda: sequential(layers.LSTM(4), shape=(None, CHANNELS)),
    "Conv1D": lambda: sequential(layers.Conv1D(4, 3), shape=(None, CHANNELS)),
    "per frame": lambda: sequential(
        BatchApply(layers.Dense(4)), shape=(None, 5, CHANNELS)
    ),
    "both ways": lambda: sequential(
        layers.Bidirectional(layers.GRU(4)), shape=(None, CHANNELS)
    ),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_what_can_not_be_told_is_unknown(kind):
    model = UNKNOWN[kind]()
    comparison = compare_models(model, model)
    assert totals(model) == (model.count_params(), None)
    for form in FORMS:
        assert form(comparison).count("unknown") >= 3  # a layer and both totals


# --- Graphs ---------------------------------------------------------------------------


def test_nested_models_count_once_and_each_call_works():
    inner = sequential(layers.LSTM(4, return_sequences=True), layers.Dense(CHANNELS))
    once = TIME * (by_hand(4, 4, CHANNELS) + 4 * CHANNELS)
    series = keras.Input((TIME, CHANNELS))
    for calls in (1, 2, 3):
        x = series
        for _ in range(calls):
            x = inner(x)
        model = keras.Model(series, x)
        assert totals(model) == (inner.count_params(), calls * once)


def test_a_shared_layer_counts_once_and_each_call_works():
    shared, series = layers.Dense(3), keras.Input((TIME, CHANNELS))
    model = keras.Model(series, shared(shared(series)))
    assert totals(model) == (12, 2 * TIME * 9)


def test_a_nested_model_of_a_list_in_a_list_counts():
    a, b, c = (keras.Input((TIME, CHANNELS)) for _ in range(3))
    inner = keras.Model([a, [b, c]], layers.Dense(2)(layers.Add()([a, b, c])))
    series = keras.Input((TIME, CHANNELS))
    model = keras.Model(series, inner([series, [series, series]]))
    assert totals(model) in ((8, TIME * 6), (8, None))


def test_arguments_by_name_in_any_order():
    series, mask = keras.Input((TIME, CHANNELS)), keras.Input((TIME,), dtype="bool")
    steps = layers.LSTM(4)(mask=mask, sequences=series)
    model = keras.Model([series, mask], steps)
    assert multiply_adds(model) == TIME * by_hand(4, 4, CHANNELS)


# --- Two models -----------------------------------------------------------------------

PAIRS = {
    "converted": lambda: (
        model := cnn_lstm((100, CHANNELS), 4),
        to_cnn1d(model),
    ),
    "clips": lambda: (
        model := cnn_lstm((6, 8, 8, 1), 4),
        to_cnn1d(model),
    ),
    "nothing in common": lambda: (
        sequential(layers.LSTM(4, name="a")),
        keras.Sequential([keras.Input((5,), name="row"), layers.Dense(2, name="b")]),
    ),
    "the same": lambda: (model := sequential(layers.Dense(2), layers.GRU(3)), model),
    "other kernel of the same name": lambda: tuple(
        sequential(layers.Conv1D(4, size, padding="same", name="conv"))
        for size in (3, 9)
    ),
    "other input of the same head": lambda: (
        sequential(layers.LSTM(8, name="lstm"), layers.Dense(4, name="logits")),
        sequential(layers.LSTM(5, name="lstm"), layers.Dense(4, name="logits")),
    ),
    "cnn_lstm and cnn1d": lambda: (
        cnn_lstm((100, CHANNELS), 4),
        cnn1d((100, CHANNELS), 4),
    ),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_totals_are_those_of_each_model_by_itself(kind):
    before, after = PAIRS[kind]()
    comparison = compare_models(before, after)
    for change, model in (("-", before), ("+", after)):
        assert comparison.totals(change) == totals(model)
        assert comparison.totals(change)[0] == model.count_params()


@pytest.mark.parametrize("kind", PAIRS)
def test_rows_are_those_of_both_models_in_their_order(kind):
    before, after = PAIRS[kind]()
    rows = compare_models(before, after).rows
    for change, model in (("-", before), ("+", after)):
        ours = [row for row in rows if row.change in ("", change)]
        theirs = trace_shapes(model).rows
        pairs = [(row.layer, row.output_shape) for row in ours]
        assert pairs == [(row.layer, row.output_shape) for row in theirs]
        own = [row for row in ours if row.change == change]
        assert all((row.layer, row.output_shape) in pairs for row in own)


def test_what_both_have_stands_once():
    before = cnn_lstm((100, CHANNELS), 4)
    rows = compare_models(before, to_cnn1d(before)).rows
    common = [row.layer.split()[0] for row in rows if not row.change]
    assert common == ["series", "conv_1", "pool", "logits"]
    assert {row.layer for row in rows if row.change == "-"} == {"lstm (LSTM)"}
    assert all(row.layer.startswith("lstm_") for row in rows if row.change == "+")


def test_a_model_and_itself_differ_in_nothing():
    model = cnn_lstm((6, 8, 8, 1), 4)
    rows = compare_models(model, model).rows
    assert {row.change for row in rows} == {""}
    assert len(rows) == len(trace_shapes(model).rows)


def test_branches_in_another_order_are_the_same_work():
    series = keras.Input((TIME, CHANNELS))
    a, b = layers.Dense(2, name="a"), layers.Dense(5, name="b")
    before = keras.Model(series, [a(series), b(series)])
    after = keras.Model(series, [b(series), a(series)])
    comparison = compare_models(before, after)
    assert comparison.totals("-") == comparison.totals("+") == (28, TIME * 21)


@pytest.mark.parametrize(
    "model", [keras.Sequential([layers.Dense(2)]), layers.Dense(2), None]
)
def test_models_without_shapes_are_refused(model):
    known = sequential(layers.Dense(2))
    for pair in ((model, known), (known, model)):
        with pytest.raises(
            ShapeError, match="compare_models expected .*keras.Input.*Functional API"
        ):
            compare_models(*pair)


# --- Text and HTML --------------------------------------------------------------------


def cells_of_html(html):
    head, body = html.split("</thead>")
    return [head.count("<th "), *(row.count("<td>") for row in body.split("<tr>")[1:])]


def test_the_two_forms_hold_the_same_cells():
    before = sequential(layers.LSTM(40, name="<lstm> & more"), layers.Dense(2))
    comparison = compare_models(before, sequential(layers.Flatten(), layers.Dense(2)))
    text, html = str(comparison), comparison._repr_html_()
    lines = text.splitlines()
    assert len(lines) == 1 + len(comparison.rows) + 2
    assert cells_of_html(html) == [6] * len(lines)
    for row in comparison.rows:
        for cell in (row.output_shape, f"{row.parameters:,}", row.receptive_field):
            assert cell in text
            assert cell in html
    assert "<lstm> & more (LSTM)" in text
    assert "&lt;lstm&gt; &amp; more (LSTM)" in html
    assert "<lstm>" not in html
    work = f"{TIME * by_hand(4, 40, CHANNELS):,}"
    assert "," in work
    assert work in text
    assert work in html


def test_the_text_is_aligned_and_marks_what_changed():
    before = cnn_lstm((6, 8, 8, 1), 4)
    comparison = compare_models(before, to_cnn1d(before))
    header, *lines = str(comparison).splitlines()
    changes = [line[0].strip() for line in lines]
    assert changes == [*(row.change for row in comparison.rows), "-", "+"]
    for title, value in (
        ("parameters", "parameters"),
        ("multiply-adds", "multiply_adds"),
    ):
        end = header.index(title) + len(title)
        for line, row in zip(lines, comparison.rows, strict=False):
            assert line[:end].endswith(f" {getattr(row, value):,}")
    assert all(line == line.rstrip() for line in (header, *lines))
    for line, change, name in ((lines[-2], "-", "before"), (lines[-1], "+", "after")):
        parameters, work = comparison.totals(change)
        assert line.split() == [change, "total", name, f"{parameters:,}", f"{work:,}"]


def test_layers_inside_a_model_are_indented():
    inner = keras.Sequential([layers.Dense(2, name="inside")], name="inner")
    comparison = compare_models(sequential(inner), sequential(inner))
    assert "  inside (Dense)" in [row.layer for row in comparison.rows]
    assert "&emsp;inside (Dense)" in comparison._repr_html_()


def test_totals_are_the_sums_of_the_rows():
    before = cnn_lstm((100, CHANNELS), 4)
    comparison = compare_models(before, to_cnn1d(before))
    for change in "-+":
        rows = [row for row in comparison.rows if row.change in ("", change)]
        sums = (
            math.fsum(row.parameters for row in rows),
            math.fsum(row.multiply_adds for row in rows),
        )
        assert comparison.totals(change) == sums
