"""The page of the benchmark of several processes: tables, and the model of a step."""

from importlib.metadata import version

import numpy as np

LSTM, UNROLLED, CNN = "CNN-LSTM", "CNN-LSTM, `unroll=True`", "1D-CNN"
KINDS = (LSTM, UNROLLED, CNN)
LOOP = 23  # steps of the LSTM, behind pooling
WORLDS = (1, 2, 4)
BATCHES = {1: (16, 64, 256), 2: (64, 256), 4: (256,)}  # of all processes together
SAMPLES, EPOCHS, READ = 4_000, 5, 64  # of the formats; the last is their batch
NPY = "`.npy`, memory-mapped, all shuffled"
NPZ = "`.npz`, a shard at a time"
PACKED = "`.npz`, compressed, a shard at a time"
RECORDS = "TFRecord, a shuffle buffer of 1,000"
FORMATS = {
    NPY: "`.npy`",
    NPZ: "`.npz`",
    PACKED: "`.npz`, compressed",
    RECORDS: "TFRecord",
}  # short, for a phone
NETWORKS = {"100 Gbit/s": 12.5e9, "10 Gbit/s": 1.25e9, "1 Gbit/s": 0.125e9}
LATENCY = 100e-6  # seconds for each message of the exchange, assumed


def jax_version():
    """Return the version of JAX that is installed."""
    return version("jax")


def least(found, key, cpu=False):
    """Return the least seconds of a step, by the clock or of the processor."""
    world = key.split("/")[-2]
    return float(np.min(found[f"processes/{world}"][key], axis=0)[int(cpu)])


def parameters(found, kind):
    """Return the number of weights of a model."""
    return found["processes/1"][f"parameters/{kind}"]


def line(found, kind):
    """Return (fixed, each): CPU seconds of a step in one process, and of a sample."""
    batches = BATCHES[1]
    seconds = [least(found, f"step/{kind}/1/{batch}", cpu=True) for batch in batches]
    scale = 1 / np.array(seconds)  # relative errors count alike
    each, fixed = np.polyfit(batches, seconds, 1, w=scale)
    return fixed, each


def exchange_on(bandwidth, numbers, machines, times=1):
    """Return the seconds that a ring takes for float32 numbers, in so many parts."""
    rounds = 2 * (machines - 1)
    return rounds * (times * LATENCY + 4 * numbers / machines / bandwidth)


def gain(found, kind, batch, machines, bandwidth):
    """Return how many times as fast machines are as one, by the model of a step."""
    fixed, each = line(found, kind)
    alone = fixed + each * batch
    numbers, times = parameters(found, kind), found["exchanges"][kind]
    together = fixed + each * batch / machines
    return alone / (together + exchange_on(bandwidth, numbers, machines, times))


def steps(found):
    """Return the steps a second that are trained, and the batches that are read."""
    lines = ["| | batch | 1 process | 2 | 4 |", "|---|---:|---:|---:|---:|"]
    for kind in KINDS:
        for batch in BATCHES[2]:
            rates = [
                shown(1 / least(found, f"step/{kind}/{world}/{batch}", world == 1))
                if batch in BATCHES[world]
                else ""
                for world in WORLDS
            ]
            lines.append(f"| {kind} | {batch} | {' | '.join(rates)} |")
    for way, name in FORMATS.items():
        lines.append(f"| read {name} | {READ} | {shown(read(found, way))} | | |")
    return lines


def read(found, way):
    """Return how many batches of a format are read in a CPU second."""
    return SAMPLES / READ / float(np.median(found["formats"][way]))


def shown(rate):
    """Return a number with two digits that count."""
    return f"{float(f'{rate:.2g}'):,g}"


def costs(found):
    """Return fixed cost, cost of a sample and of each array, in milliseconds."""
    lines = [
        "| model | weights | each step | each sample | arrays exchanged a step | "
        "a step of 2 processes, for each array |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for kind in KINDS:
        fixed, each = line(found, kind)
        count, arrays = parameters(found, kind), found["exchanges"][kind]
        waited = 1e3 * least(found, f"step/{kind}/2/64") / arrays
        cells = f"{1e3 * fixed:.1f} | {1e3 * each:.3f} | {arrays} | {waited:.1f}"
        lines.append(f"| {kind} | {count:,} | {cells} |")
    return lines


def paper(found):
    """Return how many times as fast machines would be, by the model of a step."""
    lines = [
        "| model | batch | network | 2 machines | 4 machines | 16 machines |",
        "|---|---:|---|---:|---:|---:|",
    ]
    for kind in (LSTM, CNN):
        for batch in (256, 4096):
            for network in ("1 Gbit/s", "100 Gbit/s"):
                cells = [
                    f"{gain(found, kind, batch, m, NETWORKS[network]):.1f}"
                    for m in (2, 4, 16)
                ]
                lines.append(
                    f"| {kind} | {batch:,} | {network} | {' | '.join(cells)} |"
                )
    return lines


def tables(found):
    """Return the lines of each table by the name of its file."""
    return {
        "steps": steps(found),
        "costs": costs(found),
        "paper": paper(found),
        "measured": [found["measured"] + "."],
    }
