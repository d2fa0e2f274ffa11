"""The page of the benchmark of handwriting: tables of losses and of written strokes."""

import matplotlib.pyplot as plt
import numpy as np
from stored_tables import HERE, spread

import cnnseq_helpers as helpers

CNN_LSTM, LSTM = "CNN-LSTM, 5 Gaussians", "LSTM, 5 Gaussians"
CONVOLUTIONS = "causal convolutions, 5 Gaussians"
GAUSSIAN = "CNN-LSTM, one Gaussian"
MEMORYLESS, LAST = "no memory, told the place", "no memory, last move only"
REGRESSION = "CNN-LSTM, plain regression"
METHODS = (CNN_LSTM, CONVOLUTIONS, LSTM, GAUSSIAN, MEMORYLESS, LAST, REGRESSION)
SEEDS = range(3)
RATES = (0.003, 0.01)
HEATED = (CNN_LSTM, CONVOLUTIONS)  # written at all temperatures
NOISES = (0.0, 0.1, 0.2)
TEMPERATURES = (0.1, 0.3, 0.6, 1.0)
UNITS = 64  # channels of the LSTM, or of the convolutions
SIZES = (32, 64, 128)
SEVERAL = (12, 13, 14, 15)  # Multi_Models_1 to 4


# --- What the validation demonstrations choose ----------------------------------------


def scores(found, noise, temperature, names="one"):
    """Return the energy scores of the CNN-LSTM on validation strokes, one a seed."""
    keys = [f"choice/{noise}/{seed}" for seed in SEEDS]
    return [found[key]["scores"][str(temperature)][names] for key in keys]


def chosen(found):
    """Return noise and temperature, for all writers.

    Of the pairs that are level with the best, their mean score within half of the range
    of its seeds, the one of the least noise and the lowest temperature.
    """
    each = {(n, t): scores(found, n, t) for n in NOISES for t in TEMPERATURES}
    best = min(each.values(), key=np.mean)
    limit = np.mean(best) + np.ptp(best) / 2
    return min(pair for pair, seeds in each.items() if np.mean(seeds) <= limit)


def shown(found, method):
    """Return the temperature of the tables that show one."""
    return 0.0 if method == REGRESSION else chosen(found)[-1]


# --- What was measured ----------------------------------------------------------------


def runs(found, method, noise=None):
    """Return what was measured for a method: one record a seed."""
    noise = chosen(found)[0] if noise is None else noise
    return [found[f"{method}/{noise}/{seed}"] for seed in SEEDS]


def losses(found, method, part="test", noise=None):
    """Return the losses on a part, one a seed."""
    return [run["loss"][part] for run in runs(found, method, noise)]


def written(found, method, measure, temperature=None, noise=None):
    """Return one measure of what was written, one number a seed."""
    key = str(shown(found, method) if temperature is None else temperature)
    return [run["written"][key][measure] for run in runs(found, method, noise)]


def temperatures(found, method, noise):
    """Return the temperatures that a writer is tried at."""
    if method in HEATED and noise == chosen(found)[0]:
        return TEMPERATURES
    return [shown(found, method)]


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
    for noise in sorted({0.0, chosen(found)[0]}):
        cells = [
            spread(written(found, CNN_LSTM, each, noise=noise), 3)
            for each in shown.values()
        ]
        loss = spread(losses(found, CNN_LSTM, "test", noise))
        lines.append(row(CNN_LSTM, str(noise), loss, *cells))
    return lines


def choice_table(found):
    """Return the scores on validation strokes by noise and temperature."""
    lines = head("names of", "noise", *[f"temperature {heat}" for heat in TEMPERATURES])
    best = chosen(found)
    for names, said in {"one": "one movement", "several": "several"}.items():
        people = f"people: {found['choice/people'][names]:.3f}"
        for noise in NOISES:
            cells = [spread(scores(found, noise, t, names), 3) for t in TEMPERATURES]
            if (noise, names) == (best[0], "one"):
                place = TEMPERATURES.index(best[1])
                cells[place] = f"**{cells[place]}**"
            lines.append(row(f"{said} ({people})", str(noise), *cells))
    return lines


SIZED = (CNN_LSTM, CONVOLUTIONS)


def size_key(method, units, seed):
    """Return where a writer of this size is stored."""
    return f"size/{method}/{units}/{seed}"


def size_table(found):
    """Return loss and score on validation strokes by the number of channels."""
    lines = head("model", "channels", "loss, validation", "score, validation")
    for method in SIZED:
        for units in SIZES:
            runs = [found[size_key(method, units, seed)] for seed in SEEDS]
            loss = spread([run["loss"] for run in runs], 3)
            score = spread([run["score"]["one"] for run in runs], 4)
            lines.append(row(method, str(units), loss, score))
    return lines


# --- From a picture to its path -------------------------------------------------------

PATHS_OF = {"known": "known shapes", "unseen": "unseen shapes"}
READER, COPY = "CNN and LSTM", "nearest training picture"
TURNED, BEST = "nearest, turned copies too", "best copy, were the path known"
COPIES = (COPY, TURNED, BEST)


def picture_table(found):
    """Return how far paths are off, on shapes of the training and on others."""
    columns = [f"{m}, {p}" for p in PATHS_OF.values() for m in ("path", "line")]
    lines = head("path from", *columns)
    for method in (READER, *COPIES):
        cells = [
            spread([each[part][method][measure] for each in picture_runs(found)], 3)
            for part in PATHS_OF
            for measure in ("path", "line")
        ]
        lines.append(row(method, *cells))
    return lines


def picture_runs(found):
    """Return what was measured of paths from pictures, one record a seed."""
    return [found[f"pictures/{seed}"] for seed in SEEDS]


def picture_rate(found):
    """Return the rate of the reader with the least error in validation."""
    errors = {
        key.split("/")[-1]: found[key]["error"]
        for key in found
        if key.startswith("pictures/choice/")
    }
    return float(min(errors, key=errors.get))


def draw(found):
    """Draw some true paths, those of the model and the copied ones; save as SVG."""
    helpers.use_book_style()
    plt.rcParams["svg.hashsalt"] = "handwriting"
    figure, panels = plt.subplots(2, 3, figsize=(5.2, 3.9))
    styles = {
        "true": ("0.75", "-", 4),
        COPY: ("C1", "--", 1.2),
        READER: ("C0", "-", 1.2),
    }
    for panel, example in zip(
        panels.flat, found["pictures/0"]["examples"], strict=True
    ):
        for name, (color, style, width) in styles.items():
            x, y = np.array(example[name]).T
            panel.plot(x, y, style, color=color, linewidth=width)
            panel.plot(x[0], y[0], "o", color=color, markersize=width + 2)
        panel.set(title=example["shape"], xlim=(-0.6, 0.6), ylim=(-0.6, 0.6))
        panel.set(aspect="equal", xticks=[], yticks=[])
    for panel, name in zip(panels[:, 0], PATHS_OF.values(), strict=True):
        panel.set_ylabel(name)
    names = ("the picture", "nearest picture", READER)
    figure.legend(figure.axes[0].lines[::2], names, loc="outside lower center", ncols=3)
    figure.savefig(HERE / "handwriting_pictures.svg", metadata={"Date": None})
    plt.close(figure)


def tables(found):
    """Return the lines of every file."""
    return {
        "choice": choice_table(found),
        "sizes": size_table(found),
        "pictures": picture_table(found),
        "density": density_table(found),
        "writers": writers_table(found),
        "temperatures": temperature_table(found),
        "noise": noise_table(found),
        "measured": [found["measured"] + "."],
    }
