"""Find out whether logits, labels and loss fit together, before training does."""

from __future__ import annotations

import textwrap
import warnings
from typing import Any, NamedTuple

from ..shapes import ShapeError
from .fixes import write_fix
from .labels import read
from .rules import judge

# These say what could not be checked; all other codes, what does not fit.
UNCHECKED = {"no-loss", "not-built", "not-checked", "unknown-loss", "unreadable-labels"}


class TargetProblem(NamedTuple):
    """One thing that does not fit, or that could not be checked.

    Attributes
    ----------
    code : str
        Which problem it is; the codes stay the same from version to version.
    message : str
        What does not fit, with the shapes of output and labels by axis name.
    fix : str
        What mends it. For a model with one output and an array as `y` this is Python,
        where nothing else depends on what it changes: it sets `model`, `y`, `x` or
        `loss`, named as in the call of `check_targets`, and uses ``keras`` and ``np``.
        A line that begins with ``#`` says what has to be done by hand.
    """

    code: str
    message: str
    fix: str

    def __str__(self) -> str:
        message = textwrap.fill(f"[{self.code}] {self.message}", 76)
        return f"{message}\n{textwrap.indent(self.fix, '    ')}"


def check_targets(
    model: Any, y: Any, loss: Any = None, *, x: Any = None
) -> list[TargetProblem]:
    """List what does not fit between the outputs of a model, labels and loss.

    Parameters
    ----------
    model : keras.Model
        A Functional, Sequential or subclassed model, with one output or several. A
        subclassed model must have been called once; `fit` and this check trace it.
    y : array, tensor, list or dict of these, tf.data.Dataset or keras.utils.PyDataset
        The labels as `fit` takes them, or a data set of (x, y): its first batch is
        drawn and looked at. Of more than a million values it takes a sample.
    loss : str, class, instance, function, list or dict of these, optional
        The loss, as `compile` takes it; the compiled one if not given.
    x : array or structure of arrays, optional
        The inputs. Their number is compared, and a subclassed model traced with their
        shapes.

    Returns
    -------
    list of TargetProblem
        Empty when all fits. Mend the first, compile again and check again: one fault
        often causes the next. What could not be checked is a problem too. A fix that
        changes the settings of layers does so in the model that was handed over, and
        builds a new one from it, with fresh weights.

    See Also
    --------
    checked_targets : the same as a guard in front of `fit`.

    Notes
    -----
    The codes, and what Keras 3 does of its own:

    ==========================  ============================================  ==========
    code                        what does not fit                             ``fit``
    ==========================  ============================================  ==========
    no-labels                   no labels, or none at all in a data set       raises
    unreadable-labels           ragged, sparse or other objects               raises
    label-list                  a list of numbers instead of an array         raises
    label-strings               text                                          raises
    label-dtype                 numbers as Python objects                     raises
    label-missing               NaN or infinity                               silent
    not-batched                 a data set of single samples                  raises
    unknown-rank                a data set without a promised number of axes  raises
    batch-size                  labels and inputs differ in number            raises
    outputs                     other outputs than the model's                raises
    units                       too few or too many units                     varies
    indices-for-one-hot-loss    class indices, but a column for each class    raises
    one-hot-for-sparse-loss     one-hot rows, but class indices wanted        raises
    several-hot                 several labels at once under a softmax        varies
    one-unit                    classes compete, but there is one unit        varies
    one-unit-two-columns        two columns for one yes or no                 varies
    two-units-one-column        one column for two yes or no                  raises
    per-step-output             one label a sequence, an output each step     varies
    per-sequence-output         a label each step, one output a sequence      varies
    time-length                 steps (or pixels) lost on the way             varies
    time-distributed            TimeDistributed over an unknown time length   varies
    label-axes                  the right values in other axes                varies
    label-shape                 any other shape                               varies
    labels-from-one             classes counted from 1                        varies
    labels-signed               -1 and 1 where 0 and 1 are wanted             varies
    label-range                 other values than the loss wants              varies
    labels-not-whole            class indices with decimals                   silent
    labels-not-probabilities    rows that do not sum to one                   silent
    labels-beyond-activation    targets that the activation can't reach       silent
    softmax-from-logits         probabilities, but ``from_logits=True``       varies
    logits-as-probabilities     logits, but ``from_logits=False``             silent
    no-probabilities            gated or added up behind softmax (recurrent)  silent
    ctc-length                  more letters than steps in the output (CTC)   silent
    metric                      a compiled metric of something else           varies
    head-activation             an activation that bounds the logits          silent
    not-built, no-loss          nothing to compare the labels with yet
    unknown-loss                a loss whose labels are not known
    not-checked                 something unforeseen, named in the message
    ==========================  ============================================  ==========

    "varies": some cases raise, others warn or train in silence. Labels that a mask or a
    sample weight of 0 leaves out may have any value but NaN; class indices are checked
    all the same, since the loss looks them up. Metrics are those that the model was
    compiled with. Without `x`, samples along another axis are told by the labels alone,
    as far as they can: one-hot rows in one long vector, but not numbers. What is not
    seen: labels in the wrong order, mistakes inside a loss of one's own, and the last
    activation of a subclassed model.

    Examples
    --------
    >>> import keras, numpy as np
    >>> model = keras.Sequential([
    ...     keras.Input((100, 6)),
    ...     keras.layers.LSTM(32, return_sequences=True, name="lstm"),
    ...     keras.layers.Dense(4, name="logits"),
    ... ])
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> for problem in check_targets(model, np.zeros(40, int), loss):
    ...     print(problem)
    [per-step-output] The output is (batch, time=100, units=4), the labels are
    (batch=40) of int64, the loss is SparseCategoricalCrossentropy: one label a
    sample, but an output for each step: 'lstm' has return_sequences=True.
        model.get_layer('lstm').return_sequences = False
        model = keras.models.clone_model(model)  # with fresh weights
    """
    try:
        return find_problems(model, y, loss, x)
    except Exception as error:
        # A check that fails must not keep anyone from training.
        message = f"Nothing could be checked: {type(error).__name__}: {error}"
        return [TargetProblem("not-checked", message, "# Compare the shapes by hand.")]


