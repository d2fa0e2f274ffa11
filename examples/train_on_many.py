"""Train a CNN-LSTM or its 1D-CNN, on one process or on many: the losses are the same.

One process:         python train_on_many.py --data shards --run run
Two on this machine: python launch.py 2 train_on_many.py --data shards --run run
A cluster:           sbatch submit.sbatch

--data holds the folders `train` and, if you like, `validation`, from `write_shards`.
--run gets checkpoints and, at the end, `model.keras`. All workers see both. Started
again, a run goes on behind its last checkpoint, with as many workers as there are then.
"""

import argparse
import os
import platform
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
# Where these are installed, Keras would load them too. Take out what you need yourself.
sys.modules |= dict.fromkeys(["matplotlib", "pandas", "sklearn", "tensorflow"])

import jax
import keras
import numpy as np
from callbacks import Checkpoint, Watch, best_epoch, read_note, save_alone, weights_name
from meeting import MeetingError, meet
from shards import ShardError, Shards

from cnnseq_helpers import cnn_lstm, to_cnn1d


def read_arguments(arguments):
    """Return what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--model", choices=["cnn_lstm", "cnn1d"], default="cnn_lstm")
    parser.add_argument("--batch", type=int, default=64, help="of all workers together")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--patience", type=int, help="epochs without a gain, then stop")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--wait", type=int, default=120, help="s, for all to come")
    parser.add_argument("--step", type=int, default=600, help="s, for a step at most")
    return parser.parse_args(arguments)


def train(given, rank, world, callbacks=()):
    """Train from the last checkpoint on; worker 0 saves the model of the best epoch."""
    sharing = {"batch": given.batch, "workers": world, "worker": rank}
    data = Shards(given.data / "train", seed=given.seed, **sharing)
    held_out = given.data / "validation"
    validation = Shards(held_out, **sharing) if held_out.exists() else None
    settings = {name: getattr(given, name) for name in ("model", "batch", "rate")}
    settings |= {"seed": given.seed} | data.describe()
    note = read_note(given.run, settings)
    if world > 1:
        card = versions() | settings | {"epochs done": note["epochs"]}
        card |= {"--epochs": given.epochs, "--patience": given.patience}
        join(rank, world, card, given.wait)
    share_out(given.batch)
    model = build(given, data)
    if note["epochs"]:
        model.load_weights(given.run / weights_name(note["epochs"]))
    keep = Checkpoint(given.run, note, writes=rank == 0, patience=given.patience)
    model.fit(
        data,
        validation_data=validation,
        initial_epoch=note["epochs"],
        epochs=given.epochs,
        shuffle=False,  # the shards are shuffled, by seed and epoch
        callbacks=[data.follow(), keep, Watch(given.step), *callbacks],
        verbose=2 if rank == 0 else 0,
    )
    if rank == 0:
        keras.distribution.set_distribution(None)  # the others do not save
        best = build(given, data)
        best.load_weights(given.run / weights_name(best_epoch(note["history"])))
        save_alone(best.save, given.run / "model.keras")
        print(f"saved {given.run / 'model.keras'}", flush=True)


def join(rank, world, card, seconds):
    """Meet the other workers, then let JAX connect them."""
    address = os.environ["COORDINATOR"]
    meet(rank, world, address, card, seconds)
    # As keras.distribution.initialize does, but with a limit of time.
    jax.distributed.initialize(address, world, rank, initialization_timeout=seconds)


def share_out(batch):
    """Spread each batch over all devices of all workers."""
    devices = jax.device_count()
    if batch % devices:
        raise ShardError(
            f"The batch of {batch} samples does not divide by {devices} devices. Take "
            f"--batch {(batch // devices + 1) * devices}."
        )
    if devices > 1:
        spread = keras.distribution.DataParallel(auto_shard_dataset=False)
        keras.distribution.set_distribution(spread)


def build(given, data):
    """Return the model, compiled, with the variables of the optimiser."""
    keras.utils.set_random_seed(given.seed)  # the same weights on all workers
    model = cnn_lstm(data.x[0].shape[1:], data.classes)
    if given.model == "cnn1d":
        model = to_cnn1d(model)
    loss = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction="mean_with_sample_weight"
    )
    optimizer = keras.optimizers.Adam(given.rate)
    model.compile(optimizer, loss, weighted_metrics=["accuracy"])
    optimizer.build(model.trainable_variables)
    return model


def versions():
    """Return the versions that all workers must have alike."""
    found = {module.__name__: module.__version__ for module in (keras, jax, np)}
    return {"Python": platform.python_version()} | found


def main(arguments=None, callbacks=()):
    """Train, and end with a message, and at once, where it can't go on."""
    rank = int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", 0)))
    world = int(os.environ.get("WORLD", os.environ.get("SLURM_NTASKS", 1)))
    try:
        train(read_arguments(arguments), rank, world, callbacks)
    except (MeetingError, ShardError) as error:
        sys.exit(f"Not trained: {error}")
    except Exception as error:
        if world == 1:
            raise
        print(f"Worker {rank} stopped, perhaps since another is gone: {error!r:.300}")
        sys.stdout.flush()
        os._exit(1)  # an orderly exit would wait for the one that is gone


if __name__ == "__main__":
    main()
