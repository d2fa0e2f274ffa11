"""The page of the benchmark of streams: a table for each kind of model."""

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
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


def tables(found):
    """Return the lines of each table by the name of its file."""
    lines = {FILES[kind]: table(found, kind) for kind in COLUMNS}
    return lines | {"measured": [found["measured"] + "."]}


def write(found):
    """Write the tables."""
    for name, lines in tables(found).items():
        (HERE / f"streaming_{name}.md").write_text("\n".join(lines) + "\n")
