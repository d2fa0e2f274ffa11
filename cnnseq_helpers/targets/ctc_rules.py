"""The rules of `check_targets` for CTC, whose labels are shorter than the output."""

from __future__ import annotations

import numpy as np

from .cases import Case, Found
from .labels import are_whole
from .shape_rules import is_padded, keep_length


def ctc_mismatch(case: Case) -> Found | None:
    """Return why labels and an output (batch, time, classes) do not fit, or None."""
    letters, steps, units = case.labels.sample, case.steps[0], case.units
    if not are_whole(case.labels):
        why = "CTC wants whole numbers, the indices of letters, and cuts these."
        return Found("labels-not-whole", why, "# Number the letters from 1.")
    if letters.min() < 0 or np.any((letters[:, :-1] == 0) & (letters[:, 1:] != 0)):
        why = (
            "CTC takes 0 for the end of the labels, and here letters follow a 0, or "
            "there are labels below it: letters are lost, silently."
        )
        fix = "# Number the letters from 1, and pad with 0 at the end."
        return Found("label-range", why, fix)
    if units is not None and letters.max() >= units:
        why = (
            f"{units} units mean letters 1 to {units - 1} beside the blank, 0, and "
            f"these go to {letters.max():g}."
        )
        return Found("units", why, case.resize(int(letters.max()) + 1))
    needed = _steps_needed(letters)
    if steps is None or needed.max() <= steps:
        return None
    why = (
        f"{int((needed > steps).sum())} rows need more than the {steps} steps of the "
        f"output, up to {needed.max()}: CTC gives each letter a step, and a blank "
        "between two equal ones. The loss of such a row is huge, silently, and "
        "teaches nothing."
    )
    return Found("ctc-length", why, _longer(case, int(needed.max())))


def _steps_needed(letters: np.ndarray) -> np.ndarray:
    repeated = (letters[:, 1:] == letters[:, :-1]) & (letters[:, 1:] != 0)
    needed: np.ndarray = (letters != 0).sum(axis=1) + repeated.sum(axis=1)
    return needed


def _longer(case: Case, needed: int) -> str:
    """Write the code that keeps as many steps as the model is given."""
    chain = case.head.chain
    series = [link for link in chain if len(link.input_shape) == 3]
    shorter = [k for k in series if k.input_shape[1] != k.output_shape[1]]
    enough = bool(series) and (series[-1].input_shape[1] or 0) >= needed
    plain = len(series) == len(chain) and all(link.alone for link in chain)
    padded = all(is_padded(link) for link in shorter)
    if not (enough and plain and padded):
        return (
            f"# Where the model is built: at least {needed} steps in the output, by "
            "fewer strides and poolings, or by UpSampling1D in front."
        )
    return case.rebuild([line for link in shorter for line in keep_length(link, 1)])
