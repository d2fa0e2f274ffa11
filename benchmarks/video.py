"""Measure models that predict ten frames from ten; write the tables and figure of it.

Usage: video.py [--quick] [--resume]

In each setting all models are trained in one process for the same number of seconds,
taking turns of about a second, on the same clips. What a model's first step takes,
which makes its graph, is not counted. ``--resume`` goes on where a run was stopped.
``--quick`` measures one setting from one seed for 15 s, prints, and writes nothing.
"""

import argparse
import json
import os
import sys
import time
from datetime import date
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent))

import keras
import numpy as np
import video_page as page
from keras import layers

import cnnseq_helpers as helpers

RESULTS = Path(__file__).with_suffix(".json")
FRAMES, BATCH_SIZE, RATE = 10, 16, 2e-3


def load(setting):
    """Return clips to train on, and others, of other digits, to test on."""
    options = {"frames": 2 * FRAMES, "size": setting.size, "digits": setting.digits}
    train = helpers.moving_digits(setting.trained, seed=0, **options)
    test = helpers.moving_digits(setting.tested, seed=1, split="test", **options)
    return train, test


# --- Models ---------------------------------------------------------------------------


def keras_example(shape):
    """Return the layers of Keras's next-frame example, without its leak.

    As described on keras.io, "Next-Frame Video Prediction with Convolutional LSTMs":
    three ConvLSTM layers of 64 filters at full size, normalised in between, and a
    three-dimensional convolution. There its kernel covers three frames, the next one
    among them; here it covers one.
    """
    clip = x = keras.Input((None, *shape))
    for kernel_size in (5, 3, 1):
        x = layers.ConvLSTM2D(
            64, kernel_size, padding="same", activation="relu", return_sequences=True
        )(x)
        x = x if kernel_size == 1 else layers.BatchNormalization()(x)
    frames = layers.Conv3D(1, (1, 3, 3), activation="sigmoid", padding="same")(x)
    return keras.Model(clip, frames)


def build(method, size):
    """Return a model: of the next ten frames, or of the next one at every step."""
    frame = (size, size, 1)
    if method == page.EXAMPLE:
        return keras_example(frame)
    predictor = {
        "recurrent": helpers.recurrent_predictor,
        "ConvLSTM": helpers.conv_lstm_predictor,
        "convolutional": helpers.convolutional_predictor,
    }[method]
    return predictor((FRAMES, *frame), FRAMES)


class Trained:
    """A model, how it is trained, and how long it was."""

    def __init__(self, method, size, clips, seed):
        keras.utils.set_random_seed(seed)
        self.example = method == page.EXAMPLE
        self.model = build(method, size)
        # The example is trained in batches of 5, with its own loss and a constant rate.
        self.batch_size = 5 if self.example else BATCH_SIZE
        loss = "binary_crossentropy" if self.example else "mean_squared_error"
        self.model.compile(keras.optimizers.Adam(1e-3 if self.example else RATE), loss)
        self.clips, self.random = clips, np.random.default_rng(seed)
        self.step()
        self.seconds, self.steps = 0.0, 1

    def step(self):
        """Train on one batch."""
        chosen = self.random.integers(len(self.clips), size=self.batch_size)
        batch = self.clips[chosen]
        first = -1 if self.example else FRAMES
        targets = batch[:, 1:] if self.example else batch[:, FRAMES:]
        self.model.train_on_batch(batch[:, :first], targets)

    def train(self, seconds, share):
        """Train for so many seconds more, or one step if that takes longer.

        But for the example, the rate falls along a half cosine, from the share of the
        time that is over.
        """
        if not self.example:
            rate = RATE * (1 + np.cos(np.pi * share)) / 2
            self.model.optimizer.learning_rate = rate
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            self.step()
            self.steps += 1
        self.seconds += time.perf_counter() - start

    def predict(self, clips):
        """Return the ten frames that follow."""
        new_frames = 1 if self.example else FRAMES
        return helpers.rollout(self.model, clips, FRAMES, new_frames=new_frames)


# --- The run --------------------------------------------------------------------------


def score(predicted, true):
    """Return the measures of all horizons, as lists."""
    found = helpers.frame_metrics(predicted, true)
    return {name: values.tolist() for name, values in found.items()}


def baselines(setting):
    """Return the measures of what any model should beat."""
    train, test = load(setting)
    given, true = test[:, :FRAMES], test[:, FRAMES:]
    last = np.repeat(given[:, -1:], FRAMES, axis=1)
    mean = np.broadcast_to(train.mean(axis=(0, 1)), true.shape)
    return {page.LAST: score(last, true), page.MEAN: score(mean, true)}


def train_all(setting, seed):
    """Train all models in turns and return what was measured of each."""
    train, test = load(setting)
    given, true = test[:, :FRAMES], test[:, FRAMES:]
    models = {
        method: Trained(method, setting.size, train, seed) for method in page.METHODS
    }
    while True:
        behind = min(models.values(), key=lambda each: each.seconds)
        if behind.seconds >= setting.seconds:
            break
        left = setting.seconds - behind.seconds
        behind.train(min(1, left), share=behind.seconds / setting.seconds)
    record = {}
    for method, each in models.items():
        record[method] = {
            "parameters": each.model.count_params(),
            "steps": each.steps,
            "seconds": each.seconds,
            **score(each.predict(given), true),
        }
        print(f"  {method}: MSE {np.mean(record[method]['mse']):.1f}", flush=True)
    return record


def jobs(quick):
    """Yield each measurement's key and the function that makes it."""
    settings = page.SETTINGS[:1] if quick else page.SETTINGS
    for setting in settings:
        if quick:
            setting = setting._replace(seconds=15)
        yield f"baselines/{setting.name}", lambda s=setting: baselines(s)
        for seed in range(1 if quick else setting.seeds):
            yield f"{setting.name}/{seed}", lambda s=setting, i=seed: train_all(s, i)


def main():
    """Measure what is missing, then write tables and figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="15 s, nothing written")
    parser.add_argument(
        "--resume", action="store_true", help="go on with what is there"
    )
    options = parser.parse_args()
    found = {}
    if options.resume and RESULTS.exists():
        found = json.loads(RESULTS.read_text())
    start = time.perf_counter() - found.get("minutes", 0.0) * 60
    todo = list(jobs(options.quick))
    for number, (key, measure) in enumerate(todo, start=1):
        if key in found:
            continue
        found[key] = measure()
        minutes = (time.perf_counter() - start) / 60
        print(f"{number}/{len(todo)} {key}  {minutes:.1f} min", flush=True)
        keras.backend.clear_session()
        if not options.quick:
            found |= {"minutes": minutes, "date": str(date.today())}
            RESULTS.write_text(json.dumps(found))
    if options.quick:
        print("\n".join(page.table(found, page.SETTINGS[0])))
    else:
        page.write(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
