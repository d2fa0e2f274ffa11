"""Train three kinds of model for minutes, not seconds; keep their curves and frames.

Usage: video_long.py [--minutes M] [--resume]

Models that make of ten frames the ten that follow, each for the same CPU time on one
thread, on clips that never repeat. Rates come from short trials on validation clips,
which also give the curves; the test clips are used once, at the end. ``--resume`` keeps
the rates that were chosen, or, after a whole run, only writes the page.
"""

import argparse
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
import video_long_page as page

import cnnseq_helpers as helpers

RESULTS = Path(__file__).with_suffix(".json")
FRAMES, SIZE, BATCH_SIZE, POOL = 10, 32, 16, 1000
RATES, TRIAL_SECONDS = (1e-3, 2e-3, 4e-3, 8e-3), 40
PREDICTORS = {
    "recurrent": helpers.recurrent_predictor,
    "ConvLSTM": helpers.conv_lstm_predictor,
    "convolutional": helpers.convolutional_predictor,
}


def clips(n, seed, split="train"):
    """Return clips of one digit, split into what is given and what follows."""
    frames = helpers.moving_digits(
        n, frames=2 * FRAMES, size=SIZE, seed=seed, split=split
    )
    return frames[:, :FRAMES], frames[:, FRAMES:]


@cache
def validation():
    """Return clips to choose rates by, and to draw the curves of."""
    return clips(100, seed=2)


class Training:
    """A model, and how long it was trained."""

    def __init__(self, name, rate, seconds):
        keras.utils.set_random_seed(0)
        self.random = np.random.default_rng(0)
        self.pools = 0
        self.renew()
        shape = (FRAMES, SIZE, SIZE, 1)
        mean_pixel = float(self.following.mean())
        self.model = PREDICTORS[name](shape, FRAMES, mean_pixel=mean_pixel)
        self.model.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
        self.rate, self.budget = rate, seconds
        self.seconds, self.updates = 0.0, 0
        self.update()  # makes the graph, which is not counted

    def renew(self):
        """Draw clips that it has not seen, outside of the time that counts."""
        self.pools += 1
        self.given, self.following = clips(POOL, seed=1000 + self.pools)
        self.order = iter(self.random.permutation(POOL // BATCH_SIZE * BATCH_SIZE))

    def update(self):
        """Train on one batch; the rate falls along a half cosine."""
        chosen = [next(self.order, None) for _ in range(BATCH_SIZE)]
        if chosen[-1] is None:
            self.renew()
            chosen = [next(self.order) for _ in range(BATCH_SIZE)]
        start = time.process_time()
        share = min(1.0, self.seconds / self.budget)
        self.model.optimizer.learning_rate = self.rate * (1 + np.cos(np.pi * share)) / 2
        self.model.train_on_batch(self.given[chosen], self.following[chosen])
        self.seconds += (time.process_time() - start) if self.updates else 0.0
        self.updates += 1

    def until(self, seconds):
        """Train until so many seconds are over; return the validation error."""
        while self.seconds < seconds:
            self.update()
        given, following = validation()
        predicted = self.model.predict(given, batch_size=50, verbose=0)
        return float(helpers.frame_metrics(predicted, following)["mse"].mean())


def choose(name):
    """Return the rate with the lowest validation error after a short trial."""
    trials = {}
    for rate in RATES:
        trials[rate] = Training(name, rate, TRIAL_SECONDS).until(TRIAL_SECONDS)
        print(f"{time.strftime('%H:%M')} {name}, {rate}: {trials[rate]:.1f}")
        keras.backend.clear_session()
    return min(trials, key=trials.get), list(trials.values())


def train_long(minutes, found):
    """Train all kinds in turns of a minute; keep what was measured after each."""
    names = list(PREDICTORS)
    if "rates" not in found:
        chosen = {name: choose(name) for name in names}
        found["rates"] = {name: rate for name, (rate, _) in chosen.items()}
        found["trials"] = {name: trials for name, (_, trials) in chosen.items()}
        RESULTS.write_text(json.dumps(found))
    runs = {n: Training(n, found["rates"][n], 60 * minutes) for n in names}
    found["curves"] = {name: [] for name in names}
    for minute in range(1, minutes + 1):
        for name, run in runs.items():
            error = run.until(60 * minute)
            found["curves"][name].append([run.updates, error])
            print(f"{time.strftime('%H:%M')} {minute} {name} {error:.2f}", flush=True)
        RESULTS.write_text(json.dumps(found))
    given, following = clips(200, seed=1, split="test")
    found["test"], frames = {}, {}
    for name, run in runs.items():
        predicted = run.model.predict(given, batch_size=50, verbose=0)
        measures = helpers.frame_metrics(predicted, following)
        found["test"][name] = {n: v.tolist() for n, v in measures.items()}
        frames[name] = predicted[: page.SHOWN]
        found["parameters"] = found.get("parameters", {}) | {
            name: run.model.count_params()
        }
    last = np.repeat(given[:, -1:], FRAMES, axis=1)
    mean = np.broadcast_to(runs[names[0]].following.mean(axis=(0, 1)), following.shape)
    for name, predicted in ((page.LAST, last), (page.MEAN, mean)):
        measures = helpers.frame_metrics(predicted, following)
        found["test"][name] = {n: v.tolist() for n, v in measures.items()}
    found |= {"minutes": minutes, "date": str(date.today())}
    RESULTS.write_text(json.dumps(found))
    truth = np.concatenate([given, following], axis=1)[: page.SHOWN]
    page.draw_frames(truth, frames)


def main():
    """Train what is missing, then write table and figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, default=30, help="of CPU time a model")
    parser.add_argument("--resume", action="store_true", help="keep what was measured")
    options = parser.parse_args()
    found = json.loads(RESULTS.read_text()) if options.resume else {}
    if "test" not in found:
        train_long(options.minutes, found)
    page.write(found)


if __name__ == "__main__":
    main()
