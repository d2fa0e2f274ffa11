"""What a run of many workers does behind each epoch and step: keep, stop, watch."""

import json
import os

import keras
import numpy as np
from meeting import Patience
from shards import ShardError

NOTE = "note.json"


def weights_name(epochs):
    """Return the name of a checkpoint, which holds the optimiser too."""
    return f"after-{epochs:04}.weights.h5"


def best_epoch(history):
    """Return the number of epochs at which the loss, if held out, was least."""
    return int(np.argmin([logs.get("val_loss", logs["loss"]) for logs in history])) + 1


def read_note(run, settings):
    """Return what a run has done; the note names whole files alone."""
    settings = json.loads(json.dumps(settings))  # tuples become lists
    if not (run / NOTE).exists():
        return {"epochs": 0, "history": [], "settings": settings}
    note = json.loads((run / NOTE).read_text())
    for what, begun in note["settings"].items():
        if settings.get(what) != begun:
            raise ShardError(
                f"{run} was begun with {what} {begun}, and now it is "
                f"{settings.get(what)}. Take another folder for --run."
            )
    return note


def save_alone(save, path):
    """Save from one worker: under a distribution it would wait for the others."""
    spread = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    save(path)
    keras.distribution.set_distribution(spread)


class Checkpoint(keras.callbacks.Callback):
    """Worker 0 writes each epoch once; all stop together when nothing is gained."""

    def __init__(self, run, note, writes, patience=None):
        super().__init__()
        self.run, self.note, self.writes = run, note, writes
        self.patience = patience

    def on_epoch_end(self, epoch, logs=None):
        """Write the weights, then the note; stop by what all workers know."""
        self.note["epochs"] = epoch + 1
        self.note["history"].append({k: float(v) for k, v in logs.items()})
        best = best_epoch(self.note["history"])
        if self.writes:
            self.write({weights_name(epoch + 1), weights_name(best)})
        if self.patience and epoch + 1 - best >= self.patience:
            self.model.stop_training = True

    def write(self, kept):
        """Write the weights under a new name, the note in one move, and tidy up."""
        self.run.mkdir(parents=True, exist_ok=True)
        save_alone(
            self.model.save_weights, self.run / weights_name(self.note["epochs"])
        )
        (self.run / "note.new").write_text(json.dumps(self.note))
        os.replace(self.run / "note.new", self.run / NOTE)
        for path in self.run.glob("after-*.weights.h5"):
            if path.name not in kept:
                path.unlink()


class Watch(keras.callbacks.Callback):
    """End the process if a step takes too long: another worker may hang."""

    def __init__(self, seconds):
        super().__init__()
        self.patience = Patience(
            seconds,
            f"Stopped: no step ended within {seconds} s. Another worker hangs, or made "
            "fewer steps than this one.",
        )

    def on_train_begin(self, logs=None):
        """Begin to wait."""
        self.patience.wait()

    def on_train_batch_end(self, batch, logs=None):
        """Wait for the next one."""
        self.patience.wait()

    def on_test_batch_end(self, batch, logs=None):
        """Wait for the next one."""
        self.patience.wait()

    def on_train_end(self, logs=None):
        """Wait no more."""
        self.patience.stop()
