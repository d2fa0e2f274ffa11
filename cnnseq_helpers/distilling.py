"""Teach a student model the logits of a teacher."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from ._heads import read_heads
from .converting import functional_of
from .shapes import ShapeError, _check_whole
from .tracing import is_model

# Logits may be any number, so their distance counts; probabilities have a loss of
# their own, whose gradients do not vanish where the teacher is sure.
_LOSSES = {
    "linear": "mean_squared_error",
    "sigmoid": "binary_crossentropy",
    "softmax": "categorical_crossentropy",
}


def distill(
    student: keras.Model,
    teacher: keras.Model,
    x: Any,
    *,
    epochs: int = 100,
    batch_size: int = 16,
    learning_rate: float = 1e-3,
    verbose: int | str = "auto",
) -> keras.callbacks.History:
    """Train the student to give the outputs that the teacher gives; no labels needed.

    Parameters
    ----------
    student : keras.Model
        A Functional or built Sequential model, such as `to_cnn1d` of the teacher. Its
        weights are trained; how it is compiled stays.
    teacher : keras.Model
        Takes the same input, gives outputs of the same shape. It is left as it is.
    x : array_like, or list or dictionary of arrays, (batch, time, ...)
        Sequences as `fit` would take them, labelled or not. One boolean input (batch,
        time) says which steps count where outputs are per step.
    epochs, batch_size : int
        Passes through x, and sequences a step.
    learning_rate : float
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
        If the two differ in the shapes of inputs or outputs or in the last activation,
        a number is not whole and positive, or x does not fit the teacher.
    ValueError
        If the student is the teacher or shares its weights, or the teacher's outputs
        are not finite.

    Notes
    -----
    Logits are matched by their mean squared error, as in Ba and Caruana, "Do Deep Nets
    Really Need to be Deep?", arXiv:1312.6184; the outputs of a softmax or sigmoid by
    the cross-entropy, which is distillation at a temperature of 1 in the words of
    Hinton, Vinyals and Dean, arXiv:1503.02531. For repeatable results set the seed
    before: ``keras.utils.set_random_seed``.

    Examples
    --------
    >>> import numpy as np
    >>> from cnnseq_helpers import cnn_lstm, to_cnn1d
    >>> teacher = cnn_lstm((100, 6), 4)
    >>> student = to_cnn1d(teacher)
    >>> x = np.random.default_rng(0).normal(size=(8, 100, 6)).astype("float32")
    >>> history = distill(student, teacher, x, epochs=30, verbose=0)
    >>> history.history["loss"][-1] < history.history["loss"][0]
    True
    """
    epochs = _check_whole("distill", "epochs", epochs)
    batch_size = _check_whole("distill", "batch_size", batch_size)
    _check_pair(student, teacher)
    loss = _choose_loss(student, teacher)
    outputs = _teach(teacher, x, batch_size, verbose)
    # A second model of the same weights, so that the student stays compiled as it is.
    trained = functional_of(student)
    trained.compile(keras.optimizers.Adam(learning_rate), loss)
    return trained.fit(
        x,
        outputs,
        batch_size=batch_size,
        epochs=epochs,
        sample_weight=_real_steps(x, outputs),
        verbose=verbose,
    )


def _check_pair(student: Any, teacher: Any) -> None:
    if not is_model(student):
        raise ShapeError(
            "distill expected a student that is a Functional model or a built "
            f"Sequential one, got {type(student).__name__}. Start a Sequential with "
            "keras.Input(shape)."
        )
    if not isinstance(teacher, keras.Model):
        raise TypeError(
            f"distill expected a Keras model as teacher, got {type(teacher).__name__}."
        )
    theirs = {id(weight) for weight in teacher.weights}
    if shared := [w.path for w in student.trainable_weights if id(w) in theirs]:
        raise ValueError(
            "distill expected a student with weights of its own, got one that shares "
            f"{shared[0]!r} with the teacher. Training would change both: make the "
            "student with to_cnn1d or keras.models.clone_model."
        )
    for name in ("input_shape", "output_shape"):
        ours, wanted = getattr(student, name), getattr(teacher, name, None)
        if wanted is not None and not _agree(ours, wanted):
            raise ShapeError(
                f"distill expected a student with the {name} of the teacher, {wanted}, "
                f"got {ours}. to_cnn1d(teacher) makes one."
            )


def _agree(ours: Any, theirs: Any) -> bool:
    """Tell whether shapes are the same but for what is unknown in one of them."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(
            _agree(ours[key], theirs[key]) for key in ours
        )
    if isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)):
        pairs = zip(ours, theirs, strict=False)
        return len(ours) == len(theirs) and all(_agree(a, b) for a, b in pairs)
    return ours is None or theirs is None or bool(ours == theirs)


def _choose_loss(student: Any, teacher: Any) -> list[str]:
    """Return one loss for each output, by its last activation."""
    ours = [head.activation for head in read_heads(student)[0]]
    theirs = [head.activation for head in read_heads(teacher)[0]]
    if ours != theirs:
        raise ShapeError(
            f"distill expected the last activations of student and teacher to be the "
            f"same, got {ours} and {theirs}. Let both end in logits."
        )
    return [_LOSSES.get(activation, _LOSSES["linear"]) for activation in ours]


def _teach(teacher: Any, x: Any, batch_size: int, verbose: int | str) -> Any:
    """Return the teacher's outputs, as a list in the order of the model's outputs."""
    try:
        outputs = teacher.predict(x, batch_size=batch_size, verbose=verbose)
    except Exception as error:
        shapes = keras.tree.map_structure(np.shape, x)
        raise ShapeError(
            f"distill asked the teacher {teacher.name!r} for its outputs on x of shape "
            f"{shapes}, and got {type(error).__name__}: {error} Give x as fit would "
            "take it, without labels."
        ) from error
    outputs = keras.tree.flatten(outputs)
    if not all(np.isfinite(each).all() for each in outputs):
        raise ValueError(
            f"distill expected finite outputs from the teacher {teacher.name!r}, got "
            "NaN or infinity. Look for them in x and in the teacher's weights."
        )
    return outputs


def _real_steps(x: Any, outputs: list[Any]) -> list[Any] | None:
    """Return the mask as weights of the outputs that are per step, if there is one."""
    arrays = [np.asarray(each) for each in keras.tree.flatten(x)]
    masks = [each for each in arrays if each.dtype == bool and each.ndim == 2]
    if len(masks) != 1 or all(each.ndim < 3 for each in outputs):
        return None
    mask = masks[0].astype("float32")
    return [
        mask if each.ndim > 2 and each.shape[:2] == mask.shape else np.ones(len(each))
        for each in outputs
    ]
