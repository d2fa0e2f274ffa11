"""Measure ways to train a model for predicting frames from its own predictions.

Usage: video_training.py [--quick] [--resume]

One network, five ways to train it, each for the same number of CPU seconds on one
thread. Settings come from validation clips; the test clips are used once, at the end.
``--resume`` goes on where a run was stopped. ``--quick`` measures each way once for a
few seconds, prints, and writes nothing.
"""

import argparse
import itertools
import json
import os
import sys
import time
from datetime import date
from functools import cache
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import keras
import numpy as np
import video_training_page as page
from keras import ops

import cnnseq_helpers as helpers

RESULTS = Path(__file__).with_suffix(".json")
GIVEN, PREDICTED, LONGEST, BATCH_SIZE = 10, 10, 20, 8
TRIAL_SECONDS, SECONDS, SEEDS = 40, 120, 3
RATES = (1e-3, 2e-3, 4e-3, 8e-3)
PASSES = 3  # of the predictions that replace inputs


@cache
def load():
    """Return clips to train on, to choose settings by, and to test on."""
    options = {"frames": GIVEN + LONGEST, "size": 32}
    return (
        helpers.moving_digits(6000, frames=GIVEN + PREDICTED, size=32, seed=0),
        helpers.moving_digits(200, seed=2, **options),
        helpers.moving_digits(200, seed=1, split="test", **options),
    )


# --- Ways to train --------------------------------------------------------------------


class Way:
    """One step ahead, shown true frames: teacher forcing."""

    amounts = (None,)

    def __init__(self, amount):
        shape = (None, 32, 32, 1)
        mean_pixel = float(load()[0].mean())
        self.amount, self.share = amount, 0.0
        self.model = helpers.conv_lstm_predictor(shape, mean_pixel=mean_pixel)

    def trained(self):
        """Return the model whose weights are updated."""
        return self.model

    def show(self, clips, random):
        """Return what the model is shown in training."""
        return clips[:, :-1]

    def targets(self, clips):
        """Return what it should predict."""
        return clips[:, 1:]

    def predict(self, clips, steps):
        """Return the frames that follow, from own predictions."""
        return helpers.rollout(self.model, clips, steps)


class Noise(Way):
    """One step ahead, from true frames with noise; the amount is its deviation."""

    amounts = (0.1, 0.3)

    def show(self, clips, random):
        """Return true frames with noise."""
        true = clips[:, :-1]
        noise = random.normal(0, self.amount, true.shape).astype("float32")
        return np.clip(true + noise, 0, 1)


class OwnPredictions(Way):
    """One step ahead, a share of frames replaced by predictions, without a gradient.

    Scheduled sampling in passes. The share rises to the amount in the first half.
    """

    amounts = (0.5, 1.0)

    def show(self, clips, random):
        """Return true frames, some replaced by predictions."""
        true = inputs = clips[:, :-1]
        share = self.amount * min(1.0, 2 * self.share)
        replaced = random.random((*true.shape[:2], 1, 1, 1)) < share
        replaced[:, 0] = False
        for _ in range(PASSES):
            predicted = self.model.predict_on_batch(inputs)[:, :-1]
            shifted = np.concatenate([true[:, :1], predicted], axis=1)
            inputs = np.where(replaced, shifted, true)
        return inputs


class ClosedLoop(Way):
    """Ten true frames, then own predictions, with the gradient through the loop."""

    def trained(self):
        """Return a model of the given frames that feeds its predictions back."""
        encode, decode = (
            self.model.get_layer(name).layer for name in ("each_frame", "each_state")
        )
        step = self.model.get_layer("memory").cell
        clip = keras.Input((GIVEN, 32, 32, 1))
        codes = helpers.BatchApply(encode)(clip)
        state = [ops.zeros_like(codes[:, 0])] * 2  # as many channels as the state
        frames = []
        for t in range(GIVEN + PREDICTED - 1):
            code = codes[:, t] if t < GIVEN else encode(frames[-1])
            output, state = step(code, state)
            frames.append(decode(output))
        return keras.Model(clip, ops.stack(frames, axis=1))

    def show(self, clips, random):
        """Return the given frames."""
        return clips[:, :GIVEN]


class Direct(Way):
    """All ten frames at once, by an encoder-decoder of the same layers."""

    def __init__(self, amount):
        shape = (GIVEN, 32, 32, 1)
        mean_pixel = float(load()[0].mean())
        self.model = helpers.conv_lstm_predictor(
            shape, PREDICTED, mean_pixel=mean_pixel
        )

    def show(self, clips, random):
        """Return the given frames."""
        return clips[:, :GIVEN]

    def targets(self, clips):
        """Return the frames that follow."""
        return clips[:, GIVEN:]

    def predict(self, clips, steps):
        """Return the frames that follow, ten by ten."""
        return helpers.rollout(self.model, clips, steps, new_frames=PREDICTED)


