"""Teach a student model the logits of a teacher."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..shapes import ShapeError, check_whole, sizes_fit
from ..tracing.graph import functional_of, is_model
from ..tracing.heads import read_heads

# Logits may be any number, so their distance counts; probabilities have a loss of
# their own, whose gradients do not vanish where the teacher is sure.
_LOSSES = {
    "sigmoid": keras.losses.BinaryCrossentropy,
    "softmax": keras.losses.CategoricalCrossentropy,
}


def distill(
    student: keras.Model,
    teacher: keras.Model | Callable[[Any], Any],
    x: Any,
    *,
    mixed: int = 0,
    epochs: int = 100,
    batch_size: int = 16,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 1e-3,
    verbose: int | str = "auto",
) -> keras.callbacks.History:
    """Train the student to give the outputs that the teacher gives; no labels needed.

    Parameters
    ----------
    student : keras.Model
        A Functional or built Sequential model, such as `to_cnn1d` of the teacher. Its
        weights are trained; how it is compiled stays.
    teacher : keras.Model or callable
        Takes the same input, gives outputs of the same shape. It is left as it is. Any
        function from x to an array (batch, outputs) will do, such as the scores of a
        classifier that is no network; give it what it needs to know of padding.
    x : array_like, or list or dictionary of arrays, (batch, time, ...)
        Sequences as `fit` would take them, labelled or not. One boolean input (batch,
        time) says which steps count where outputs are per step.
    mixed : int
        So many series are made out of those in x, and the teacher judges them as well:
        sums of two, in shares drawn at random. For x that is one array (batch, time,
        channels) of floats, alone or with a mask. 0 adds nothing.
    epochs, batch_size : int
        Passes through all series, and sequences per update.
    learning_rate : float or LearningRateSchedule
        Of Adam.
    verbose : int or str
        As for `fit`: a progress bar unless 0.

    Returns
    -------
    keras.callbacks.History
        Its ``history["loss"]`` holds the distance to the teacher, epoch by epoch.

    Raises
    ------
    ShapeError
        If the two differ in the shape of their outputs, or one alone ends in a sigmoid
        or a softmax; if x is no array for each input, or does not fit one of them, or
        is to be mixed and is no series; if a number is not whole and positive.
    TypeError
        If the teacher is neither a Keras model nor a function.
    ValueError
        If the student is the teacher or shares its weights, or the teacher's outputs
        are not finite, or no probabilities where the student gives probabilities.

    Warns
    -----
    UserWarning
        If the student ends no nearer to the teacher than the mean of the teacher's
        outputs is, the same answer for every sequence.

    Notes
    -----
    Logits are matched by their mean squared error, as in Ba and Caruana, "Do Deep Nets
    Really Need to be Deep?", arXiv:1312.6184; the outputs of a softmax or sigmoid by
    the cross-entropy, which is distillation at a temperature of 1 in the words of
    Hinton, Vinyals and Dean, arXiv:1503.02531. Sums of two samples are the idea of
    Zhang, Cisse, Dauphin and Lopez-Paz, arXiv:1710.09412; that a small network learns
    more from a teacher's answers to many made-up samples than from few labels is that
    of Bucila, Caruana and Niculescu-Mizil, doi:10.1145/1150402.1150464. For repeatable
    results set the seed before: ``keras.utils.set_random_seed``.

    Examples
    --------
    >>> import numpy as np
    >>> from cnnseq_helpers import cnn_lstm, to_cnn1d
    >>> teacher = cnn_lstm((100, 6), 4)
    >>> student = to_cnn1d(teacher)
    >>> x = np.random.default_rng(0).normal(size=(8, 100, 6)).astype("float32")
    >>> history = distill(student, teacher, x, verbose=0)
    >>> history.history["loss"][-1] < history.history["loss"][0]
    True
    """
    epochs = check_whole("distill", "epochs", epochs)
    batch_size = check_whole("distill", "batch_size", batch_size)
    _check_pair(student, teacher)
    _check_data(student, x)
    if mixed:
        x = _add_mixed(x, check_whole("distill", "mixed", mixed))
    outputs = _teach(teacher, x, batch_size, verbose)
    _check_outputs(student, x, outputs)
    losses = _choose_losses(student, teacher)
    _check_probabilities(losses, outputs)
    # A second model of the same weights, so that the student stays compiled as it is.
    trained = functional_of(student)
    pack = partial(keras.tree.pack_sequence_as, trained.output)
    weights = _real_steps(x, outputs)
    trained.compile(keras.optimizers.Adam(learning_rate), pack(losses))
    trained.optimizer.build(trained.trainable_variables)  # spares a second trace
    history = trained.fit(
        x,
        pack(outputs),
        batch_size=batch_size,
        epochs=epochs,
        sample_weight=None if weights is None else pack(weights),
        verbose=verbose,
    )
    ours = _run("student", student, x, batch_size, 0)
    for number, loss in enumerate(losses):
        weight = None if weights is None else weights[number]
        _compare_with_mean(loss, outputs[number], ours[number], weight)
    return history


def _check_pair(student: Any, teacher: Any) -> None:
    if not is_model(student):
        raise ShapeError(
            "distill expected a student that is a Functional model or a built "
            f"Sequential one, got {type(student).__name__}. Start a Sequential with "
            "keras.Input(shape)."
        )
    if not callable(teacher):
        raise TypeError(
            "distill expected a Keras model or a function from x to outputs as teacher,"
            f" got {type(teacher).__name__}. Of a scikit-learn classifier give the "
            "scores: lambda x: classifier.decision_function(x)."
        )
    theirs = {id(weight) for weight in getattr(teacher, "weights", ())}
    if shared := [weight.path for weight in student.weights if id(weight) in theirs]:
        raise ValueError(
            "distill expected a student with weights of its own, got one that shares "
            f"{shared[0]!r} with the teacher. Training would change both: make the "
            "student with to_cnn1d or keras.models.clone_model."
        )

    if is_model(teacher):
        ours, wanted = (functional_of(model).input for model in (student, teacher))
        if not _alike(ours, wanted):
            ours, wanted = (
                keras.tree.map_structure(lambda each: each.shape, inputs)
                for inputs in (ours, wanted)
            )
            raise ShapeError(
                "distill expected a student with the input_shape of the teacher, "
                f"{wanted}, got {ours}. to_cnn1d(teacher) makes one."
            )


def _alike(ours: Any, theirs: Any) -> bool:
    """Tell whether inputs have the same names and shapes, but for unknown sizes."""
    names = [
        list(inputs) if isinstance(inputs, dict) else None for inputs in (ours, theirs)
    ]
    shapes = [
        [each.shape for each in keras.tree.flatten(inputs)] for inputs in (ours, theirs)
    ]
    same = names[0] == names[1] and len(shapes[0]) == len(shapes[1])
    return same and all(map(sizes_fit, *shapes))


def _check_data(student: Any, x: Any) -> None:
    arrays = keras.tree.flatten(x)
    if not all(hasattr(each, "shape") and len(each.shape) for each in arrays):
        raise ShapeError(
            f"distill expected x to be an array, or a list or dictionary of arrays, "
            f"got a {type(x).__name__}. Of a data set take the sequences: "
            "np.concatenate([x for x, *_ in batches])."
        )
    rows = [len(each) for each in arrays]
    if len(arrays) != len(student.inputs) or len({*rows}) > 1 or 0 in rows:
        shapes = ", ".join(str(tuple(each.shape)) for each in arrays)
        raise ShapeError(
            f"distill expected one array for each of the {len(student.inputs)} inputs "
            f"of the student, with one row or more, got {shapes}. Leave out labels: "
            "the teacher makes what is to be learned."
        )


def _add_mixed(x: Any, number: int) -> Any:
    """Return x with so many mixtures of its series behind it."""
    arrays = [np.asarray(each) for each in keras.tree.flatten(x)]
    masks = [each for each in arrays if each.dtype == bool and each.ndim == 2]
    series = [each for each in arrays if each.ndim == 3 and each.dtype.kind == "f"]
    if len(series) != 1 or len(series) + len(masks) != len(arrays) or len(masks) > 1:
        raise ShapeError(
            "distill mixes series, and expected x to be one array of floats (batch, "
            "time, channels), alone or with one boolean mask (batch, time), got "
            f"{', '.join(f'{each.dtype} {each.shape}' for each in arrays)}. Make the "
            "further samples yourself, give them with the others, and leave out mixed."
        )
    mask = masks[0] if masks else None
    new, pairs, _ = mix_series(series[0], mask, number)
    return keras.tree.pack_sequence_as(
        x,
        [
            np.concatenate([each, new if each.ndim == 3 else each[pairs[:, 0]]])
            for each in arrays
        ],
    )


def _teach(teacher: Any, x: Any, batch_size: int, verbose: int | str) -> list[Any]:
    """Return the teacher's outputs, in the order of the student's."""
    outputs = _run("teacher", teacher, x, batch_size, verbose)
    name = getattr(teacher, "name", "function")
    if not all(np.isfinite(each).all() for each in outputs):
        raise ValueError(
            f"distill expected finite outputs from the teacher {name!r}, got "
            "NaN or infinity. Look for them in x and in the teacher's weights."
        )
    return outputs


def _run(
    who: str, model: Any, x: Any, batch_size: int, verbose: int | str
) -> list[Any]:
    try:
        if isinstance(model, keras.Model):
            outputs = model.predict(x, batch_size=batch_size, verbose=verbose)
        else:
            outputs = keras.tree.map_structure(np.asarray, model(x))
    except Exception as error:
        shapes = keras.tree.map_structure(lambda each: tuple(each.shape), x)
        name = getattr(model, "name", "function")
        raise ShapeError(
            f"distill asked the {who} {name!r} for its outputs on x of shape "
            f"{shapes}, and got {type(error).__name__}: {error} Give x as fit would "
            "take it, without labels."
        ) from error
    arrays: list[Any] = keras.tree.flatten(outputs)
    return arrays


def _check_outputs(student: Any, x: Any, outputs: list[Any]) -> None:
    """Compare real outputs: those of other shapes could broadcast in the loss."""
    few = keras.tree.map_structure(lambda each: each[:2], x)
    ours = [each.shape[1:] for each in _run("student", student, few, 2, 0)]
    theirs = [each.shape[1:] for each in outputs]
    rows = len(keras.tree.flatten(x)[0])
    if wrong := [each.shape for each in outputs if each.shape[:1] != (rows,)]:
        raise ShapeError(
            f"distill expected one row of outputs from the teacher for each of the "
            f"{rows} sequences, got an array {wrong[0]}. A teacher is a function of a "
            "batch: (batch, time, channels) to (batch, outputs)."
        )
    if ours != theirs:
        raise ShapeError(
            "distill expected a student with the output_shape of the teacher, for one "
            f"sequence {theirs}, got {ours}. to_cnn1d(teacher) makes one."
        )


def _check_probabilities(losses: list[Any], outputs: list[Any]) -> None:
    """Refuse scores as the goal of probabilities: a cross-entropy falls for ever."""
    for loss, each in zip(losses, outputs, strict=True):
        is_cross_entropy = not isinstance(loss, keras.losses.MeanSquaredError)
        if is_cross_entropy and not ((each >= 0) & (each <= 1)).all():
            raise ValueError(
                "distill expected probabilities from the teacher, since the student "
                f"ends in a sigmoid or a softmax, got values from {each.min():.3g} to "
                f"{each.max():.3g}. Let the student end in logits: Dense(units) "
                "with no activation."
            )


def _choose_losses(student: Any, teacher: Any) -> list[keras.losses.Loss]:
    """Return one loss for each output, by its last activation."""
    ours = [_loss_for(head) for head in read_heads(student)[0]]
    # Only a graph tells the last activation for sure.
    theirs = (
        [_loss_for(head) for head in read_heads(teacher)[0]]
        if is_model(teacher)
        else ours
    )
    if ours != theirs:
        names = [
            [head.activation for head in read_heads(model)[0]]
            for model in (student, teacher)
        ]
        raise ShapeError(
            "distill expected student and teacher to end alike, in logits, a sigmoid "
            f"or a softmax, got the last activations {names[0]} and {names[1]}. Let "
            "both end in logits."
        )
    # The mean over the steps that count, so that padding does not change the loss.
    return [loss(reduction="mean_with_sample_weight") for loss in ours]


def _loss_for(head: Any) -> type[keras.losses.Loss]:
    loss: type[keras.losses.Loss] = _LOSSES.get(
        head.activation, keras.losses.MeanSquaredError
    )
    return loss


def _compare_with_mean(loss: Any, theirs: Any, ours: Any, weight: Any) -> None:
    """Warn of a student that has learned no more than one answer for all sequences."""
    weights = np.ones(theirs.shape[:-1]) if weight is None else weight
    counts = np.maximum(weights.sum(axis=0), 1)[..., None]
    mean = (theirs * weights[..., None]).sum(axis=0) / counts
    # A cross-entropy is above 0 even between equal outputs.
    least = float(loss(theirs, theirs, weight))
    distance = float(loss(theirs, ours, weight)) - least
    spread = float(loss(theirs, np.broadcast_to(mean, theirs.shape), weight)) - least
    # What is left of a difference when everything is right is rounding.
    rounding = 1e-6 * abs(least) + 1e-12 * float(np.mean(np.square(theirs)))
    if len(theirs) > 1 and not distance < max(spread, rounding):
        warnings.warn(
            f"distill: the student ends at a distance of {distance:.3g} from the "
            f"teacher, and the mean of the teacher's outputs, one answer for all "
            f"sequences, is at {spread:.3g}. Train longer or with another "
            "learning_rate; whether the student sees its input at all is told by "
            "assert_uses_input(student, x).",
            stacklevel=3,
        )


def _real_steps(x: Any, outputs: list[Any]) -> list[Any] | None:
    """Return the mask as weights of the outputs that are per step, if there is one."""
    arrays = [np.asarray(each) for each in keras.tree.flatten(x)]
    masks = [each for each in arrays if each.dtype == bool and each.ndim == 2]
    if len(masks) != 1:
        return None
    mask = masks[0].astype("float32")
    return [
        mask
        if each.ndim > 2 and each.shape[:2] == mask.shape
        else np.ones(each.shape[:-1], "float32")
        for each in outputs
    ]


# --- New series out of given ones -----------------------------------------------------


# The beta distribution of the shares of two series: mostly of one, a little of another.
# Moving, scaling and noise were tried beside, and do harm: benchmarks/mixing.py.
_SHARES = 0.4


def mix_series(
    x: NDArray[Any], mask: NDArray[Any] | None, number: int
) -> tuple[NDArray[Any], NDArray[np.intp], NDArray[Any]]:
    """Return mixtures of two series each, whose they are, and the first one's shares.

    Where a mask is given, a mixture has the padding of its first series, and at steps
    where only that one is real, its values.

    Parameters
    ----------
    x : ndarray of float, (batch, time, channels)
        The series.
    mask : ndarray of bool, (batch, time), optional
        Which steps are real.
    number : int
        How many mixtures.

    Returns
    -------
    series : ndarray, (number, time, channels)
        The mixtures, in the type of x.
    pairs : ndarray of int, (number, 2)
        The rows of x that each is made of; its mask is that of the first.
    shares : ndarray of float, (number,)
        From 0 to 1: how much of the first.

    Notes
    -----
    Sums of two samples and their labels are those of Zhang, Cisse, Dauphin and
    Lopez-Paz, "mixup", arXiv:1710.09412. Drawn by a seed of
    ``keras.utils.set_random_seed``.
    """
    draw = np.random.default_rng(random.randrange(2**32))
    real = np.ones(x.shape[:2], bool) if mask is None else mask
    pairs = draw.integers(len(x), size=(number, 2))
    shares = draw.beta(_SHARES, _SHARES, size=number)
    # Padding may hold anything, NaN included.
    first, second = np.where(real[..., None], x, 0)[pairs.T]
    weights = np.where(real[pairs[:, 1]], shares[:, None], 1.0)[..., None]
    mixed = weights * first + (1 - weights) * second
    # A teacher that takes no mask reads the padding too, so it stays as it was.
    mixed = np.where(real[pairs[:, 0]][..., None], mixed, x[pairs[:, 0]])
    return mixed.astype(x.dtype), pairs, shares
