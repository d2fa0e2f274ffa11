"""Windows of long recordings, and parts of them that share no step."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ._extras import require_tensorflow
from .shapes import ShapeError, check_whole

if TYPE_CHECKING:
    import tensorflow as tf

# --- What is cut ----------------------------------------------------------------------


def windows(
    series: Any,
    length: int,
    *,
    horizon: int | None = None,
    stride: int = 1,
    targets: int | Sequence[int] | None = None,
    times: Any = None,
) -> Windows:
    """Cut recordings into inputs and the steps right behind them, as targets.

    Parameters
    ----------
    series : array_like, (time, channels) or (recording, time, channels), or list
        One recording, or several; no window reaches from one into the next. Floats.
    length : int
        Steps of an input.
    horizon : int, optional
        Steps of a target: those that follow the input. If not given, the next step, and
        targets have no axis of time.
    stride : int
        Steps from the start of one window to the start of the next.
    targets : int or sequence of int, optional
        The channels to predict, counted from 0: one without a channel axis, or several
        with it, as NumPy indexes. All of them if not given.
    times : array_like (time,), optional
        When each step of the one recording was measured, as numbers or datetime64, in
        order to refuse it if steps are missing, double or out of order.

    Returns
    -------
    Windows
        With `x` and `y`, `split_time` or `split_recordings`, and `batches` for `fit`.

    Raises
    ------
    ShapeError
        If the axes differ from these, a recording is shorter than a window, or a number
        of steps or a channel is not a whole number in its range.
    TypeError
        If numbers are not floats of one type: nothing is cast.
    ValueError
        If a number is missing or infinite, or times do not go on evenly.

    Notes
    -----
    Input and target are one piece of ``length + horizon`` steps, so they can't slip
    against each other. The recording is not copied: a million windows need the memory
    of a million steps. (Several recordings are copied once, into one array.)

    Examples
    --------
    >>> series = np.arange(10.0)[:, None]  # (time, channels)
    >>> cut = windows(series, 3, horizon=2, targets=0)
    >>> cut
    <6 windows of 3 + 2 steps; 0 steps in none>
    >>> cut.x[0, :, 0].tolist(), cut.y[0].tolist()
    ([0.0, 1.0, 2.0], [3.0, 4.0])
    """
    length = check_whole("windows", "length", length)
    ahead = 1 if horizon is None else check_whole("windows", "horizon", horizon)
    stride = check_whole("windows", "stride", stride)
    recordings = _read_recordings(series, length, ahead)
    if times is not None:
        _check_times(times, recordings)
    steps = [len(each) for each in recordings]
    first = np.cumsum([0, *steps[:-1]])
    places = [np.arange(0, n - length - ahead + 1, stride) for n in steps]
    channels = _read_targets(targets, recordings[0].shape[1])
    return Windows(
        recordings[0] if len(recordings) == 1 else np.concatenate(recordings),
        first,
        np.concatenate([a + b for a, b in zip(first, places, strict=True)]),
        (length, ahead),
        (0 if horizon is None else slice(None), channels),
    )


def _read_recordings(series: Any, length: int, horizon: int) -> list[NDArray[Any]]:
    """Return one array (time, channels) a recording, or say what does not fit."""
    several = isinstance(series, (list, tuple)) or np.ndim(series) == 3
    held = list(series) if several else [series]
    if not held:
        raise ShapeError(
            "windows expected at least one recording, got an empty list. Give a list "
            "of arrays (time, channels)."
        )
    recordings = [
        _read_recording(each, f" in recording {number}" if several else "")
        for number, each in enumerate(held)
    ]
    channels = [each.shape[1] for each in recordings]
    kinds = [each.dtype for each in recordings]
    for number, each in enumerate(recordings):
        where = f" in recording {number}" if several else ""
        if channels[number] != channels[0]:
            raise ShapeError(
                f"windows expected {channels[0]} channels in all recordings, as in the "
                f"first, got {channels[number]}{where}. Give each the same channels."
            )
        if kinds[number] != kinds[0]:
            raise TypeError(
                f"windows expected {kinds[0]} in all recordings, as in the first, got "
                f"{kinds[number]}{where}. Convert them: each.astype('float32')."
            )
        if len(each) < length + horizon:
            raise ShapeError(
                f"windows expected at least {length + horizon} steps, {length} of "
                f"input and {horizon} of target, got {len(each)}{where}. Shorten "
                "length or horizon, or leave out what is shorter."
            )
    return recordings


def _read_recording(recording: Any, where: str) -> NDArray[Any]:
    array = np.asarray(recording)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ShapeError(
            f"windows expected (time, channels), got the shape {array.shape}{where}. "
            f"{_cure_of_axes(recording, array)}"
        )
    if (
        array.dtype.kind != "f" or array.dtype.itemsize > 8
    ):  # TensorFlow has none longer
        raise TypeError(
            f"windows expected floats, got {array.dtype}{where}. Nothing is cast "
            "unasked: series.astype('float32'), with true and false as 1 and 0."
        )
    missing = ~np.isfinite(array)
    if isinstance(recording, np.ma.MaskedArray):
        missing |= recording.mask
    if missing.any():
        step, channel = np.argwhere(missing)[0]
        raise ValueError(
            f"windows expected a number at each step, got {missing.sum()} that are "
            f"missing or infinite{where}, the first at step {step} of channel "
            f"{channel}. Fill them, or give the pieces between them as a list."
        )
    return np.ascontiguousarray(array)


def _cure_of_axes(recording: Any, array: NDArray[Any]) -> str:
    """Say how to make (time, channels) of what is not."""
    if isinstance(recording, (float, int, list, tuple)):
        return "A list holds recordings. Make one of numbers an array: np.array(…)."
    if array.ndim == 0 or array.dtype == object:
        return f"Give an array, or a list of arrays, in place of {type(recording)}."
    if array.ndim == 1:
        return "Give a single channel an axis of its own: series[:, None]."
    return "Make one axis of all that is measured at a step."


def _read_targets(targets: Any, channels: int) -> Any:
    """Return an index of the channel axis."""
    if targets is None:
        return slice(None)
    several = np.ndim(targets) > 0
    numbers = [
        check_whole("windows", "each of targets" if several else "targets", n, 0)
        for n in (targets if several else [targets])
    ]
    if not numbers or max(numbers) >= channels or len({*numbers}) < len(numbers):
        raise ShapeError(
            f"windows expected targets to be different channels from 0 to "
            f"{channels - 1}, got {targets!r}. Name each channel to predict once."
        )
    return numbers if several else numbers[0]


def _check_times(times: Any, recordings: list[NDArray[Any]]) -> None:
    """Refuse steps that do not follow each other evenly."""
    moments = np.asarray(times)
    if len(recordings) > 1 or moments.shape != (len(recordings[0]),):
        raise ShapeError(
            "windows expected a time for each step of one recording, got times of "
            f"shape {moments.shape} for {[len(each) for each in recordings]} steps. "
            "Check one recording at a time."
        )
    if moments.dtype.kind not in "iufM":
        raise TypeError(
            f"windows expected times as numbers or datetime64, got {moments.dtype}. "
            "Convert them: np.array(times, 'datetime64[s]')."
        )
    if moments.dtype.kind in "iu":  # whose differences would wrap round
        moments = moments.astype(np.int64)
    apart = np.diff(moments)
    usual = np.sort(apart)[len(apart) // 2]
    nothing = apart[0] - apart[0]
    faults = {
        "a time that is missing": ~np.isfinite(apart),  # NaN, NaT, infinite
        "a step that comes twice": apart == nothing,
        "a step that comes before the one in front of it": apart < nothing,
        "a gap": apart > 1.5 * usual,
        "steps closer than the others": apart < 0.5 * usual,
    }
    for fault, found in faults.items():
        if found.any():
            place = int(np.flatnonzero(found)[0])
            raise ValueError(
                f"windows found {fault} in times, {found.sum()} in all, the first "
                f"between steps {place} and {place + 1}, {apart[place]} apart, where "
                f"{usual} is usual. Sort and fill the steps, or give the pieces as a "
                f"list: np.split(series, {(np.flatnonzero(found)[:3] + 1).tolist()})."
            )


# --- What is made of it ---------------------------------------------------------------


class Windows:
    """Pieces of recordings, each an input and the target behind it, from `windows`.

    ``len(cut)`` is their number.

    Attributes
    ----------
    length, horizon : int
        Steps of an input and of a target.
    """

    def __init__(
        self,
        values: NDArray[Any],
        first: NDArray[np.int64],
        rows: NDArray[np.int64],
        steps: tuple[int, int],
        targets: tuple[Any, Any],
    ) -> None:
        self._values, self._first, self._rows = values, first, rows
        self.length, self.horizon = steps
        self._targets = targets

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return (
            f"<{len(self):,} windows of {self.length} + {self.horizon} steps; "
            f"{self.unused_steps:,} steps in none>"
        )

    @property
    def x(self) -> NDArray[Any]:
        """The inputs, (window, length, channels).

        A view that can't be written to and takes no memory, if windows are evenly
        spaced; else, as of several recordings, a copy. `fit` copies either: use
        `batches` where that is too much.
        """
        return self._view(0, self.length)

    @property
    def y(self) -> NDArray[Any]:
        """The targets, (window, horizon, channels to predict), as `x`."""
        return _choose(self._view(self.length, self.horizon), self._targets)

    @property
    def recording(self) -> NDArray[np.int64]:
        """The number of each window's recording, (window,)."""
        return np.searchsorted(self._first, self._rows, side="right") - 1

    @property
    def start(self) -> NDArray[np.int64]:
        """The first step of each window, counted in its recording, (window,)."""
        return self._rows - self._first[self.recording]

    @property
    def unused_steps(self) -> int:
        """How many steps of the recordings are in none of these windows."""
        span = self.length + self.horizon
        covered = np.minimum(np.diff(self._rows), span).sum() + span * (len(self) > 0)
        return len(self._values) - int(covered)

    def _view(self, behind: int, steps: int) -> NDArray[Any]:
        """Return so many steps of each window, from some steps behind its start."""
        pieces = _pieces(self._values, steps)
        apart = np.diff(self._rows)
        if len(self) == 0 or (apart != apart[:1]).any():
            return pieces[self._rows + behind]
        stride = int(apart[0]) if len(apart) else 1
        return pieces[self._rows[0] + behind : self._rows[-1] + behind + 1 : stride]

    def _only(self, chosen: NDArray[np.bool_]) -> Windows:
        """Return those windows alone."""
        steps = self.length, self.horizon
        return Windows(
            self._values, self._first, self._rows[chosen], steps, self._targets
        )

    def split_time(self, *shares: float, gap: int = 0) -> list[Windows]:
        """Divide the windows of one recording into parts, one after the other in time.

        Parameters
        ----------
        *shares : float
            The share of the steps for each part, in the order of time: together 1.
        gap : int
            So many steps at the beginning of each part but the first belong to none.

        Returns
        -------
        list of Windows
            A part for each share, and last **the windows that are in none**, since they
            would share steps with two parts or reach into a gap.

        Raises
        ------
        ShapeError
            If the gap is not a whole number of at least 0, or a part is shorter than a
            window.
        ValueError
            If there are several recordings, or shares are not positive or not together
            1.

        Examples
        --------
        >>> cut = windows(np.arange(100.0)[:, None], 8, horizon=2)
        >>> train, test, left_out = cut.split_time(0.7, 0.3)
        >>> len(cut), len(train), len(test), len(left_out)
        (91, 61, 21, 9)
        """
        gap = check_whole("split_time", "gap", gap, at_least=0)
        if len(self._first) > 1:
            raise ValueError(
                f"split_time expected windows of one recording, got "
                f"{len(self._first)}. Keep recordings whole, by split_recordings."
            )
        ends = np.cumsum(_read_shares(shares))
        span = self.length + self.horizon
        if not len(self):
            raise ValueError(
                "split_time expected windows to divide, got none. Divide those that "
                "stand in a part."
            )
        begin, end = int(self._rows[0]), int(self._rows[-1]) + span
        ends = begin + np.round(ends * (end - begin)).astype(int)
        begins = [begin, *(ends[:-1] + gap)]
        inside = [
            (self._rows >= a) & (self._rows + span <= b)
            for a, b in zip(begins, ends, strict=True)
        ]
        for number, (chosen, a, b) in enumerate(
            zip(inside, begins, ends, strict=True), 1
        ):
            if not chosen.any():
                raise ShapeError(
                    f"split_time expected a window of {span} steps in each part, got "
                    f"none in part {number}, which has {max(b - a, 0)} steps. Give it "
                    "a larger share, or shorten the windows or the gap."
                )
        return [*map(self._only, inside), self._only(~np.any(inside, axis=0))]

    def split_recordings(self, *parts: int | Sequence[int]) -> list[Windows]:
        """Divide the windows by recordings, each in one part only.

        Parameters
        ----------
        *parts : sequence of int
            The numbers of the recordings of each part, counted from 0. For a split by
            person: all recordings of a person in the same part.

        Returns
        -------
        list of Windows
            A part for each, and last **the windows of recordings in none**.

        Raises
        ------
        ShapeError
            If a number is not that of a recording.
        ValueError
            If a part is empty, or a recording is in two.

        Examples
        --------
        >>> cut = windows(np.zeros((5, 20, 3)), 8, horizon=2)  # five recordings
        >>> train, test, left_out = cut.split_recordings([0, 1, 4], [3])
        >>> len(train), len(test), len(left_out)
        (33, 11, 11)
        """
        named = _read_parts(parts, {*self.recording.tolist()})
        inside = [np.isin(self.recording, numbers) for numbers in named]
        rest = ~np.any([np.zeros(len(self), bool), *inside], axis=0)
        return [*map(self._only, inside), self._only(rest)]

    def batches(self, batch_size: int, *, seed: int | None = None) -> tf.data.Dataset:
        """Return batches (x, y) for `fit`, `evaluate` and `predict`, gathered in turn.

        Parameters
        ----------
        batch_size : int
            Windows in a batch; the last one may hold fewer.
        seed : int, optional
            Shuffle all windows, anew each time that the data set is read. If not given,
            they come in their order.

        Returns
        -------
        tf.data.Dataset
            Of a known number of batches. It holds a copy of the recordings, and of one
            batch after the other.

        Raises
        ------
        ShapeError
            If the size is not a whole number of at least 1, or the seed of at least 0.
        ImportError
            Without TensorFlow, which may be installed beside another backend of Keras.
        ValueError
            If there are no windows: `fit` would leave out an empty validation silently.

        Notes
        -----
        The order depends on `seed` and on how often the data set was read before. Keras
        warns that it can't shuffle a data set itself: give `fit` ``shuffle=False``.

        Examples
        --------
        >>> cut = windows(np.zeros((1_000, 4), "float32"), 50, targets=[0, 1])
        >>> batches = cut.batches(64, seed=0)
        >>> len(batches), [tuple(each.shape) for each in next(iter(batches))]
        (15, [(64, 50, 4), (64, 2)])
        """
        tf = require_tensorflow(
            "batches of windows, which are a tf.data.Dataset (x and y are arrays), need"
        )
        batch_size = check_whole("batches", "batch_size", batch_size)
        if seed is not None:
            seed = check_whole("batches", "seed", seed, at_least=0)
        if not len(self):
            raise ValueError(
                "batches expected at least one window, got none. Take those of a part."
            )
        starts = self._starts(batch_size, seed)
        data = starts.map(self._gatherer(), num_parallel_calls=tf.data.AUTOTUNE)
        known = tf.data.experimental.assert_cardinality(-(-len(self) // batch_size))
        return data.apply(known).prefetch(tf.data.AUTOTUNE)

    def _starts(self, batch_size: int, seed: int | None) -> tf.data.Dataset:
        """Return the first rows of the windows of each batch, in order or shuffled."""
        import tensorflow as tf

        if seed is None:
            return _deal(tf.constant(self._rows), len(self), batch_size)
        epochs = count()

        def orders() -> Iterator[NDArray[np.int64]]:
            random = np.random.default_rng([seed, next(epochs)])
            yield random.permutation(self._rows)

        signature = tf.TensorSpec((len(self),), tf.int64)
        order = tf.data.Dataset.from_generator(orders, output_signature=signature)
        return order.flat_map(lambda rows: _deal(rows, len(self), batch_size))

    def _gatherer(self) -> Callable[[Any], tuple[Any, Any]]:
        """Return a function from first rows (batch,) to inputs and targets."""
        import tensorflow as tf

        values, length = tf.constant(self._values), self.length
        steps = tf.range(length + self.horizon, dtype=tf.int64)
        times, channels = self._targets

        def gather(starts: Any) -> tuple[Any, Any]:
            both = tf.gather(values, starts[:, None] + steps)
            y = both[:, length:][:, times]
            if isinstance(channels, list):
                return both[:, :length], tf.gather(y, channels, axis=-1)
            return both[:, :length], y[..., channels]

        return gather


def _deal(order: Any, number: int, batch_size: int) -> tf.data.Dataset:
    """Cut an order of so many into batches at once: one by one takes longer."""
    import tensorflow as tf

    whole = number // batch_size * batch_size
    full = tf.reshape(order[:whole], (-1, batch_size))
    dealt = tf.data.Dataset.from_tensor_slices(full)
    if whole == number:
        return dealt
    return dealt.concatenate(tf.data.Dataset.from_tensors(order[whole:]))


def _pieces(values: NDArray[Any], steps: int) -> NDArray[Any]:
    """Return the view (place, steps, channels) of all pieces of so many steps."""
    return sliding_window_view(values, steps, axis=0).swapaxes(1, 2)


def _choose(steps: NDArray[Any], targets: tuple[Any, Any]) -> NDArray[Any]:
    """Take from (window, time, channels) the steps and channels to predict."""
    times, channels = targets
    chosen: NDArray[Any] = steps[:, times][..., channels]
    return chosen


def _read_shares(shares: Sequence[Any]) -> NDArray[np.float64]:
    """Return shares as floats, or say that they are not together 1."""
    try:
        numbers = np.array([float(share) for share in shares])
    except (TypeError, ValueError):  # None, a word, a list
        numbers = np.zeros(1)
    if not (numbers > 0).all() or not math.isclose(numbers.sum(), 1):
        raise ValueError(
            "split_time expected shares above 0 that are together 1, such as 0.7, "
            f"0.15, 0.15, got {shares}. Give a share for each part."
        )
    return numbers


def _read_parts(parts: Sequence[Any], known: set[int]) -> list[list[int]]:
    """Return the recordings of each part, or say which can't be had."""
    named: list[list[int]] = []
    seen: set[int] = set()
    for part in parts:
        try:
            listed = list(part)
        except TypeError:
            listed = [part]
        numbers = [
            check_whole("split_recordings", "each recording", number, at_least=0)
            for number in listed
        ]
        again = {n for n, times in Counter([*seen, *numbers]).items() if times > 1}
        if not numbers or again:
            raise ValueError(
                "split_recordings expected each part to have recordings of its own, "
                f"got {part!r}{f', with {again} twice' if again else ''}. Name each "
                "recording once."
            )
        if unknown := {*numbers} - known:
            raise ShapeError(
                f"split_recordings expected recordings that have windows here, "
                f"{_spelled(known)}, got {sorted(unknown)}. Recordings are counted "
                "from 0."
            )
        named.append(numbers)
        seen |= {*numbers}
    return named


def _spelled(numbers: set[int]) -> str:
    return f"from {min(numbers)} to {max(numbers)}" if numbers else "which are none"
