"""Write a sequence of tokens with a model of one step: greedy or by beam search."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ..shapes import ShapeError, check_whole

_DOING = "decode"


def decode(
    step: Callable[[Any, Any], tuple[Any, Any]],
    state: Any,
    *,
    start: int,
    end: int | None,
    limit: int,
    width: int = 1,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the likeliest sequences of a step-by-step model, by beam search.

    The model is asked for the next token again and again, and shown the tokens that it
    wrote before. With ``width=1`` the likeliest token is taken each time, which is
    greedy decoding. With more, so many unfinished or finished sequences are kept at
    each step, those with the highest scores so far.

    Parameters
    ----------
    step : callable
        ``step(tokens, state)`` returns ``(logits, state)``: from the last tokens,
        int64 (batch,), the logits or log-probabilities (batch, vocabulary) of the next
        ones. States that do not change, such as features of an image, are handed back
        as they came.
    state : array, or list, tuple or dict of arrays
        The state before the first token, each array (batch, ...). Beams are further
        rows of the batch: `step` gets up to ``batch * width`` rows, as NumPy arrays.
    start : int
        The token that stands in front of each sequence. It is not returned.
    end : int or None
        The token that ends a sequence. None for sequences of `limit` tokens.
    limit : int
        The most tokens of a sequence, the one that ends it included.
    width : int
        How many sequences are kept at each step.

    Returns
    -------
    tokens : ndarray of int64, (batch, time)
        The sequence with the highest score that was found, `end` included, and `end`
        again behind it. A sequence that was cut at `limit` has no `end`.
    scores : ndarray of float64, (batch,)
        Its log-probability: the sum over its tokens.

    Raises
    ------
    ShapeError
        If a number is not whole or too small, `end` is not in the vocabulary, or logits
        or states are of another shape than described.
    ValueError
        If a logit is NaN or positive infinity, or all of a row are forbidden.

    Warns
    -----
    UserWarning
        If no sequence of the batch ended: the model may never have seen an end.

    Notes
    -----
    The score is a sum, so that of two sequences the longer one tends to lose. Wider
    beams find higher scores, and not always better sequences (Stahlberg and Byrne,
    "On NMT search errors and model errors", arXiv:1908.10090).

    Examples
    --------
    The likeliest first token leads to worse sequences here than the second one:

    >>> after = {0: [0.0, 0.6, 0.4], 1: [0.4, 0.3, 0.3], 2: [1.0, 0.0, 0.0]}
    >>> def step(tokens, state):
    ...     with np.errstate(divide="ignore"):
    ...         return np.log([after[token] for token in tokens]), state
    >>> nothing = np.zeros((1, 0))
    >>> for width in (1, 2):
    ...     tokens, score = decode(step, nothing, start=0, end=0, limit=2, width=width)
    ...     print(tokens, np.exp(score).round(2))
    [[1 0]] [0.24]
    [[2 0]] [0.4]
    """
    start = check_whole(_DOING, "start", start, at_least=0)
    end = None if end is None else check_whole(_DOING, "end", end, at_least=0)
    limit = check_whole(_DOING, "limit", limit)
    width = check_whole(_DOING, "width", width)
    state = keras.tree.map_structure(keras.ops.convert_to_numpy, state)
    batch = _rows(state)
    written = np.zeros((batch, 1, 0), np.int64)  # (batch, beam, time)
    scores, ended = np.zeros((batch, 1)), np.zeros((batch, 1), bool)
    last, vocabulary = np.full(batch, start), None
    for _ in range(limit):
        chances, state = _take_step(step, last, state, vocabulary, end)
        beams, vocabulary = scores.shape[1], chances.shape[1]
        chances = chances.reshape(batch, beams, vocabulary)
        if end is not None:  # what has ended goes on as it is, for nothing
            chances[ended] = np.where(np.arange(vocabulary) == end, 0, -np.inf)
        total = (scores[..., None] + chances).reshape(batch, -1)
        best = _highest(total, width)
        parents, tokens = np.divmod(best, vocabulary)  # (batch, beam)
        scores = np.take_along_axis(total, best, axis=1)
        written = np.take_along_axis(written, parents[..., None], axis=1)
        written = np.concatenate([written, tokens[..., None]], axis=2)
        ended = np.take_along_axis(ended, parents, axis=1) | (tokens == end)
        if ended[:, 0].all():  # no other can rise above it
            break
        rows = (np.arange(batch)[:, None] * beams + parents).ravel()
        state = keras.tree.map_structure(lambda kept, rows=rows: kept[rows], state)
        last = tokens.ravel()
    if end is not None and not ended[:, 0].any():
        warnings.warn(_NONE_ENDED.format(limit=limit, end=end), stacklevel=2)
    return written[:, 0], scores[:, 0]