WAYS = dict(
    zip(page.WAYS, (Way, Noise, OwnPredictions, ClosedLoop, Direct), strict=True)
)


def train(name, rate, amount, seconds, seed):
    """Train for so many CPU seconds; return the way with its model, and the updates.

    The first update, which makes the graph, is not counted. The rate falls along a half
    cosine.
    """
    keras.utils.set_random_seed(seed)
    random = np.random.default_rng(seed)
    clips = load()[0]
    way = WAYS[name](amount)
    model = way.trained()
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
    updates, start = 0, time.process_time()
    while True:
        way.share = (time.process_time() - start) / seconds if updates > 1 else 0.0
        if way.share >= 1:
            return way, updates
        model.optimizer.learning_rate = rate * (1 + np.cos(np.pi * way.share)) / 2
        batch = clips[random.integers(len(clips), size=BATCH_SIZE)]
        model.train_on_batch(way.show(batch, random), way.targets(batch))
        updates += 1
        if updates == 1:
            start = time.process_time()


# --- What is measured -----------------------------------------------------------------


def mse(predicted, true):
    """Return the error of each horizon, summed over a frame."""
    return helpers.frame_metrics(predicted, true)["mse"].tolist()


def choose(name, rate, amount, seconds):
    """Return the mean error of ten frames on validation clips."""
    way, _ = train(name, rate, amount, seconds, seed=0)
    clips = load()[1]
    predicted = way.predict(clips[:, :GIVEN], PREDICTED)
    return float(np.mean(mse(predicted, clips[:, GIVEN : GIVEN + PREDICTED])))


def measure(name, rate, amount, seconds, seed):
    """Return errors on test clips, from own predictions and from true frames."""
    way, updates = train(name, rate, amount, seconds, seed)
    clips = load()[2]
    predicted = way.predict(clips[:, :GIVEN], LONGEST)
    record = {"updates": updates, "mse": mse(predicted, clips[:, GIVEN:])}
    if name != page.DIRECT:
        true = clips[:, : GIVEN + PREDICTED]
        one_step = way.model.predict(true[:, :-1], batch_size=50, verbose=0)
        record["one_step"] = mse(one_step[:, GIVEN - 1 :], true[:, GIVEN:])
    return record


def baselines():
    """Return the errors of what any model should beat."""
    train_clips, _, clips = load()
    given, true = clips[:, :GIVEN], clips[:, GIVEN:]
    last = np.repeat(given[:, -1:], LONGEST, axis=1)
    mean = np.broadcast_to(train_clips.mean(axis=(0, 1)), true.shape)
    return {page.LAST: mse(last, true), page.MEAN: mse(mean, true)}


def main():
    """Choose settings, measure what is missing, then write table and figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5 s, nothing written")
    parser.add_argument("--resume", action="store_true", help="go on where it stopped")
    options = parser.parse_args()
    trial, seconds, seeds = TRIAL_SECONDS, SECONDS, SEEDS
    if options.quick:
        trial, seconds, seeds = 5, 5, 1
    found = {}
    if options.resume and RESULTS.exists():
        found = json.loads(RESULTS.read_text())

    def once(key, function, *arguments):
        """Measure what was not measured yet, and keep it."""
        if key not in found:
            found[key] = function(*arguments)
            keras.backend.clear_session()
            print(f"{time.strftime('%H:%M')} {key}", flush=True)
            if not options.quick:
                found["date"] = str(date.today())
                RESULTS.write_text(json.dumps(found))
        return found[key]

    once("baselines", baselines)
    rates = RATES[2:3] if options.quick else RATES
    for name, way in WAYS.items():
        trials = {
            (rate, amount): once(
                f"trial/{name}/{rate}/{amount}", choose, name, rate, amount, trial
            )
            for rate, amount in itertools.product(rates, way.amounts)
        }
        found[f"chosen/{name}"] = chosen = min(trials, key=trials.get)
        for seed in range(seeds):
            once(f"test/{name}/{seed}", measure, name, *chosen, seconds, seed)
    found["seconds"] = seconds
    if options.quick:
        print("\n".join(page.table(found)))
    else:
        RESULTS.write_text(json.dumps(found))
        page.write(found)


if __name__ == "__main__":
    main()
