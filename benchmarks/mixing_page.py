"""The page of the choice of how series are mixed: its tables."""

import numpy as np
from converting_page import broken
from stored_tables import write_tables

TRIED = ("GunPoint", "ArrowHead", "PickupGestureWiimoteZ", "ACSF1")
FIELDS = ("shares", "shift", "scale", "noise")
SETTINGS = {
    "at first": (0.4, 0.05, 0.1, 0.02),
    "none": None,
    "no noise": (0.4, 0.05, 0.1, 0.0),
    "more noise": (0.4, 0.05, 0.1, 0.1),
    "even shares": (1.0, 0.05, 0.1, 0.02),
    "only sums": (0.4, 0.0, 0.0, 0.0),
}


def mean_of(found, setting, name, who="student", field=0):
    """Return the mean of the folds: of accuracy, or (field=1) of cross-entropy."""
    return float(np.mean([fold[field] for fold in found[f"{setting}/{name}"][who]]))


def choice_table(found):
    """Return the accuracy on held-out thirds, by how the student's series are mixed."""
    heads = " | ".join(map(broken, TRIED))
    lines = [
        f"| shares | shift | scale | noise | {heads} | mean | cross-entropy |",
        "|---" * (len(TRIED) + 6) + "|",
    ]
    for setting, values in SETTINGS.items():
        cells = (
            [f"{each:g}" for each in values] if values else ["not mixed", "", "", ""]
        )
        lines.append(row(found, setting, cells, "student"))
    lines.append(row(found, "at first", ["the teacher itself", "", "", ""], "teacher"))
    return lines


def row(found, setting, cells, who):
    """Return a row of the table: accuracies, their mean, and the mean loss."""
    right = [mean_of(found, setting, name, who) for name in TRIED]
    loss = np.mean([mean_of(found, setting, name, who, 1) for name in TRIED])
    cells = [*cells, *(f"{each:.3f}" for each in [*right, np.mean(right)])]
    return f"| {' | '.join(cells)} | {loss:.2f} |"


def answers_table(found):
    """Return what teachers answer to series as they are, and to mixed ones."""
    columns = {
        "as they are": ("at first", "as they are"),
        "only sums": ("only sums", "mixed"),
        "moved and scaled": ("no noise", "mixed"),
        "and noise": ("at first", "mixed"),
    }
    heads = " | ".join([*columns, *columns])
    lines = [f"| | {heads} |", "|---" * (1 + 2 * len(columns)) + "|"]
    for name in TRIED:
        cells = [f"{mean_of(found, s, name, w):.2f}" for s, w in columns.values()]
        cells += [f"{mean_of(found, s, name, w, 1):.1f}" for s, w in columns.values()]
        lines.append(f"| {broken(name)} | {' | '.join(cells)} |")
    return lines


def tables(found):
    """Return the lines of every file."""
    return {
        "choice": choice_table(found),
        "answers": answers_table(found),
        "measured": [found["measured"] + "."],
    }


def write(found):
    """Write the tables that the book includes."""
    write_tables("mixing", tables(found))
