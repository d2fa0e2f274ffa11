"""Decoding finds what exhaustive search finds, and scores as the whole model does."""

import itertools

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers, ops
from scipy.special import log_softmax

from cnnseq_helpers import ShapeError, decode, step_model
from tests.conftest import examples, sampled

START, END = 0, 1


class Table:
    """A model of one step whose logits depend on all tokens so far, at random.

    The state is a number that stands for them; each sequence leads to its own.
    """

    def __init__(self, seed, vocabulary, forbidden=0.0):
        self.seed, self.vocabulary, self.forbidden = seed, vocabulary, forbidden

    def logits(self, name):
        random = np.random.default_rng([self.seed, *name])
        drawn = random.normal(scale=2, size=self.vocabulary)
        allowed = random.random(self.vocabulary) >= self.forbidden
        allowed[random.integers(self.vocabulary)] = True
        return np.where(allowed, drawn, -np.inf)

    def __call__(self, tokens, state):
        names = state["so far"] * (self.vocabulary + 1) + tokens + 1
        rows = zip(state["row"], names, strict=True)
        return np.array([self.logits(row) for row in rows]), state | {"so far": names}

    def start(self, batch):
        return {"row": np.arange(batch), "so far": np.zeros(batch, int)}


def all_sequences(vocabulary, limit, end):
    """Return each sequence that ends for the first time, or is as long as allowed."""
    for length in range(1, limit + 1):
        for tokens in itertools.product(range(vocabulary), repeat=length):
            if end not in tokens[:-1] and (length == limit or tokens[-1] == end):
                yield tokens


def score(model, row, tokens):
    """Return the log-probability of a sequence, step by step."""
    state, total = {"row": np.array([row]), "so far": np.zeros(1, int)}, 0.0
    for last, token in itertools.pairwise([START, *tokens]):
        logits, state = model(np.array([last]), state)
        total += log_softmax(logits[0])[token]
    return total


def exhaustive(model, row, limit, end):
    found = {
        tokens: score(model, row, tokens)
        for tokens in all_sequences(model.vocabulary, limit, end)
    }
    best = max(found, key=found.get)
    return best, found[best]


@pytest.mark.filterwarnings("ignore:decode found no sequence that ends")
@pytest.mark.parametrize("seed", sampled(range(200), 2))
def test_a_wide_beam_finds_what_exhaustive_search_finds(seed):
    random = np.random.default_rng(seed)
    vocabulary, limit = random.integers(2, 5), random.integers(1, 4)
    model = Table(seed, vocabulary, forbidden=random.choice([0, 0.4]))
    tokens, scores = decode(
        model,
        model.start(2),
        start=START,
        end=END,
        limit=limit,
        width=vocabulary**limit,
    )
    for row in range(2):
        best, expected = exhaustive(model, row, limit, END)
        np.testing.assert_allclose(scores[row], expected, rtol=1e-9)
        assert tuple(tokens[row][: len(best)]) == best
        assert (tokens[row][len(best) :] == END).all()


@pytest.mark.filterwarnings("ignore:decode found no sequence that ends")
@pytest.mark.parametrize("seed", range(20))
def test_a_beam_of_one_takes_the_likeliest_token_each_time(seed):
    model = Table(seed, vocabulary=5)
    tokens, scores = decode(model, model.start(3), start=START, end=END, limit=6)
    for row in range(3):
        state = {"row": np.array([row]), "so far": np.zeros(1, int)}
        last, expected = START, []
        while last != END and len(expected) < 6:
            logits, state = model(np.array([last]), state)
            expected.append(last := int(logits[0].argmax()))
        assert list(tokens[row][: len(expected)]) == expected
        np.testing.assert_allclose(scores[row], score(model, row, expected))