def find_problems(
    model: Any, y: Any, loss: Any = None, x: Any = None
) -> list[TargetProblem]:
    """Read, judge and write fixes as `check_targets`, but raise errors of its own."""
    return [
        TargetProblem(finding.code, finding.message, write_fix(finding, case))
        for finding, case in judge(read(model, y, loss, x))
    ]


def checked_targets(model: Any, y: Any, loss: Any = None, *, x: Any = None) -> Any:
    """Return `y` if it fits the model and its loss, and explain why not if not.

    Parameters
    ----------
    model, y, loss, x
        As for `check_targets`.

    Returns
    -------
    array, structure of arrays or data set
        `y` itself, so that the guard stands in the call of `fit`.

    Raises
    ------
    ShapeError
        If `check_targets` finds what does not fit. The message lists all, with fixes.

    Warns
    -----
    UserWarning
        For what could not be checked: an unknown loss, a model that is not built.

    Notes
    -----
    This is no callback, since `fit` does not hand its callbacks the labels, and counts
    samples and refuses lists before it calls any.

    Examples
    --------
    >>> import keras, numpy as np
    >>> x, y = np.zeros((8, 100, 6)), np.arange(8) % 4
    >>> model = keras.Sequential([
    ...     keras.Input((100, 6)), keras.layers.LSTM(8), keras.layers.Dense(4)
    ... ])
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> model.compile("adam", loss)
    >>> history = model.fit(x, checked_targets(model, y, x=x), verbose=0)
    """
    problems = check_targets(model, y, loss, x=x)
    wrong = [problem for problem in problems if problem.code not in UNCHECKED]
    if wrong:
        raise ShapeError(
            "checked_targets expected labels that fit the model and its loss, got "
            "these problems. Mend the first, then check again.\n"
            + "\n".join(map(str, wrong))
        )
    for problem in problems:
        warnings.warn(f"checked_targets: {problem.message}", stacklevel=2)
    return y
