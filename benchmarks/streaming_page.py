"""The page of the benchmark of streams: a table for each kind of model."""

import numpy as np

WINDOWS = (32, 128, 512, 2048)
AGAIN, AGAIN_ONNX = "window again", "window again, ONNX"
STATEFUL, STREAM = "stateful LSTM", "`to_streaming`"
STEP, ONNX, LITERT = "step model", "step model, ONNX", "step model, LiteRT"
COLUMNS = {
    "convolutions": (AGAIN, AGAIN_ONNX, STREAM, STEP, ONNX, LITERT),
    "LSTM": (AGAIN, AGAIN_ONNX, STATEFUL, STREAM, STEP, ONNX, LITERT),
}
FILES = {"convolutions": "convolutions", "LSTM": "lstm"}


def median(found, kind, window, way):
    """Return the milliseconds of a step: the median of all rounds."""
    return 1000 * float(np.median(found[f"{kind}/{window}"][way]))


def table(found, kind):
    """Return milliseconds for a new step: a row a way, a column a window."""
    heads = " | ".join(f"{window:,}" for window in WINDOWS)
    lines = [
        f"| steps of the window | {heads} |",
        "|---" + "|---:" * len(WINDOWS) + "|",
    ]
    for way in COLUMNS[kind]:
        cells = [f"{median(found, kind, window, way):.3f}" for window in WINDOWS]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return lines


TRAINED = {
    ("LSTM", 1): "LSTM, trained on single recordings",
    ("LSTM", 2): "LSTM, trained on joined pairs",
    ("convolutions", 1): "convolutions, trained on single recordings",
    ("convolutions", 2): "convolutions, trained on joined pairs",
}
PARTS = ("1 to 10", "11 to 25", "26 to 50", "51 to 100")
SEEDS = range(5)


def after_change(found, kind, length, way):
    """Return the shares of right answers: (seeds, parts)."""
    keys = [f"change/{kind}/{length}/{seed}" for seed in SEEDS]
    return np.array([found[key][way] for key in keys])


def change_table(found):
    """Return right answers by the steps since a change: mean and half of the range."""
    lines = [
        f"| steps since the change | {' | '.join(PARTS)} |",
        "|---" * (1 + len(PARTS)) + "|",
    ]
    for (kind, length), name in TRAINED.items():
        ways = {"run on": name}
        if length == 1:
            ways["reset"] = f"{name}, reset at each change"
        for way, label in ways.items():
            if (kind, way) == ("convolutions", "reset"):
                continue
            values = after_change(found, kind, length, way)
            pairs = zip(values.mean(axis=0), np.ptp(values, axis=0) / 2, strict=True)
            cells = [f"{mean:.2f} ± {half:.2f}" for mean, half in pairs]
            lines.append(f"| {label} | {' | '.join(cells)} |")
    return lines


def tables(found):
    """Return the lines of each table by the name of its file."""
    lines = {FILES[kind]: table(found, kind) for kind in COLUMNS}
    lines["change"] = change_table(found)
    return lines | {"measured": [found["measured"] + "."]}