@pytest.mark.filterwarnings("ignore:decode found no sequence that ends")
@pytest.mark.parametrize("width", [1, 2, 3, 7])
def test_a_beam_keeps_the_best_of_each_length(width):
    """A plain search with lists, for each sequence by itself, finds the same."""
    model, limit = Table(0, vocabulary=6), 5
    tokens, scores = decode(
        model, model.start(4), start=START, end=END, limit=limit, width=width
    )
    for row in range(4):
        beams = [(0.0, ())]
        for _ in range(limit):
            grown = [b for b in beams if END in b[1]]
            grown += [
                (score(model, row, (*beam, token)), (*beam, token))
                for _, beam in beams
                if END not in beam
                for token in range(6)
            ]
            beams = sorted(grown, reverse=True)[:width]
        value, best = beams[0]
        np.testing.assert_allclose(scores[row], value)
        assert tuple(tokens[row][: len(best)]) == best


@pytest.fixture(scope="module")
def writer():
    """Return a decoder for training, and its step with the features in the state."""
    keras.utils.set_random_seed(0)
    features, words = keras.Input((5,)), keras.Input((8,), dtype="int32")
    embed = layers.Embedding(7, 4, embeddings_initializer="normal")
    lstm, head = layers.LSTM(6, return_sequences=True), layers.Dense(7)
    fixed = layers.RepeatVector(8)(features)
    logits = head(lstm(ops.concatenate([embed(words), fixed], axis=-1)))

    def step(tokens, state):
        given = ops.concatenate([embed(tokens), state["features"]], axis=-1)
        output, cell = lstm.cell(given, state["cell"])
        return head(output), state | {"cell": cell}

    return keras.Model([features, words], logits), step


def forced_scores(logits, tokens):
    """Return the log-probabilities of sequences, given the logits of all steps."""
    each = np.take_along_axis(
        log_softmax(np.asarray(logits), axis=-1), tokens[..., None], axis=2
    )[..., 0]
    behind = np.cumsum(tokens == END, axis=1) > (tokens == END)
    return np.where(behind, 0, each).sum(axis=1)


def shifted(tokens):
    return np.concatenate([np.full((len(tokens), 1), START), tokens[:, :-1]], axis=1)


@pytest.mark.filterwarnings("ignore:decode found no sequence that ends")  # by chance
@pytest.mark.parametrize("width", [1, 4])
def test_the_score_is_that_of_the_model_under_teacher_forcing(writer, width):
    model, step = writer
    features = np.random.default_rng(0).normal(size=(9, 5)).astype("float32")
    state = {"features": features, "cell": [np.zeros((9, 6), "float32")] * 2}
    tokens, scores = decode(step, state, start=START, end=END, limit=8, width=width)
    expected = forced_scores(model([features, shifted(tokens)]), tokens)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert len({tuple(row) for row in tokens}) > 1


def test_a_step_model_is_a_step():
    keras.utils.set_random_seed(1)
    words = [keras.Input((None,), dtype="int32"), layers.Embedding(6, 4)]
    model = keras.Sequential(
        [*words, layers.LSTM(8, return_sequences=True), layers.Dense(6)]
    )
    model.layers[0].set_weights([np.random.default_rng(0).normal(size=(6, 4))])
    single = step_model(model)

    def step(tokens, state):
        logits, *state = single([tokens[:, None], *state])
        return logits[:, 0], state

    state = [np.zeros((3, *x.shape[1:]), "float32") for x in single.inputs[1:]]
    tokens, scores = decode(step, state, start=START, end=None, limit=5, width=3)
    assert tokens.shape == (3, 5)
    chances = log_softmax(np.asarray(model(shifted(tokens))), axis=-1)
    expected = np.take_along_axis(chances, tokens[..., None], axis=2).sum(axis=(1, 2))
    np.testing.assert_allclose(scores, expected, atol=1e-5)


@examples(40)
@given(seed=st.integers(0, 10**6), batch=st.integers(1, 4), width=st.integers(1, 9))
@pytest.mark.filterwarnings("ignore:decode found no sequence that ends")
def test_a_sequence_does_not_depend_on_its_batch(seed, batch, width):
    model = Table(seed, vocabulary=4, forbidden=0.3)
    options = {"start": START, "end": END, "limit": 5, "width": width}
    tokens, scores = decode(model, model.start(batch), **options)
    for row in range(batch):
        state = {"row": np.array([row]), "so far": np.zeros(1, int)}
        alone, score_alone = decode(model, state, **options)
        np.testing.assert_array_equal(alone[0], tokens[row, : alone.shape[1]])
        np.testing.assert_allclose(score_alone[0], scores[row])


