"""Table and figures of the long video runs."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import cnnseq_helpers as helpers

HERE = Path(__file__).parent
METHODS = ("recurrent", "ConvLSTM", "convolutional")
LAST, MEAN = "copy the last frame", "mean image"
SHOWN = 2  # clips


def table(found):
    """Return a table in Markdown: measures on test clips, and the training."""
    lines = [
        "| model | MSE | frame 1 | frame 10 | SSIM | updates | learning rate | "
        "parameters |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in (LAST, MEAN, *METHODS):
        measures = found["test"][name]
        mse = np.array(measures["mse"])
        row = [f"{mse.mean():.1f}", f"{mse[0]:.1f}", f"{mse[-1]:.1f}"]
        row.append(f"{np.mean(measures['ssim']):.3f}")
        if name in METHODS:
            row.append(f"{found['curves'][name][-1][0]:,}")
            row += [f"{found['rates'][name]:g}", f"{found['parameters'][name]:,}"]
        else:
            row += [""] * 3
        lines.append(f"| {name} | {' | '.join(row)} |")
    return lines


def ratios(found):
    """Return the convolutional model's validation error over the ConvLSTM's.

    After equal CPU time, minute by minute, and after equal updates: where the faster
    model had made as many as the slower one in the end.
    """
    ours = np.array(found["curves"]["convolutional"])
    theirs = np.array(found["curves"]["ConvLSTM"])
    equal_time = ours[:, 1] / theirs[:, 1]
    updates = min(ours[-1, 0], theirs[-1, 0])
    at = [np.interp(updates, curve[:, 0], curve[:, 1]) for curve in (ours, theirs)]
    return {"equal time": equal_time.tolist(), "equal updates": at[0] / at[1]}


def draw_curves(found, path):
    """Draw the validation error of each model against CPU time."""
    helpers.use_book_style()
    plt.rcParams["svg.hashsalt"] = "video_long"
    figure, panel = plt.subplots(figsize=(5.2, 3.6))
    for method in METHODS:
        errors = [error for _, error in found["curves"][method]]
        panel.plot(np.arange(1, len(errors) + 1), errors, label=method)
    panel.axhline(np.mean(found["test"][MEAN]["mse"]), ls=":", color="0.5", label=MEAN)
    panel.set(xlabel="training (CPU minutes)", ylabel="MSE (sum over a frame)")
    panel.set_ylim(0, None)
    panel.legend()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def draw_frames(truth, predicted):
    """Draw the frames that follow of some clips: the truth and each model's."""
    helpers.use_book_style()
    strips, names = [], []
    for clip in range(SHOWN):
        strips.append(truth[clip, 10:])
        names.append("truth")
        for method in METHODS:
            strips.append(predicted[method][clip])
            names.append(method)
    figure = helpers.plot_clips(strips, names, first=10)
    figure.savefig(HERE / "video_long_frames.png", dpi=110)
    plt.close(figure)


def write(found):
    """Write table and figure for the book's pages."""
    draw_curves(found, HERE / "video_long.svg")
    (HERE / "video_long.md").write_text("\n".join([*table(found), ""]))
