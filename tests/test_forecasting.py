"""Windows against a loop in Python; parts that share no step; no leak on pure noise."""

from itertools import pairwise

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnseq_helpers import ShapeError, windows

from .conftest import examples

COUNTED = np.arange(20.0)[:, None]  # each step is its own number


def by_hand(recordings, length, horizon, stride):
    """Return (recording, start, input, target) of each window, by a loop."""
    found = []
    for number, values in enumerate(recordings):
        start = 0
        while start + length + horizon <= len(values):
            border = start + length
            target = values[border : border + horizon]
            found.append((number, start, values[start:border], target))
            start += stride
    return found


def steps_of(cut):
    """Return the (recording, step) pairs in which a part of the windows stands."""
    span = cut.length + cut.horizon
    pairs = zip(cut.recording, cut.start, strict=True)
    return {(number, start + step) for number, start in pairs for step in range(span)}


sizes = st.integers(1, 6)


@st.composite
def recordings_to_cut(draw, most=4):
    length, horizon, stride = draw(sizes), draw(sizes), draw(sizes)
    steps = st.integers(length + horizon, 40)
    lengths = draw(st.lists(steps, min_size=1, max_size=most))
    channels = draw(st.integers(1, 3))
    numbers = iter(range(sum(lengths) * channels))
    made = [
        np.array([[next(numbers) for _ in range(channels)] for _ in range(n)], float)
        for n in lengths
    ]
    return made, length, horizon, stride


# --- What is cut ----------------------------------------------------------------------


@examples(100)
@given(recordings_to_cut())
def test_windows_are_those_of_a_loop(case):
    recordings, length, horizon, stride = case
    cut = windows(recordings, length, horizon=horizon, stride=stride)
    expected = by_hand(*case)
    assert len(cut) == len(expected)
    for place, (number, start, x, y) in enumerate(expected):
        assert (cut.recording[place], cut.start[place]) == (number, start)
        np.testing.assert_array_equal(cut.x[place], x)
        np.testing.assert_array_equal(cut.y[place], y)
        assert x.max() < y.min()  # numbers rise: the input ends before the target
    total = sum(map(len, recordings))
    assert cut.unused_steps == total - len(steps_of(cut))


@examples(40)
@given(recordings_to_cut(), st.integers(1, 9), st.none() | st.integers(0, 5))
def test_batches_hold_each_window_once(case, batch_size, seed):
    recordings, length, horizon, stride = case
    cut = windows(recordings, length, horizon=horizon, stride=stride)
    batches = cut.batches(batch_size, seed=seed)
    orders = []
    for _ in range(2):
        x, y = (np.concatenate(each) for each in zip(*batches, strict=True))
        order = np.argsort(x[:, 0, 0])
        np.testing.assert_array_equal(x[order], cut.x)
        np.testing.assert_array_equal(y[order], cut.y)
        orders.append(order.tolist())
    assert len(batches) == -(-len(cut) // batch_size)
    if seed is None:
        assert orders[0] == orders[1] == [*range(len(cut))]
    elif len(cut) > 20:
        assert orders[0] != orders[1]


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (None, [[12, 13, 14], [15, 16, 17]]),
        (1, [13, 16]),
        ([1], [[13], [16]]),
        ([2, 0], [[14, 12], [17, 15]]),
        (np.int64(2), [14, 17]),
    ],
)
def test_targets_are_indexed_as_numpy_does(targets, expected):
    series = np.arange(30.0).reshape(10, 3)
    cut = windows(series, 4, horizon=2, targets=targets)
    assert cut.y[0].tolist() == expected
    _, y = next(iter(cut.batches(3)))
    np.testing.assert_array_equal(y, cut.y[:3])


@pytest.mark.parametrize("targets", [None, 1, [1], [2, 0]])
def test_the_next_step_alone_has_no_axis_of_time(targets):
    """Else (batch, 1, channels) would be spread against (batch, channels) by a loss."""
    series = np.arange(30.0).reshape(10, 3)
    cut = windows(series, 4, targets=targets)
    expected = windows(series, 4, horizon=1, targets=targets).y[:, 0]
    np.testing.assert_array_equal(cut.y, expected)
    np.testing.assert_array_equal(next(iter(cut.batches(10)))[1], expected)


