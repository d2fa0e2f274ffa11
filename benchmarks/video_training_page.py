"""Table and figure of the ways to train for predictions from own predictions."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import cnnseq_helpers as helpers
from cnnseq_helpers.plotting import draw_horizons

HERE = Path(__file__).parent
WAYS = (
    "true frames",
    "noise on the inputs",
    "own predictions, no gradient",
    "closed loop, with gradient",
    "direct (ten at once)",
)
DIRECT = WAYS[-1]
LAST, MEAN = "copy the last frame", "mean image"


def runs(found, way, measure="mse"):
    """Return a measure, (seeds, horizons)."""
    keys = sorted(key for key in found if key.startswith(f"test/{way}/"))
    return np.array([found[key][measure] for key in keys])


def spread(values):
    """Return the mean over seeds ± half of their range."""
    return f"{np.mean(values):.1f} ± {np.ptp(values) / 2:.1f}"


def table(found):
    """Return a table of errors in Markdown."""
    lines = [
        "| trained on | frame 1 | frame 10 | mean 1 to 10 | 11 to 20 |",
        "|---|---|---|---|---|",
    ]
    for name in (LAST, MEAN):
        errors = np.array(found["baselines"][name])
        row = [errors[0], errors[9], errors[:10].mean(), errors[10:].mean()]
        lines.append(f"| {name} | {' | '.join(f'{value:.1f}' for value in row)} |")
    for way in WAYS:
        errors = runs(found, way)
        parts = errors[:, 0], errors[:, 9], errors[:, :10].mean(axis=1)
        cells = map(spread, (*parts, errors[:, 10:].mean(axis=1)))
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return lines


def settings(found):
    """Return a table in Markdown of what was chosen, and how many updates were made."""
    lines = ["| trained on | updates | learning rate | amount |", "|---|---|---|---|"]
    for way in WAYS:
        rate, amount = found[f"chosen/{way}"]
        updates = np.median(runs(found, way, "updates"))
        amount = "" if amount is None else f"{amount}"
        lines.append(f"| {way} | {updates:,.0f} | {rate:g} | {amount} |")
    return lines


def draw(found, path):
    """Draw the error of each way against the horizon."""
    helpers.use_book_style()
    plt.rcParams["svg.hashsalt"] = "video_training"
    figure, panel = plt.subplots(figsize=(5.2, 4.6))
    lines = draw_horizons(
        panel,
        {way: runs(found, way) for way in WAYS},
        {name: np.array(found["baselines"][name]) for name in (LAST, MEAN)},
    )
    panel.axvline(10.5, color="0.7", lw=1)
    panel.set(xlabel="horizon (frames ahead)", ylabel="MSE (sum over a frame)")
    panel.set_ylim(0, 1.6 * max(found["baselines"][MEAN]))
    figure.legend(lines, (*WAYS, LAST, MEAN), loc="outside lower center", ncols=2)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def write(found):
    """Write table and figure for the book's pages."""
    draw(found, HERE / "video_training.svg")
    (HERE / "video_training.md").write_text("\n".join([*table(found), ""]))
    text = "\n".join([*settings(found), ""])
    (HERE / "video_training_settings.md").write_text(text)
