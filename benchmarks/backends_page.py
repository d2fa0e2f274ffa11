"""The page of the benchmark of backends: its tables."""

LSTM, CNN = "CNN-LSTM", "1D-CNN"
KINDS = (LSTM, CNN)
LENGTHS = (20, 100, 1000)
PLAIN, COMPILED, JAX, TORCH = (
    "TensorFlow",
    "TensorFlow, compiled",
    "JAX",
    "PyTorch",
)
# The backend, and whether TensorFlow is told to compile, as JAX does unasked.
WAYS = {
    PLAIN: ("tensorflow",),
    JAX: ("jax",),
    TORCH: ("torch",),
    COMPILED: ("tensorflow", "compiled"),
}

# As short as a phone is narrow; the page says what TF is.
HEADS = {PLAIN: "TF", JAX: "JAX", TORCH: "PyTorch", COMPILED: "TF<br>compiled"}


def ways(found):
    """Return the ways that were measured."""
    return [way for way in WAYS if f"train/{LSTM}/20/{way}" in found]


def least(found, what, kind, length, way):
    """Return the least seconds of a step."""
    return min(found[f"{what}/{kind}/{length}/{way}"])


def gain(found, what, kind, length, way):
    """Return how many times as fast a way is as TensorFlow."""
    plain, other = (least(found, what, kind, length, each) for each in (PLAIN, way))
    return plain / other


def compare(found, what):
    """Return milliseconds of TensorFlow, and how many times as fast the others are."""
    others = [way for way in ways(found) if way != PLAIN]
    heads = [f"{HEADS[PLAIN]}<br>ms", *map(HEADS.get, others)]
    lines = [
        f"| model | steps | {' | '.join(heads)} |",
        "|---|---:" + "|---:" * (1 + len(others)) + "|",
    ]
    for kind in KINDS:
        for length in LENGTHS:
            plain = 1e3 * least(found, what, kind, length, PLAIN)
            gains = " | ".join(
                f"{gain(found, what, kind, length, way):.1f}" for way in others
            )
            lines.append(
                f"| {kind} | {length:,} | {float(f'{plain:.2g}'):g} | {gains} |"
            )
    return lines


def first(found):
    """Return the CPU seconds of the first `fit`, which traces and compiles."""
    lines = [
        f"| model | steps | {' | '.join(map(HEADS.get, ways(found)))} |",
        "|---|---:" + "|---:" * len(ways(found)) + "|",
    ]
    for kind in KINDS:
        for length in LENGTHS:
            seconds = [found[f"first/{kind}/{length}/{way}"] for way in ways(found)]
            cells = " | ".join(f"{each:.1f}" for each in seconds)
            lines.append(f"| {kind} | {length:,} | {cells} |")
    return lines


def tables(found):
    """Return the lines of each table by the name of its file."""
    return {
        "training": compare(found, "train"),
        "predicting": compare(found, "predict"),
        "first": first(found),
        "measured": [found["measured"] + "."],
    }