def test_the_order_depends_on_the_seed_alone():
    cut = windows(np.arange(100.0)[:, None], 4, targets=0)

    def orders(seed):
        batches = cut.batches(96, seed=seed)
        return [next(iter(batches))[1].numpy().tolist() for _ in range(2)]

    keras.utils.set_random_seed(1)
    first = orders(3)
    keras.utils.set_random_seed(2)
    assert orders(3) == first != orders(4)
    assert first[0] != first[1]


def test_a_model_trains_on_batches():
    model = keras.Sequential([keras.Input((4, 3)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(3))
    model.compile("sgd", "mse")
    cut = windows(np.random.default_rng(0).normal(size=(60, 3)), 4)
    train, test, _ = cut.split_time(0.7, 0.3)
    given = {"validation_data": test.batches(8), "epochs": 2, "verbose": 0}
    given["shuffle"] = False  # the batches are
    history = model.fit(train.batches(8, seed=0), **given).history
    assert np.isfinite(history["val_loss"]).all()
    predicted = model.predict(test.batches(8), verbose=0)  # in order
    np.testing.assert_allclose(predicted, model.predict(test.x, verbose=0), atol=1e-6)


def test_one_recording_is_not_copied():
    series = np.zeros((1_000_000, 2), "float32")
    cut = windows(series, 50, stride=3)
    train, _, _ = cut.split_time(0.8, 0.2)
    for part in (cut, train):
        assert np.shares_memory(part.x, series)
        assert np.shares_memory(part.y, series)
    with pytest.raises(ValueError, match="read-only"):
        cut.x[0] = 1


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_numbers_stay_what_they_are(dtype, order):
    series = np.asarray(np.arange(20).reshape(10, 2), dtype, order=order)
    cut = windows(series, 4)
    x, y = (each.numpy() for each in next(iter(cut.batches(2))))
    assert cut.x.dtype == cut.y.dtype == x.dtype == y.dtype == dtype
    assert cut.x[1, 0].tolist() == x[1, 0].tolist() == [2, 3]


def test_a_stack_of_recordings_is_several():
    cut = windows(np.zeros((3, 10, 2)), 4, stride=2)
    assert cut.recording.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert cut.start.tolist() == [0, 2, 4] * 3
    assert repr(cut) == "<9 windows of 4 + 1 steps; 3 steps in none>"


# --- Parts ----------------------------------------------------------------------------


@examples(200)
@given(
    recordings_to_cut(most=1),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.integers(0, 5),
)
def test_parts_in_time_share_no_step(case, weights, gap):
    (series,), length, horizon, stride = case
    cut = windows(series, length, horizon=horizon, stride=stride)
    shares = [weight / sum(weights) for weight in weights]
    span = length + horizon
    ends = np.round(np.cumsum(shares) * (cut.start[-1] + span))
    begins = [0, *(ends[:-1] + gap)]
    expected = [
        [start for start in cut.start if begin <= start <= end - span]
        for begin, end in zip(begins, ends, strict=True)
    ]
    if not all(expected):
        with pytest.raises(ShapeError, match="got none in part"):
            cut.split_time(*shares, gap=gap)
        return
    *parts, left_out = cut.split_time(*shares, gap=gap)
    assert [part.start.tolist() for part in parts] == expected
    for early, late in pairwise(map(steps_of, parts)):
        assert max(early)[1] + gap < min(late)[1]
    starts = [start for part in [*parts, left_out] for start in part.start]
    assert sorted(starts) == cut.start.tolist()  # each window is somewhere


def test_left_out_windows_are_those_at_the_border():
    train, test, left_out = windows(COUNTED, 3).split_time(0.5, 0.5)
    assert train.start.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert left_out.start.tolist() == [7, 8, 9]
    assert test.start.tolist() == [10, 11, 12, 13, 14, 15, 16]
    train, test, left_out = windows(COUNTED, 3).split_time(0.5, 0.5, gap=2)
    assert left_out.start.tolist() == [7, 8, 9, 10, 11]


def test_a_part_can_be_divided_again():
    rest, test, _ = windows(COUNTED, 3).split_time(0.8, 0.2)
    train, validation, left_out = rest.split_time(0.5, 0.5)
    assert not steps_of(train) & steps_of(validation)
    assert max(steps_of(validation)) < min(steps_of(test))
    assert len(train) + len(validation) + len(left_out) == len(rest)


@examples(60)
@given(recordings_to_cut(), st.data())
def test_recordings_stay_whole(case, data):
    recordings, length, horizon, stride = case
    cut = windows(recordings, length, horizon=horizon, stride=stride)
    part_of = [data.draw(st.integers(0, 2)) for _ in recordings]  # 2: in none
    parts = [[n for n, p in enumerate(part_of) if p == which] for which in (0, 1)]
    named = [part for part in parts if part]
    *made, left_out = cut.split_recordings(*named)
    for part, numbers in zip(made, named, strict=True):
        assert {*part.recording} == {*numbers}
        own = [n for n, *_ in by_hand(*case) if n in numbers]
        assert part.recording.tolist() == own
        np.testing.assert_array_equal(part.x, cut.x[np.isin(cut.recording, numbers)])
    assert sum(map(len, [*made, left_out])) == len(cut)
    assert all(part_of[number] == 2 for number in left_out.recording)


# --- No leak --------------------------------------------------------------------------


def nearest_is_right(train, test):
    """Return how often the nearest training window goes the way of a test window."""
    (x, up), (x_test, up_test) = map(directions, (train, test))
    far = (x_test**2).sum(1)[:, None] - 2 * x_test @ x.T + (x**2).sum(1)
    return np.mean(up[far.argmin(axis=1)] == up_test)


def directions(cut):
    x = cut.x[..., 0].astype(float)
    return x, cut.y[:, -1, 0] > x[:, -1]


def noises(steps=1_200, number=24):
    """Yield random walks: where they go next, nothing can know."""
    for seed in range(number):
        random = np.random.default_rng(seed)
        yield random.normal(size=(steps, 1)).cumsum(axis=0)


def test_no_split_in_time_beats_chance_on_noise():
    rates = {0: [], 20: []}
    for walk in noises():
        cut = windows(walk, 20, horizon=20)
        for gap in rates:
            train, test, _ = cut.split_time(0.6, 0.4, gap=gap)
            rates[gap].append(nearest_is_right(train, test))
    for right in rates.values():
        error = np.std(right) / np.sqrt(len(right))
        assert abs(np.mean(right) - 0.5) < 2.5 * error < 0.1


def test_no_split_by_recordings_beats_chance_on_noise():
    right = []
    for turn in range(6):
        walks = [*noises(300)][4 * turn : 4 * turn + 4]
        cut = windows(walks, 20, horizon=20)
        for held_out in range(4):
            others = [n for n in range(4) if n != held_out]
            train, test, _ = cut.split_recordings(others, held_out)
            right.append(nearest_is_right(train, test))
    error = np.std(right) / np.sqrt(len(right))
    assert abs(np.mean(right) - 0.5) < 2.5 * error < 0.1


def test_a_random_split_of_the_same_windows_does():
    """The test of the tests: they would see a leak."""
    right = []
    for walk in noises():
        cut = windows(walk, 20, horizon=20)
        chosen = np.random.default_rng(0).random(len(cut)) < 0.6
        right.append(nearest_is_right(cut._only(chosen), cut._only(~chosen)))
    assert np.mean(right) > 0.8


# --- Bad input ------------------------------------------------------------------------


def without(place, value=np.nan):
    series = COUNTED.copy()
    series[place] = value
    return series


@pytest.mark.parametrize(
    ("series", "arguments", "error", "message"),
    [
        (COUNTED, {"length": 20}, ShapeError, "at least 21 steps, 20 of input and 1 "),
        (COUNTED, {"length": 0}, ShapeError, "length to be a whole number of at least"),
        (COUNTED, {"length": 3.0}, ShapeError, "length to be a whole number"),
        (COUNTED, {"length": True}, ShapeError, "length to be a whole number"),
        (COUNTED, {"horizon": 0}, ShapeError, "horizon to be a whole number of at le"),
        (COUNTED, {"horizon": -1}, ShapeError, "horizon to be .* got -1"),
        (COUNTED, {"stride": 0}, ShapeError, "stride to be a whole number of at least"),
        (COUNTED[:, 0], {}, ShapeError, r"got the shape \(20,\). .* series\[:, None\]"),
        (COUNTED[None, None], {}, ShapeError, r"the shape \(1, 1, 20, 1\)"),
        (COUNTED[:, :0], {}, ShapeError, r"got the shape \(20, 0\)"),
        (COUNTED[:0], {}, ShapeError, "at least 4 steps, .* got 0"),
        (5.0, {}, ShapeError, r"\(time, channels\), got the shape \(\)"),
        ([], {}, ShapeError, "at least one recording, got an empty list"),
        ([1.0, 2.0], {}, ShapeError, r"shape \(\) in recording 0. A list holds rec"),
        (
            COUNTED.tolist(),
            {},
            ShapeError,
            r"\(1,\) in recording 0. A list holds rec",
        ),
        (iter([COUNTED]), {}, ShapeError, "a list of arrays, in place of .*iterator"),
        ([COUNTED, COUNTED[:3]], {}, ShapeError, "got 3 in recording 1"),
        ([COUNTED, COUNTED[:, [0, 0]]], {}, ShapeError, "1 channels .* got 2 in recor"),
        ([COUNTED, COUNTED.astype("float32")], {}, TypeError, "float32 in recording 1"),
        (COUNTED.astype(int), {}, TypeError, r"got int64. Nothing is cast unasked"),
        (COUNTED > 3, {}, TypeError, "expected floats, got bool"),
        (COUNTED.astype(np.longdouble), {}, TypeError, "expected floats, got float128"),
        (COUNTED.astype(object), {}, TypeError, "expected floats, got object"),
        (without(7), {}, ValueError, "got 1 that are missing .* step 7 of channel 0"),
        (without([3, 9], np.inf), {}, ValueError, "got 2 that are missing or infinite"),
        (np.ma.masked_equal(COUNTED, 4), {}, ValueError, "first at step 4"),
        (COUNTED, {"targets": 1}, ShapeError, "different channels from 0 to 0, got 1"),
        (COUNTED, {"targets": -1}, ShapeError, "targets to be a whole number of at le"),
        (COUNTED, {"targets": [0, 0]}, ShapeError, r"different channels .* \[0, 0\]"),
        (COUNTED, {"targets": []}, ShapeError, r"different channels .* got \[\]"),
        (COUNTED, {"targets": [True]}, ShapeError, "each of targets to be a whole"),
    ],
)
def test_bad_input_is_refused(series, arguments, error, message):
    with pytest.raises(error, match=message):
        windows(series, **{"length": 3, **arguments})


HOURS = np.arange("2026-01-01", "2026-01-01T20", dtype="datetime64[h]")


def moved(place, hours):
    times = HOURS.copy()
    times[place:] += np.timedelta64(hours, "h")
    return times


@pytest.mark.parametrize(
    ("times", "error", "message"),
    [
        (HOURS[1:], ShapeError, r"a time for each step .* \(19,\) for \[20\] steps"),
        (HOURS.astype(str), TypeError, "got <U"),
        (
            moved(8, 5),
            ValueError,
            "a gap in times, 1 in all, .* steps 7 and 8",
        ),
        (
            moved(8, 5),
            ValueError,
            r"6 hours apart, .* np.split\(series, \[8\]\)",
        ),
        (moved(8, -1), ValueError, "a step that comes twice in times, 1 in all"),
        (moved(8, -5), ValueError, "a step that comes before the one in front of it"),
        (HOURS[::-1], ValueError, "before the one in front of it in times, 19 in all"),
        (np.arange(20)[::-1].astype("uint8"), ValueError, "before the one in front"),
        (np.append(np.arange(19.0), np.nan), ValueError, "a time that is missing"),
        (np.append(np.arange(19.0), np.inf), ValueError, "a time that is missing"),
        (np.arange(120, 140).astype("int8"), ValueError, "before the one in front"),
        (np.append(np.arange(19.0), 18.2), ValueError, "steps closer than the others"),
    ],
)
def test_times_that_do_not_go_on_evenly_are_refused(times, error, message):
    with pytest.raises(error, match=message):
        windows(COUNTED, 3, times=times)


def test_times_that_go_on_evenly_change_nothing():
    for times in (HOURS, np.arange(20), np.arange(20, dtype="uint8"), np.arange(20.0)):
        assert len(windows(COUNTED, 3, times=times)) == 17
    with pytest.raises(ShapeError, match="a time for each step of one recording"):
        windows([COUNTED, COUNTED], 3, times=HOURS)


@pytest.mark.parametrize(
    ("shares", "gap", "error", "message"),
    [
        ((0.9, 0.1), 0, ShapeError, "4 steps in each part, got none in part 2, .* 2 s"),
        ((0.5, 0.5), 9, ShapeError, "none in part 2, which has 1 steps"),
        ((0.5, 0.5), 30, ShapeError, "none in part 2, which has 0 steps"),
        ((0.5, 0.5), -1, ShapeError, "gap to be a whole number of at least 0"),
        ((0.5, 0.4), 0, ValueError, r"together 1, .* got \(0.5, 0.4\)"),
        ((70, 30), 0, ValueError, r"together 1, .* got \(70, 30\)"),
        ((1.5, -0.5), 0, ValueError, "above 0"),
        ((), 0, ValueError, "together 1"),
        (([0.7, 0.3],), 0, ValueError, "together 1"),
        ((0.5, None), 0, ValueError, "together 1"),
        ((0.5, 0.5j), 0, ValueError, "together 1"),
    ],
)
def test_bad_shares_are_refused(shares, gap, error, message):
    with pytest.raises(error, match=message):
        windows(COUNTED, 3).split_time(*shares, gap=gap)


def test_time_is_that_of_one_recording():
    with pytest.raises(ValueError, match="windows of one recording, got 2"):
        windows([COUNTED, COUNTED], 3).split_time(0.5, 0.5)
    *_, none = windows(COUNTED, 3, stride=4).split_time(0.4, 0.6)
    assert len(none) == 0
    assert none.x.shape == (0, 3, 1)
    with pytest.raises(ValueError, match="expected windows to divide, got none"):
        none.split_time(0.5, 0.5)
    with pytest.raises(ValueError, match="at least one window, got none"):
        none.batches(4)
    with pytest.raises(ShapeError, match=r"windows here, which are none, got \[0\]"):
        none.split_recordings([0])


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        (([0], []), ValueError, r"recordings of its own, got \[\]"),
        (([0, 1], [1]), ValueError, r"got \[1\], with \{1\} twice"),
        (([0, 0], [1]), ValueError, r"got \[0, 0\], with \{0\} twice"),
        (([[0], [1, 2]],), ShapeError, "each recording to be a whole number"),
        (([0], [3]), ShapeError, r"from 0 to 2, got \[3\]"),
        (([0], [-1]), ShapeError, "each recording to be a whole number"),
        (([0], [1.0]), ShapeError, "each recording to be a whole number"),
        (([True, False, True],), ShapeError, "each recording to be a whole number"),
    ],
)
def test_bad_parts_are_refused(parts, error, message):
    with pytest.raises(error, match=message):
        windows([COUNTED] * 3, 3).split_recordings(*parts)


@pytest.mark.parametrize(
    "arguments", [{"batch_size": 0}, {"batch_size": 2, "seed": -1}]
)
def test_bad_sizes_of_batches_are_refused(arguments):
    with pytest.raises(ShapeError, match="to be a whole number of at least"):
        windows(COUNTED, 3).batches(**arguments)
