"""Closed loop: a model that predicts frames from the frames that it predicted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from .._extras import progress
from ..deploying.streaming import Stream, to_streaming
from ..shapes import ShapeError, check_whole, name_axes, sizes_fit
from ..tracing.graph import forget, kept
from .clips import as_clips, check_pixels

_CLIPS_AT_ONCE = 50

Frames = NDArray[np.float32]


def rollout(
    model: Any, clip: Any, steps: int, *, new_frames: int = 1
) -> NDArray[np.float32]:
    """Return the frames that follow a clip, by a model that sees its own predictions.

    The model is shown the clip and predicts. What it predicted is put behind the clip,
    and the model is shown the result, again and again. It sees no other frame.

    Parameters
    ----------
    model : keras.Model
        From (batch, time, height, width, channels) to frames of the same height, width
        and channels, with pixels in [0, 1]: (batch, time, ...), or a single frame a
        clip. If its input has an open number of frames, the model sees all frames so
        far; otherwise the last so many.
    clip : array_like, (batch, time, height, width, channels)
        The frames to start from, floats in [0, 1].
    steps : int
        How many frames to predict.
    new_frames : int
        How many of the frames that leave the model follow the clip: the last ones. 1
        for a model whose output t predicts frame t + 1; 10 for one that makes of ten
        frames the ten that come next.

    Returns
    -------
    ndarray of float32, (batch, steps, height, width, channels)
        The predicted frames.

    Raises
    ------
    ShapeError
        If an argument is not of these shapes, the clip has fewer frames than the model
        reads, or what leaves the model are not frames of the clip's size.
    ValueError
        If pixels, those that the model predicts included, are NaN or outside [0, 1];
        or if the model looks ahead: with ``new_frames=1``, outputs that predict frames
        of the clip may not depend on its last frame.
    ImportError
        If tqdm, which shows the progress of longer rollouts, is not installed.

    Notes
    -----
    Where the number of frames is open and `to_streaming` knows what the model keeps of
    the frames so far, each new frame is read once: the same values as from reading all
    frames again, in less time. A `stateful` layer starts from zeros.

    Examples
    --------
    >>> import keras
    >>> still = keras.Sequential([keras.Input((None, 8, 8, 1)), keras.layers.ReLU()])
    >>> clip = np.random.default_rng(0).random((1, 3, 8, 8, 1))
    >>> rollout(still, clip, 2).shape
    (1, 2, 8, 8, 1)
    """
    doing = "rollout"
    clip = as_clips(doing, "clip", clip).astype(np.float32)
    steps = check_whole(doing, "steps", steps)
    new_frames = check_whole(doing, "new_frames", new_frames)
    window = _check_window(model, clip)
    predicted = np.empty((len(clip), steps, *clip.shape[2:]), np.float32)
    calls = -(-steps // new_frames)
    at_once = model.input_shape[0] or _CLIPS_AT_ONCE
    stream = as_stream(model) if window is None and new_frames == 1 else None
    total = calls * -(-len(clip) // at_once)
    with kept(model), progress(doing, "call", total) as bar:
        for first in range(0, len(clip), at_once):
            chunk = slice(first, first + at_once)
            frames = clip[chunk]
            if stream is None:
                predict = _all_again(model, frames, window, new_frames)
            else:
                predict = _go_on(model, stream)
            for call in range(calls):
                frames = predict(frames)
                done = call * new_frames
                predicted[chunk, done : done + new_frames] = frames[:, : steps - done]
                bar.update()
    return predicted


def _check_window(model: Any, clip: Frames) -> int | None:
    """Return how many frames the model reads; None where it reads any number."""
    shape = getattr(model, "input_shape", None)
    if not isinstance(model, keras.Model) or not isinstance(shape, tuple):
        raise ShapeError(
            "rollout expected a keras.Model that was built, with one input (batch, "
            f"time, height, width, channels), got {type(model).__name__}. Start a "
            "Sequential with keras.Input; write other models with the Functional API."
        )
    if len(shape) != 5 or not sizes_fit(shape[2:], clip.shape[2:]):
        raise ShapeError(
            f"rollout expected a model of clips {name_axes((None, *clip.shape[1:]))}, "
            f"got one of {name_axes(shape)}. Give clips of the size that it was built "
            "for."
        )
    if not keras.backend.is_float_dtype(model.inputs[0].dtype):
        raise ShapeError(
            "rollout expected a model of floats, since predicted pixels lie in [0, 1], "
            f"got one of {model.inputs[0].dtype}. Build it with a float input."
        )
    if shape[1] is not None and clip.shape[1] < shape[1]:
        raise ShapeError(
            f"rollout expected a clip of at least {shape[1]} frames, which the model "
            f"reads, got {clip.shape[1]}. Give a longer clip."
        )
    window: int | None = shape[1]
    return window


# --- One call -------------------------------------------------------------------------


def as_stream(model: Any) -> Stream | None:
    """Return the model as a stream, if it is one that does not look ahead."""
    try:
        stream = to_streaming(model)
    except ValueError:
        return None
    return None if stream.delay else stream


def _go_on(model: Any, stream: Stream) -> Callable[[Frames], Frames]:
    """Return a function of new frames, first the clip, that gives the next one."""
    stream.reset()

    def predict(frames: Frames) -> Frames:
        outputs = _checked(model, stream(frames), frames)
        _check_number(model, outputs.shape[1], frames.shape[1], 1)
        return outputs[:, -1:]

    return predict


def _all_again(
    model: Any, clip: Frames, window: int | None, new_frames: int
) -> Callable[[Frames], Frames]:
    """Return the same by showing the model all frames so far, or the last few."""
    seen = clip[:, :0]

    def predict(frames: Frames) -> Frames:
        nonlocal seen
        seen = np.concatenate([seen, frames], axis=1)
        if window is not None:
            seen = seen[:, -window:]
        outputs = _checked(model, _call(model, seen), seen)
        _check_number(model, outputs.shape[1], seen.shape[1], new_frames)
        return outputs[:, -new_frames:]

    if new_frames == 1:
        few = clip[: model.input_shape[0] or 1]
        _check_ahead(model, few if window is None else few[:, -window:])
    return predict


def _call(model: Any, clip: Frames) -> Any:
    """Return what leaves the model, which starts without a state."""
    forget(model)
    nested = getattr(model, "input", None)
    try:
        return model([clip] if isinstance(nested, list) else clip, training=False)
    except Exception as error:
        raise ShapeError(
            f"rollout called {model.name} on {name_axes(clip.shape)} and got "
            f"{type(error).__name__}: {error}"
        ) from error


def _checked(model: Any, outputs: Any, clip: Frames) -> Frames:
    """Return outputs as frames, (batch, time, ...), or say why they are none."""
    frames = _as_frames(model, outputs, clip)
    check_pixels(
        "rollout",
        "what the model predicts",
        frames,
        'End the model in a sigmoid: activation="sigmoid".',
    )
    return frames


def _as_frames(model: Any, outputs: Any, clip: Frames) -> Frames:
    shape = getattr(outputs, "shape", None)
    if shape is None or tuple(shape[-3:]) != clip.shape[2:] or len(shape) not in (4, 5):
        came = [tuple(each.shape) for each in keras.tree.flatten(outputs)]
        raise ShapeError(
            "rollout expected the model to return frames, (batch, time, "
            f"{', '.join(map(str, clip.shape[2:]))}), or a single one a clip, got "
            f"{' and '.join(map(str, came))} from {model.name}. Reshape vectors to "
            "frames inside the model."
        )
    frames = np.asarray(keras.ops.convert_to_numpy(outputs), np.float32)
    return frames[:, None] if frames.ndim == 4 else frames


def _check_number(model: Any, came: int, shown: int, new_frames: int) -> None:
    """Refuse outputs of which it is not clear that the last ones are the new ones."""
    if came < new_frames or (new_frames == 1 and came not in (1, shown)):
        raise ShapeError(
            f"rollout was to take {new_frames} new frames from each call, and showed "
            f"{model.name} {shown} frames, got {came}. Give new_frames={came} if all "
            "of them follow the clip."
        )


def _check_ahead(model: Any, clip: Frames) -> None:
    """Refuse a model whose earlier outputs know the last frame of the clip."""
    other = np.random.default_rng(0).random(clip[:, -1:].shape, np.float32)
    changed = np.concatenate([clip[:, :-1], other], axis=1)
    before, again, after = (
        _as_frames(model, _call(model, each), each) for each in (clip, clip, changed)
    )
    known = np.isfinite(before).all() and np.isfinite(after).all()
    if clip.shape[1] < 2 or before.shape[1] != clip.shape[1] or not known:
        return
    # What differs from call to call on the same clip tells nothing.
    moved = np.abs(after - before)[:, :-1].max()
    if moved > 1e-4 + 10 * np.abs(again - before).max():
        raise ValueError(
            f"rollout took output t of {model.name} for a prediction of frame t + 1, "
            "but when the last frame of the clip was changed, outputs before the last "
            f"one moved by up to {moved:.2g}: the model looks ahead. Find out where "
            "with assert_causal. If all that leaves it are frames that follow the "
            f"clip, give new_frames={before.shape[1]}."
        )
