"""The page of the benchmark of captions: what each model says of clips, in tables."""

import numpy as np
from anomalies_page import head, spread

SEEDS, MORE_SEEDS = range(3), range(3, 6)
RATES = (0.002, 0.005)
FREQUENT, BLIND = "most frequent caption", "without the clip"
FLAT = "CNN trained with it, single frames flattened"
FIRST, EACH = "features as the first state", "features at each word"
LOOKING = "looks at frames, what and where apart"
READ = (FIRST, EACH, LOOKING)  # with the features of the two readers
TUNED = READ
SURE = (FIRST, LOOKING)  # measured from all seeds
METHODS = (FREQUENT, BLIND, FLAT, *READ)
PARTS = ("digit", "speed", "direction")


def runs(found, method):
    """Return what was measured for a method: one record a seed."""
    seeds = range(1) if method == FREQUENT else SEEDS
    return [found[f"{method}/{seed}"] for seed in seeds]


def values(found, method, pairs, measure):
    """Return one measure of each seed."""
    return [run[pairs][measure] for run in runs(found, method)]


def exact_table(found):
    """Return exact matches on new images, of seen and unseen pairs; and the seconds."""
    lines = head(["pairs of training", "unseen pairs", "CPU seconds"])
    for method in METHODS:
        cells = [
            spread(values(found, method, pairs, "exact"))
            for pairs in ("seen", "unseen")
        ]
        seconds = [run["seconds"] for run in runs(found, method)]
        cells.append("" if method == FREQUENT else f"{np.mean(seconds):.0f}")
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def part_table(found):
    """Return how often each part of the caption is right, for the models that read."""
    columns = [(p, part) for part in PARTS for p in ("seen", "unseen")]
    lines = head([f"{part}, {pairs}" for pairs, part in columns])
    for method in READ:
        cells = [spread(values(found, method, pairs, part)) for pairs, part in columns]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    cells = [
        ""
        if part == "speed"
        else spread([found[f"readers/{seed}"][pairs][part] for seed in SEEDS])
        for pairs, part in columns
    ]
    lines.append(f"| the two readers themselves | {' | '.join(cells)} |")
    return lines


def beam_table(found):
    """Return exact matches of greedy decoding and of beams, on new images."""
    lines = head(["greedy", "beam of 3", "captions that differ"])
    for method in READ:
        cells = [
            spread(values(found, method, "seen", measure))
            for measure in ("exact", "beam", "differ")
        ]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def sure_table(found):
    """Return the exact matches of six seeds on unseen pairs, the lowest first."""
    lines = head(["lowest", "", "", "", "", "highest"])
    for method in SURE:
        right = sorted(exact_of_all_seeds(found, method))
        lines.append(f"| {method} | {' | '.join(f'{each:.2f}' for each in right)} |")
    return lines


def exact_of_all_seeds(found, method):
    """Return the exact matches on unseen pairs, one of each of six seeds."""
    seeds = [*SEEDS, *MORE_SEEDS]
    return [found[f"{method}/{seed}"]["unseen"]["exact"] for seed in seeds]


def chosen_rate(found, method):
    """Return the rate with the lowest loss on the validation clips."""
    losses = {rate: found[f"rate/{method}/{rate}"]["loss"] for rate in RATES}
    return min(losses, key=losses.get)


def tables(found):
    """Return the lines of each table by the name of its file."""
    return {
        "exact": exact_table(found),
        "parts": part_table(found),
        "beams": beam_table(found),
        "sure": sure_table(found),
        "measured": [found["measured"] + "."],
    }