# --- What can't be decoded ------------------------------------------------------------


def flat(vocabulary=4):
    return lambda tokens, state: (np.zeros((len(tokens), vocabulary)), state)


GOOD = {"start": 0, "end": 1, "limit": 3}
STATE = np.zeros((2, 0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width to be a whole number of at least 1, got 0"),
        ({"width": -2}, "width to be .* got -2"),
        ({"width": 2.5}, "width to be .* got 2.5"),
        ({"limit": 0}, "limit to be .* got 0"),
        ({"start": -1}, "start to be .* got -1"),
        ({"end": "."}, "end to be .* got '.'"),
        ({"end": 4}, "end to be one of the 4 tokens of the logits, 0 to 3, got 4"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(ShapeError, match=message):
        decode(flat(), STATE, **GOOD | change)


@pytest.mark.parametrize(
    "state",
    [[], np.zeros((0, 3)), 1.0, [np.zeros((2, 3)), np.zeros((3, 3))], None],
    ids=str,
)
def test_a_state_without_one_batch_is_refused(state):
    with pytest.raises(ShapeError, match="a state of arrays .batch, ...."):
        decode(flat(), state, **GOOD)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda n: np.zeros((n, 4)), "the pair .logits, state., got a ndarray"),
        (lambda n: [np.zeros((n, 4))] * 3, "the pair .logits, state., got a list of 3"),
        (lambda n: (np.zeros((n, 1, 4)), STATE), r"Take the last step: logits\[:, -1"),
        (lambda n: (np.zeros(4), STATE), r"logits \(batch=2, vocabulary\) .* \(4,\)"),
        (lambda n: (np.zeros((n + 1, 4)), STATE), r"got \(3, 4\)"),
        (lambda n: (np.zeros((n, 4)), np.zeros((1, 2))), "2 rows .* of each .* got 1"),
    ],
)
def test_an_answer_of_another_form_is_refused(answer, message):
    with pytest.raises(ShapeError, match=message):
        decode(lambda tokens, state: answer(len(tokens)), STATE, **GOOD)


def test_logits_that_change_their_width_are_refused():
    sizes = iter([4, 5])
    with pytest.raises(ShapeError, match=r"vocabulary=4\) of step, got \(2, 5\)"):
        decode(lambda t, s: (np.zeros((len(t), next(sizes))), s), STATE, **GOOD)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_logit_that_no_softmax_takes_is_refused(bad):
    logits = np.array([[0.0, 1, 2], [0, bad, 1]])
    with pytest.raises(ValueError, match="expected finite logits"):
        decode(lambda tokens, state: (logits, state), STATE, **GOOD)


def test_a_row_that_forbids_every_token_is_refused():
    logits = np.array([[0.0, 1, 2], [-np.inf] * 3])
    with pytest.raises(ValueError, match="forbids every token"):
        decode(lambda tokens, state: (logits, state), STATE, **GOOD)


def test_a_model_that_never_ends_is_told_of():
    logits = np.array([[5.0, -5, 0]] * 2)
    with pytest.warns(UserWarning, match="no sequence that ends: .* end=1 within"):
        tokens, _ = decode(lambda tokens, state: (logits, state), STATE, **GOOD)
    np.testing.assert_array_equal(tokens, np.zeros((2, 3)))


def test_an_end_stays_the_end():
    logits = np.array([[0.0, 5, 1], [5, 0, 1]])
    tokens, scores = decode(lambda t, s: (logits, s), STATE, **GOOD)
    np.testing.assert_array_equal(tokens, [[1, 1, 1], [0, 0, 0]])
    np.testing.assert_allclose(scores, log_softmax(logits, axis=1).max(1) * [1, 3])
