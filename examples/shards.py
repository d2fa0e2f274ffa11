"""Arrays larger than memory: a folder of shards, each a pair of memory-mapped `.npy`.

``x-00000.npy`` holds samples (sample, ...), ``y-00000.npy`` their labels (sample, ...),
and so on; shards may hold different numbers of samples. All workers see the whole
folder, and each reads only its own rows.
"""

import keras
import numpy as np


class ShardError(ValueError):
    """What does not fit in a folder of shards, or between it and the workers."""


def plan_epoch(samples, batch, workers, worker, epoch, seed=0):
    """Return the rows that a worker reads in an epoch, and their weights.

    Both are (step, batch // workers). The order depends on seed and epoch alone, so the
    workers' shares of a step, one behind the other, are the batch of a single process,
    however many they are. The last batch is filled up with rows of weight 0.
    """
    if batch % workers:
        raise ShardError(
            f"The batch of {batch} samples does not divide by {workers} workers. Take "
            f"--batch {batch // workers * workers or workers} or "
            f"{(batch // workers + 1) * workers}."
        )
    if samples < workers:
        raise ShardError(
            f"There are fewer samples ({samples}) than workers ({workers}). Start at "
            f"most {samples}."
        )
    steps = -(-samples // batch)
    order = np.random.default_rng([seed, epoch]).permutation(samples)
    rows = np.resize(order, (steps, workers, batch // workers))
    weights = np.arange(rows.size).reshape(rows.shape) < samples
    return rows[:, worker], weights[:, worker].astype("float32")


class Shards(keras.utils.PyDataset):
    """Batches (x, y, weights) of one worker, for `fit` with ``shuffle=False``.

    Set `epoch` before each one, or hand `follow` to `fit`: a run that goes on at epoch
    five then reads what the fifth epoch would have read.
    """

    def __init__(self, folder, batch, workers=1, worker=0, seed=0, epoch=0):
        super().__init__()
        self.x, self.y = (open_parts(folder, name) for name in "xy")
        lengths = [[len(part) for part in parts] for parts in (self.x, self.y)]
        if lengths[0] != lengths[1]:
            raise ShardError(
                f"Samples and labels differ in number in {folder}: the shards hold "
                f"{lengths[0]} and {lengths[1]}. Write them again."
            )
        self.ends = np.cumsum(lengths[0])
        self.samples = int(self.ends[-1])
        self.sharing = self.samples, batch, workers, worker
        self.seed, self.planned = seed, None
        self.epoch = epoch
        self.plan()  # refuses what can't be shared out

    def plan(self):
        """Return the rows and weights of this epoch."""
        if self.planned != self.epoch:
            self.rows, self.weights = plan_epoch(*self.sharing, self.epoch, self.seed)
            self.planned = self.epoch
        return self.rows, self.weights

    def follow(self):
        """Return a callback that tells which epoch has begun."""
        return keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: setattr(self, "epoch", epoch)
        )

    @property
    def classes(self):
        """The number of classes, from the greatest label."""
        return int(max(part.max() for part in self.y)) + 1

    def describe(self):
        """Return what must be the same for all workers."""
        return {
            "samples in shards": np.diff(self.ends, prepend=0).tolist(),
            "x": [self.x[0].shape[1:], str(self.x[0].dtype)],
            "y": [self.y[0].shape[1:], str(self.y[0].dtype)],
        }

    def __len__(self):
        return len(self.plan()[0])

    def __getitem__(self, step):
        rows, weights = (each[step] for each in self.plan())
        shard = np.searchsorted(self.ends, rows, side="right")
        place = rows - np.concatenate([[0], self.ends])[shard]
        return *(pick(parts, shard, place) for parts in (self.x, self.y)), weights


def open_parts(folder, name):
    """Return the arrays of all shards, on disk."""
    paths = sorted(folder.glob(f"{name}-*.npy"))
    if not paths:
        raise ShardError(f"There is no {name}-*.npy in {folder}. Check --data.")
    parts = [open_part(path) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        if (part.shape[1:], part.dtype) != (parts[0].shape[1:], parts[0].dtype):
            raise ShardError(
                f"Samples in {path} are {part.shape[1:]} {part.dtype}, those in "
                f"{paths[0].name} {parts[0].shape[1:]} {parts[0].dtype}. Make them one."
            )
    return parts


def open_part(path):
    """Return an array that stays on disk."""
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise ShardError(f"{path} is not a whole .npy file: {error}") from error


def pick(parts, shard, place):
    """Return rows, each from its place in its shard."""
    rows = np.empty((len(shard), *parts[0].shape[1:]), parts[0].dtype)
    for number in np.unique(shard):
        rows[shard == number] = parts[number][place[shard == number]]
    return rows


def write_shards(folder, batches, samples):
    """Write batches (x, y), such as a `ClipFolder`, in shards of so many samples.

    The folder gets its name when all is written, so that half of one is never read.
    """
    if folder.exists():
        raise ShardError(f"{folder} is there already: it is not written twice.")
    part = folder.with_name(folder.name + ".part")
    part.mkdir(parents=True)
    held, number = [], 0
    for batch in batches:
        held.append([np.asarray(each) for each in batch])
        while sum(len(y) for _, y in held) >= samples:
            held = save_first(part, number, held, samples)
            number += 1
    if sum(len(y) for _, y in held):
        save_first(part, number, held, samples)
    part.rename(folder)


def save_first(folder, number, held, samples):
    """Save a shard of what is held, and return the rest."""
    x, y = (np.concatenate(each) for each in zip(*held, strict=True))
    for name, array in (("x", x), ("y", y)):
        np.save(folder / f"{name}-{number:05}.npy", array[:samples])
    return [[x[samples:], y[samples:]]]
