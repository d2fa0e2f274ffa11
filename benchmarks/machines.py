"""Measure what a step costs on 1, 2 and 4 processes, and what it exchanges.

Usage: machines.py [--resume]

Each process has one thread and one core, which four of them share on two. ``--resume``
goes on where a run was stopped.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import machines_page as page
import numpy as np

HERE = Path(__file__).parent
RESULTS = HERE / "machines.json"
SERIES, CLASSES = (100, 6), 4
STEPS, ROUNDS = 8, {1: 5, 2: 4, 4: 2}
THREADS = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def as_worker(seconds_at):
    """Measure by turns in one of several processes; worker 0 writes what it saw."""
    import jax
    import keras

    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD"])
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[rank % 2]})
    if world > 1:
        jax.distributed.initialize(os.environ["COORDINATOR"], world, rank)
        spread = keras.distribution.DataParallel(auto_shard_dataset=False)
        keras.distribution.set_distribution(spread)
    draw, calls, counts = np.random.default_rng(rank), {}, {}
    for kind in page.KINDS:
        for batch in page.BATCHES[world]:
            model = build(kind)
            local, counts[kind] = batch // world, model.count_params()
            x = draw.normal(size=(STEPS * local, *SERIES)).astype("float32")
            y = draw.integers(CLASSES, size=len(x))
            fit = {"batch_size": local, "shuffle": False, "verbose": 0}
            calls[f"step/{kind}/{world}/{batch}"] = (
                lambda model=model, x=x, y=y, fit=fit: model.fit(x, y, **fit)
            )
    seconds = {key: [] for key in calls}
    for _ in range(ROUNDS[world] + 1):  # the first compiles
        for key, call in calls.items():
            start = time.perf_counter(), time.process_time()
            call()
            ends = time.perf_counter(), time.process_time()
            pairs = zip(start, ends, strict=True)
            took = [(end - begin) / STEPS for begin, end in pairs]
            seconds[key].append(took)
    if rank == 0:
        found = {key: values[1:] for key, values in seconds.items()}
        found |= {f"parameters/{kind}": count for kind, count in counts.items()}
        Path(seconds_at).write_text(json.dumps(found))


def build(kind):
    """Return a compiled model."""
    import keras

    from cnnseq_helpers import cnn_lstm, to_cnn1d

    keras.utils.set_random_seed(0)
    model = cnn_lstm(SERIES, CLASSES)
    if kind == page.CNN:
        model = to_cnn1d(model)
    elif kind == page.UNROLLED:
        model.get_layer("lstm").unroll = True
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    return model


def in_processes(world):
    """Return what so many processes measured together."""
    import launch

    environment = {"KERAS_BACKEND": "jax", "XLA_FLAGS": THREADS}
    os.environ.update(environment | {"PYTHONPATH": str(HERE.parent)})
    with tempfile.TemporaryDirectory() as folder:
        command = [str(Path(__file__)), "--worker", f"{folder}/seconds.json"]
        if launch.run(world, command) is not None:
            raise RuntimeError(f"one of {world} processes failed")
        return json.loads(Path(f"{folder}/seconds.json").read_text())


def count_exchanges():
    """Print how many arrays the compiled step of each model exchanges, for two."""
    import re

    import keras

    folder = Path(os.environ["XLA_FLAGS"].split("--xla_dump_to=")[1].split()[0])
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    counts = {}
    for kind in page.KINDS:
        model = build(kind)
        x, y = np.zeros((64, *SERIES), "float32"), np.zeros(64, int)
        before = {*folder.glob("*train_step*after_optimizations.txt")}
        model.fit(x, y, batch_size=64, verbose=0)
        (path,) = {*folder.glob("*train_step*after_optimizations.txt")} - before
        parts = re.split(r"^ENTRY ", path.read_text(), flags=re.M)
        shapes = [re.findall(r"= (.*?) all-reduce\(", part) for part in parts]
        loops, once = (len(re.findall(r"\d\[", " ".join(each))) for each in shapes)
        counts[kind] = once + loops * page.LOOP
    print(json.dumps(counts))


# --- Formats of shards ----------------------------------------------------------------


def formats():
    """Print the CPU seconds of an epoch of shuffled batches, format by format."""
    import tensorflow as tf
    from shards import Shards, write_shards

    samples, batch = page.SAMPLES, page.READ
    draw = np.random.default_rng(0)
    x = draw.normal(size=(samples, *SERIES)).astype("float32")
    y = draw.integers(CLASSES, size=samples)
    parts = np.array_split(np.arange(samples), 8)

    def record(row):
        of = {
            "x": tf.train.Feature(
                bytes_list=tf.train.BytesList(value=[x[row].tobytes()])
            ),
            "y": tf.train.Feature(int64_list=tf.train.Int64List(value=[y[row]])),
        }
        return tf.train.Example(features=tf.train.Features(feature=of))

    form = {
        "x": tf.io.FixedLenFeature([], tf.string),
        "y": tf.io.FixedLenFeature([], tf.int64),
    }

    def parse(lines):
        read = tf.io.parse_example(lines, form)
        return tf.reshape(tf.io.decode_raw(read["x"], tf.float32), (-1, *SERIES)), read[
            "y"
        ]

    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_shards(folder / "npy", ((x[part], y[part]) for part in parts), 500)
        for number, part in enumerate(parts):
            np.savez(folder / f"{number}.npz", x=x[part], y=y[part])
            np.savez_compressed(folder / f"{number}.small.npz", x=x[part], y=y[part])
            with tf.io.TFRecordWriter(f"{folder}/{number}.records") as file:
                for row in part:
                    file.write(record(row).SerializeToString())
        files = sorted(map(str, folder.glob("*.records")))
        records = tf.data.TFRecordDataset(files, num_parallel_reads=8)
        records = records.shuffle(1_000).batch(batch).map(parse)
        shards = Shards(folder / "npy", batch)

        def unpack(ending):
            for number in draw.permutation(8):  # a shard at a time in memory
                with np.load(folder / f"{number}{ending}") as held:
                    held_x, held_y = held["x"], held["y"]
                order = draw.permutation(len(held_y))
                for first in range(0, len(order), batch):
                    rows = order[first : first + batch]
                    yield held_x[rows], held_y[rows]

        ways = {
            page.NPY: lambda: (shards[step] for step in range(len(shards))),
            page.NPZ: lambda: unpack(".npz"),
            page.PACKED: lambda: unpack(".small.npz"),
            page.RECORDS: lambda: iter(records),
        }
        seconds = {way: [] for way in ways}
        for epoch in range(page.EPOCHS + 1):
            for way, batches in ways.items():
                shards.epoch = epoch
                start, count = time.process_time(), 0
                count = sum(len(labels) for _, labels, *_ in batches())
                seconds[way].append(time.process_time() - start)
                assert samples <= count < samples + batch
    print(json.dumps({way: values[1:] for way, values in seconds.items()}))


def in_a_process(what, **environment):
    """Return what a process of its own prints last."""
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"} | environment
    environment |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    command = [sys.executable, __file__, what]
    printed = subprocess.check_output(command, env=environment, text=True)
    return json.loads(printed.splitlines()[-1])


def jobs(found):
    """Yield each measurement's key and the function that makes it."""
    for world in page.WORLDS:
        yield f"processes/{world}", lambda world=world: in_processes(world)
    yield "formats", lambda: in_a_process("--formats")
    with tempfile.TemporaryDirectory() as folder:
        flags = "--xla_force_host_platform_device_count=2 --xla_dump_hlo_as_text "
        flags += f"--xla_dump_hlo_module_re=.*train_step.* --xla_dump_to={folder}"
        given = {"KERAS_BACKEND": "jax", "XLA_FLAGS": flags}
        yield "exchanges", lambda: in_a_process("--exchanges", **given)


def measure():
    """Measure what is missing, and write the tables."""
    from converting import measure_missing
    from stored_tables import write_tables

    machine = f"{os.cpu_count()} cores, JAX {page.jax_version()}"
    found = measure_missing(jobs, RESULTS, sys.argv[1:], machine)
    write_tables("machines", page.tables(found))


if __name__ == "__main__":
    if "--worker" in sys.argv:
        as_worker(sys.argv[-1])
    elif "--formats" in sys.argv:
        formats()
    elif "--exchanges" in sys.argv:
        count_exchanges()
    else:
        measure()
