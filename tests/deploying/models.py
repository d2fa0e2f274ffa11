"""Random models that a stream can run, and random ways to cut a sequence."""

import keras
import numpy as np
from hypothesis import strategies as st
from keras import layers

import cnnseq_helpers as helpers

CHANNELS = 3


class Grower:
    """Draws layers, and keeps the number of steps that they leave at the least."""

    def __init__(self, draw, steps, known):
        self.draw, self.steps, self.known = draw, steps, known

    def pick(self, *cases):
        return self.draw(st.sampled_from(cases))

    def window(self, paddings=("valid", "same", "causal")):
        """Return size, stride, dilation and padding that fit the steps left."""
        size, padding = self.draw(st.integers(1, 4)), self.pick(*paddings)
        stride, rate = self.pick((1, 1), (1, 1), (2, 1), (3, 1), (1, 2), (1, 3))
        if not self.known and padding == "same":
            stride = 1  # else it depends on the length: a test of its own
        reach = (size - 1) * rate + 1
        if padding == "valid" and reach > self.steps:
            padding = "same" if stride == 1 or self.known else "causal"
            padding = padding if padding in paddings else "valid"
        if padding == "valid" and reach > self.steps:
            size = reach = stride = rate = 1
        least = self.steps - (reach - 1 if padding == "valid" else 0)
        return size, stride, rate, padding, -(-least // stride)

    def conv(self, x):
        size, stride, rate, padding, self.steps = self.window()
        options = {"strides": stride, "dilation_rate": rate, "padding": padding}
        groups = self.pick(1, x.shape[-1])
        options |= {"groups": groups, "activation": self.pick("relu", "tanh", None)}
        return layers.Conv1D(2 * groups, size, **options)(x)

    def apart(self, x):
        size, stride, rate, padding, self.steps = self.window(("valid", "same"))
        kind = self.pick(layers.DepthwiseConv1D, layers.SeparableConv1D)
        options = {"strides": stride, "dilation_rate": rate, "padding": padding}
        if kind is layers.SeparableConv1D:
            return kind(4, size, **options)(x)
        return kind(size, **options)(x)

    def pool(self, x):
        size, stride, _, padding, self.steps = self.window(("valid", "same"))
        kind = self.pick(layers.MaxPooling1D, layers.AveragePooling1D)
        size = min(size, self.steps) if padding == "valid" else size
        return kind(size, stride, padding=padding)(x)

    def shift(self, x):
        first, last = self.draw(st.integers(0, 2)), self.draw(st.integers(0, 2))
        if self.pick(True, False) and self.steps > first + last:
            self.steps -= first + last
            return layers.Cropping1D((first, last))(x)
        self.steps += first + last
        return layers.ZeroPadding1D((first, last))(x)

    def recurrent(self, x):
        kind = self.pick(layers.LSTM, layers.GRU, layers.SimpleRNN)
        return kind(3, return_sequences=True)(x)

    def alone(self, x):
        layer = self.pick(
            layers.BatchNormalization(),
            layers.LayerNormalization(),
            layers.Dense(3, activation="softmax"),
            layers.Dropout(0.5),
            layers.SpatialDropout1D(0.5),
            layers.PReLU(shared_axes=[1]),
            helpers.BatchApply(layers.Dense(2)),
            layers.TimeDistributed(layers.Dense(2)),
            layers.Rescaling(0.5),
            layers.Activation("sigmoid"),
        )
        return layer(x)

    def nested(self, x):
        inner = keras.Input((None, x.shape[-1]))
        known, self.known = self.known, False
        outputs = self.grow(inner, self.draw(st.integers(1, 2)))
        self.known = known
        return keras.Model(inner, outputs)(x)

    def branches(self, x):
        """Join branches of one length and different delay."""
        sizes = self.draw(st.lists(st.integers(1, 5), min_size=1, max_size=2))
        found = (
            [x]
            if self.pick(True, False)
            else [layers.LSTM(3, return_sequences=True)(x)]
        )
        for size in sizes:
            padding = self.pick("same", "causal")
            found.append(layers.Conv1D(found[0].shape[-1], size, padding=padding)(x))
        merge = self.pick(layers.Add, layers.Concatenate, layers.Maximum, None)
        if merge is None:
            return found[0] * 0.5 + found[-1]
        return merge()(found)

    def part(self, x):
        """Take steps by hand."""
        first, last = self.draw(st.integers(0, 2)), self.draw(st.integers(0, 2))
        stride = self.pick(1, 2, 3)
        if self.steps <= first + last:
            return x[..., :2]
        self.steps = -(-(self.steps - first - last) // stride)
        return x[:, first : -last or None : stride]

    def up(self, x):
        self.steps *= 2
        return layers.UpSampling1D(2)(x)

    def grow(self, x, number):
        kinds = (
            *(self.conv, self.conv, self.apart, self.pool, self.shift, self.recurrent),
            *(self.alone, self.branches, self.part, self.up, self.nested),
        )
        for _ in range(number):
            x = self.pick(*kinds)(x)
        return x

    def summary(self, x):
        kind = self.pick("mean", "max", "state", "last", "wide")
        if kind == "state":
            return self.pick(layers.LSTM, layers.GRU, layers.SimpleRNN)(3)(x)
        if kind == "last":
            return x[:, -1]
        if kind == "wide":
            x = layers.GlobalAveragePooling1D(keepdims=True)(x)
            return layers.Flatten()(layers.Conv1D(2, 1)(x))
        pooling = {"mean": "Average", "max": "Max"}[kind]
        return getattr(layers, f"Global{pooling}Pooling1D")()(x)


def uneven(model):
    """Give a model weights that are all different; variances stay positive."""
    draw = np.random.default_rng(0)
    model.set_weights(
        [
            draw.uniform(0.1, 0.6, w.shape) * draw.choice([-1, 1], w.shape)
            if "variance" not in variable.path
            else draw.uniform(0.5, 1.5, w.shape)
            for w, variable in zip(model.get_weights(), model.weights, strict=True)
        ]
    )
    return model


def per_step(draw):
    """Return a model with an answer for each step, and how many steps it is given."""
    steps, known = draw(st.integers(1, 20)), draw(st.booleans())
    series = keras.Input((steps if known else None, CHANNELS))
    grower = Grower(draw, steps, known)
    outputs = grower.grow(series, draw(st.integers(1, 5)))
    return uneven(keras.Model(series, outputs)), steps


def per_sequence(draw):
    """Return a model with one answer, and how many steps it needs, and is given."""
    least = draw(st.integers(1, 8))
    series = keras.Input((None, CHANNELS))
    grower = Grower(draw, least, known=False)
    x = grower.summary(grower.grow(series, draw(st.integers(0, 3))))
    if draw(st.booleans()):
        x = layers.Dense(2)(layers.ReLU()(x))
    return uneven(keras.Model(series, x)), least, least + draw(st.integers(0, 12))


def cuts(draw, steps):
    """Return where a sequence is cut; some chunks have no step, many have one."""
    sizes, left = [], steps
    while left:
        size = min(draw(st.sampled_from([0, 1, 1, 2, 3, 5, 9])), left)
        sizes.append(size)
        left -= size
        if len(sizes) > 40:
            sizes.append(left)
            break
    return [*np.cumsum(sizes)[:-1].tolist()]


def series_of(steps, batch=2, seed=0):
    draw = np.random.default_rng(seed)
    return draw.normal(size=(batch, steps, CHANNELS)).astype("float32")


def masked(draw):
    """Return a model with a mask, one answer or several, and the steps it needs."""
    series, mask = keras.Input((None, CHANNELS)), keras.Input((None,), dtype="bool")
    x, real, windows = series, mask, []
    for _ in range(draw(st.integers(1, 3))):
        size, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        kind = draw(st.sampled_from([helpers.MaskedConv1D, *MASKED_POOLINGS]))
        options = {
            "strides": stride,
            "padding": draw(st.sampled_from(["same", "valid"])),
        }
        if kind is helpers.MaskedConv1D:
            options |= {"filters": 3, "kernel_size": size}
            if draw(st.booleans()):
                options |= {"padding": "causal", "activation": "relu"}
            if stride == 1:
                options |= {"dilation_rate": draw(st.integers(1, 3))}
        else:
            options |= {"pool_size": size}
        layer = kind(**options)
        x, real = layer(x, mask=real), layer.compute_mask(x, real)
        rate = options.get("dilation_rate", 1)
        windows.append((stride, (size - 1) * rate + 1))
    least = 1
    for stride, reach in reversed(windows):
        least = (least - 1) * stride + reach
    ending = draw(st.sampled_from(ENDINGS))
    x = ending()(x, mask=real)
    x = layers.LSTM(2)(x, mask=real) if len(x.shape) == 3 and draw(st.booleans()) else x
    return uneven(keras.Model([series, mask], layers.Dense(2)(x))), least


MASKED_POOLINGS = (helpers.MaskedMaxPooling1D, helpers.MaskedAveragePooling1D)

ENDINGS = (
    helpers.MaskedGlobalAveragePooling1D,
    helpers.MaskedGlobalMaxPooling1D,
    lambda: layers.LSTM(3),
    lambda: layers.GRU(3, return_sequences=True),
    lambda: layers.RNN(
        [layers.LSTMCell(2), layers.SimpleRNNCell(3)], return_sequences=True
    ),
    lambda: layers.RNN([layers.GRUCell(2), layers.LSTMCell(3)]),
)
