"""Closed loop: a model that predicts frames from the frames that it predicted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from ._causality import forget
from ._clips import as_clips, check_pixels
from ._reach import Reach, through
from ._rebuilding import functional_of
from .shapes import ShapeError, _check_whole, name_axes
from .tracing import is_model

_CLIPS_AT_ONCE = 50
_RECURRENT = (layers.LSTM, layers.GRU, layers.SimpleRNN, layers.ConvLSTM2D)

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
        of the clip may not depend on these frames.
    ImportError
        If tqdm, which shows the progress of longer rollouts, is not installed.

    Notes
    -----
    Where only recurrent layers look at other frames, and the number of frames is open,
    each new frame is read once and the state is kept: the same values as from reading
    all frames again, in less time. A `stateful` layer starts from zeros.

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
    steps = _check_whole(doing, "steps", steps)
    new_frames = _check_whole(doing, "new_frames", new_frames)
    window = _check_window(model, clip)
    predicted = np.empty((len(clip), steps, *clip.shape[2:]), np.float32)
    calls = -(-steps // new_frames)
    at_once = model.input_shape[0] or _CLIPS_AT_ONCE
    with _progress(calls * -(-len(clip) // at_once)) as bar:
        for first in range(0, len(clip), at_once):
            chunk = slice(first, first + at_once)
            predict = _choose_way(model, clip[chunk], window, new_frames)
            frames = clip[chunk]
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
            "Sequential with keras.Input, or call the model on a clip."
        )
    fits = len(shape) == 5 and all(
        expected in (None, size)
        for expected, size in zip(shape[2:], clip.shape[2:], strict=True)
    )
    if not fits:
        raise ShapeError(
            f"rollout expected a model of clips {name_axes((None, *clip.shape[1:]))}, "
            f"got one of {name_axes(shape)}. Give clips of the size that it was built "
            "for."
        )
    if shape[1] is not None and clip.shape[1] < shape[1]:
        raise ShapeError(
            f"rollout expected a clip of at least {shape[1]} frames, which the model "
            f"reads, got {clip.shape[1]}. Give a longer clip."
        )
    window: int | None = shape[1]
    return window


def _progress(calls: int) -> Any:
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise ImportError(
            "rollout shows its progress with tqdm, which is not installed. Install "
            "the extra: pip install 'cnnseq-helpers[video]'."
        ) from error
    return tqdm(total=calls, desc="rollout", unit="call", delay=1)


# --- One call -------------------------------------------------------------------------


def _choose_way(
    model: Any, clip: Frames, window: int | None, new_frames: int
) -> Callable[[Frames], Frames]:
    """Return a function of new frames, first the clip, that gives the next ones."""
    if window is None and new_frames == 1 and _steps_alone(model):
        stepper = _with_state(model, clip.shape)
        return lambda frames: _call(stepper, frames)[:, -1:]
    seen = clip[:, :0]

    def predict(frames: Frames) -> Frames:
        nonlocal seen
        seen = np.concatenate([seen, frames], axis=1)
        if window is not None:
            seen = seen[:, -window:]
        forget(model)
        outputs = _call(model, seen)
        if outputs.shape[1] < new_frames:
            raise ShapeError(
                f"rollout expected {new_frames} new frames a call, got "
                f"{outputs.shape[1]} from {model.name}. Change new_frames."
            )
        return outputs[:, -new_frames:]

    if new_frames == 1:
        few = clip[: model.input_shape[0] or 1]
        _check_ahead(model, few if window is None else few[:, -window:])
    return predict


def _call(model: Any, clip: Frames) -> Frames:
    """Return what leaves the model, checked to be frames, in a batch of clips."""
    try:
        outputs = model(clip, training=False)
    except Exception as error:
        raise ShapeError(
            f"rollout called {model.name} on {name_axes(clip.shape)} and got "
            f"{type(error).__name__}: {error}"
        ) from error
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
    check_pixels(
        "rollout",
        "what the model predicts",
        frames,
        'End the model in a sigmoid: activation="sigmoid".',
    )
    return frames[:, None] if frames.ndim == 4 else frames


def _check_ahead(model: Any, clip: Frames) -> None:
    """Refuse a model whose earlier outputs know the last frame of the clip."""
    forget(model)
    before = _call(model, clip)
    if clip.shape[1] < 2 or before.shape[1] != clip.shape[1]:
        return
    forget(model)
    after = _call(model, np.concatenate([clip[:, :-1], 1 - clip[:, -1:]], axis=1))
    moved = np.abs(after - before)[:, :-1].max()
    if moved > 1e-4:
        raise ValueError(
            f"rollout took output t of {model.name} for a prediction of frame t + 1, "
            "but when the last frame of the clip was changed, outputs before the last "
            f"one moved by up to {moved:.2g}: the model looks ahead. Find out where "
            "with assert_causal. If all that leaves it are frames that follow the "
            f"clip, give new_frames={before.shape[1]}."
        )


# --- With a state ---------------------------------------------------------------------


def _steps_alone(model: Any) -> bool:
    """Tell whether recurrent layers alone make a frame depend on others."""
    if not is_model(model):
        return False
    graph = functional_of(model)
    return all(
        _reads_forward(operation) or _frame_by_frame(operation)
        for operation in graph.operations
        if not isinstance(operation, layers.InputLayer)
    )


def _reads_forward(layer: Any) -> bool:
    """Tell whether it is a recurrent layer that gives one output for each frame."""
    return (
        isinstance(layer, _RECURRENT)
        and layer.return_sequences
        and not (layer.go_backwards or layer.return_state)
        and [len(node.input_tensors) for node in layer._inbound_nodes] == [1]
    )


def _frame_by_frame(operation: Any) -> bool:
    nodes = operation._inbound_nodes
    if len(nodes) != 1:
        return False
    shapes = [tuple(tensor.shape) for tensor in nodes[0].input_tensors]
    (output,) = nodes[0].outputs if len(nodes[0].outputs) == 1 else (None,)
    if output is None or any(len(shape) < 3 for shape in shapes):
        return False
    here = Reach(None)
    return through(operation, shapes, tuple(output.shape), [here] * len(shapes)) == here


def _with_state(model: Any, shape: tuple[int, ...]) -> Any:
    """Copy a model so that it remembers its state from call to call."""

    def copied(layer: Any) -> Any:
        config = layer.get_config()
        if isinstance(layer, _RECURRENT):
            config["stateful"] = True
        return type(layer).from_config(config)

    inputs = keras.Input(batch_shape=(shape[0], None, *shape[2:]))
    copy = keras.models.clone_model(
        functional_of(model), input_tensors=inputs, clone_function=copied
    )
    copy.set_weights(model.get_weights())
    return copy