def _rows(state: Any) -> int:
    """Return the size of the batch, which all arrays of a state must share."""
    shapes = [np.shape(kept) for kept in keras.tree.flatten(state)]
    rows = {shape[0] if shape else None for shape in shapes}
    if len(rows) != 1 or not isinstance(size := rows.pop(), int) or size == 0:
        raise ShapeError(
            f"{_DOING} expected a state of arrays (batch, ...) with the same batch of "
            f"at least 1, got the shapes {shapes}. A model without a state is given "
            "np.zeros((batch, 0))."
        )
    return size


def _take_step(
    step: Callable[[Any, Any], tuple[Any, Any]],
    tokens: NDArray[np.int64],
    state: Any,
    vocabulary: int | None,
    end: int | None,
) -> tuple[NDArray[np.float64], Any]:
    """Return log-probabilities (rows, vocabulary) of the next tokens, and the state."""
    answer = step(tokens, state)
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise ShapeError(
            f"{_DOING} expected step(tokens, state) to return the pair (logits, "
            f"state), got {_kind(answer)}. A Keras model with several outputs needs a "
            "function around it: logits, *state = model(...); return logits, state."
        )
    logits = np.asarray(keras.ops.convert_to_numpy(answer[0]), np.float64)
    following = keras.tree.map_structure(keras.ops.convert_to_numpy, answer[1])
    _check_logits(logits, len(tokens), vocabulary, end)
    if (rows := _rows(following)) != len(tokens):
        raise ShapeError(
            f"{_DOING} gave {len(tokens)} rows to step, and expected as many of each "
            f"state, got {rows}. Rows are beams of all sequences: make no state of a "
            "fixed batch inside step."
        )
    peak = logits.max(axis=1, keepdims=True)
    shifted = logits - peak
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)), following


def _check_logits(
    logits: NDArray[np.float64], rows: int, vocabulary: int | None, end: int | None
) -> None:
    """Refuse logits of another shape, and those that no softmax can take."""
    shape = logits.shape
    if len(shape) != 2 or shape[0] != rows or vocabulary not in (None, shape[1]):
        cure = (
            "Take the last step: logits[:, -1]."
            if len(shape) == 3
            else "The head needs one output a word, the same at every step."
        )
        raise ShapeError(
            f"{_DOING} expected logits (batch={rows}, vocabulary"
            f"{'' if vocabulary is None else f'={vocabulary}'}) of step, got {shape}. "
            f"{cure}"
        )
    if end is not None and end >= shape[1]:
        raise ShapeError(
            f"{_DOING} expected end to be one of the {shape[1]} tokens of the logits, "
            f"0 to {shape[1] - 1}, got {end}. Change end, or give the head one output "
            "for each token of the vocabulary, the end included."
        )
    if not np.isfinite(logits.max(axis=1)).all():
        raise ValueError(
            f"{_DOING} expected finite logits, or minus infinity for some of a row, "
            "got NaN, positive infinity, or a row that forbids every token. Look at "
            "the weights of the model, and at what forbids tokens."
        )


def _highest(total: NDArray[np.float64], width: int) -> NDArray[np.int64]:
    """Return the places of the highest numbers of each row, the highest first."""
    if width < total.shape[1]:
        kept = np.sort(np.argpartition(-total, width - 1, axis=1)[:, :width], axis=1)
    else:
        kept = np.broadcast_to(np.arange(total.shape[1]), total.shape)
    values = np.take_along_axis(total, kept, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(kept, order, axis=1)


def _kind(answer: Any) -> str:
    """Say what came in the place of a pair."""
    if isinstance(answer, tuple | list):
        return f"a {type(answer).__name__} of {len(answer)}"
    return f"a {type(answer).__name__}"


_NONE_ENDED = (
    "decode found no sequence that ends: none of the batch has the token end={end} "
    "within limit={limit} tokens. Raise limit, or see that each sequence of the "
    "training ends in this token, and that the mask counts it."
)
