"""The page of the benchmark of handwriting: tables of losses and of written strokes."""

import numpy as np
from stored_tables import spread

CNN_LSTM, LSTM = "CNN-LSTM, 5 Gaussians", "LSTM, 5 Gaussians"
CONVOLUTIONS = "causal convolutions, 5 Gaussians"
GAUSSIAN = "CNN-LSTM, one Gaussian"
MEMORYLESS, LAST = "no memory, told the place", "no memory, last move only"
REGRESSION = "CNN-LSTM, plain regression"
METHODS = (CNN_LSTM, CONVOLUTIONS, LSTM, GAUSSIAN, MEMORYLESS, LAST, REGRESSION)
SEEDS = range(3)
RATES = (0.003, 0.01)
NOISE, NOISES = 0.1, (0.0, 0.1)
NOISY = (CNN_LSTM,)  # tried with and without
TEMPERATURES = (0.1, 0.3, 0.6, 1.0)
SHOWN = 0.3  # the temperature of tables that show one
SEVERAL = (12, 13, 14, 15)  # Multi_Models_1 to 4


def runs(found, method, noise=NOISE):
    """Return what was measured for a method: one record a seed."""
    return [found[f"{method}/{noise}/{seed}"] for seed in SEEDS]


def losses(found, method, part="test", noise=NOISE):
    """Return the losses on a part, one a seed."""
    return [run["loss"][part] for run in runs(found, method, noise)]


def written(found, method, measure, temperature=SHOWN, noise=NOISE):
    """Return one measure of what was written, one number a seed."""
    key = 0.0 if method == REGRESSION else temperature
    return [run["written"][str(key)][measure] for run in runs(found, method, noise)]


def temperatures(method, noise):
    """Return the temperatures that a writer is tried at."""
    if method == REGRESSION:
        return [0.0]
    several = method in (CNN_LSTM, CONVOLUTIONS) and noise == NOISE
    return TEMPERATURES if several else [SHOWN]


def chosen_rate(found, method):
    """Return the learning rate of the smallest loss on validation demonstrations."""
    return min(RATES, key=lambda rate: found[f"rate/{method}/{rate}"]["loss"])


def head(*cells):
    """Return the first two lines of a table."""
    return [f"| {' | '.join(cells)} |", "|---" * len(cells) + "|"]


def row(*cells):
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |"


def density_table(found):
    """Return the loss on test demonstrations."""
    lines = head("model", "loss, test", "loss, training", "CPU s", "rate")
    for method in METHODS:
        if method != REGRESSION:
            lines.append(
                row(
                    method,
                    spread(losses(found, method)),
                    spread(losses(found, method, "train")),
                    f"{np.mean([run['seconds'] for run in runs(found, method)]):.0f}",
                    str(chosen_rate(found, method)),
                )
            )
    return lines


MEASURES = {
    "distance": "own",
    "several movements": "several",
    "other shapes": "other",
    "named right": "named",
    "to each other": "spread",
    "copies": "copies",
}


def people_row(found):
    """Return the row of the demonstrations that people drew for testing."""
    people = found["people/test"]
    return row("people", *[f"{people[each]:.3f}" for each in MEASURES.values()])


def writers_table(found):
    """Return the measures of what each model writes, at one temperature."""
    lines = [*head("written by", *MEASURES), people_row(found)]
    for method in METHODS:
        cells = [spread(written(found, method, e), 3) for e in MEASURES.values()]
        lines.append(row(method, *cells))
    return lines


def temperature_table(found):
    """Return the measures of the CNN-LSTM and of the convolutions by temperature."""
    lines = [*head("written by", *MEASURES), people_row(found)]
    for method in (CNN_LSTM, CONVOLUTIONS):
        for temperature in TEMPERATURES:
            cells = [
                spread(written(found, method, each, temperature), 3)
                for each in MEASURES.values()
            ]
            lines.append(row(f"{method.split(',')[0]}, {temperature}", *cells))
    return lines


def noise_table(found):
    """Return the loss and what was written by the noise of the training."""
    shown = {k: MEASURES[k] for k in ("distance", "several movements", "named right")}
    lines = head("model", "noise", "loss, test", *shown)
    for method in NOISY:
        for noise in NOISES:
            cells = [
                spread(written(found, method, each, noise=noise), 3)
                for each in shown.values()
            ]
            loss = spread(losses(found, method, "test", noise))
            lines.append(row(method, str(noise), loss, *cells))
    return lines


def tables(found):
    """Return the lines of every file."""
    return {
        "density": density_table(found),
        "writers": writers_table(found),
        "temperatures": temperature_table(found),
        "noise": noise_table(found),
        "measured": [found["measured"] + "."],
    }
