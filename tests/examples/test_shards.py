"""Every sample is read once an epoch, in the same batches by any number of workers."""

from itertools import pairwise

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shards import ShardError, Shards, plan_epoch, write_shards

from cnnseq_helpers import (
    ClipFolder,
    MaskedGlobalAveragePooling1D,
    bucket_dataset,
    write_clip,
)
from tests.conftest import examples


def write(folder, lengths):
    """Write uneven shards of numbered samples."""
    folder.mkdir()
    ends = np.cumsum([0, *lengths])
    for number, (first, last) in enumerate(pairwise(ends)):
        rows = np.arange(first, last)
        np.save(folder / f"x-{number:05}.npy", np.stack([rows, -rows], axis=1))
        np.save(folder / f"y-{number:05}.npy", rows % 3)
    return folder


def readers(folder, share, workers, **settings):
    return [
        Shards(folder, share * workers, workers, worker, **settings)
        for worker in range(workers)
    ]


lengths = st.lists(st.integers(1, 20), min_size=1, max_size=6)


@examples(60)
@given(lengths, st.integers(1, 5), st.integers(1, 4), st.integers(0, 3))
def test_no_sample_is_lost_or_read_twice(tmp_path_factory, parts, workers, share, seed):
    samples = sum(parts)
    if samples < workers:
        return
    folder = write(tmp_path_factory.mktemp("shards") / "train", parts)
    everyone = readers(folder, share, workers, seed=seed, epoch=seed)
    assert len({len(each) for each in everyone}) == 1
    weights = np.zeros(samples)
    for each in everyone:
        for step in range(len(each)):
            x, y, weight = each[step]
            assert len(x) == len(y) == len(weight) == share
            assert (x[:, 0] % 3 == y).all()
            assert (x[:, 0] == -x[:, 1]).all()
            np.add.at(weights, x[:, 0], weight)
    assert (weights == 1).all()


@examples(40)
@given(st.integers(5, 80), st.sampled_from([1, 2, 3, 4, 5]), st.integers(0, 9))
def test_a_batch_is_that_of_one_process(samples, workers, epoch):
    alone, weights = plan_epoch(samples, 60, 1, 0, epoch)
    shares = [plan_epoch(samples, 60, workers, each, epoch) for each in range(workers)]
    np.testing.assert_array_equal(np.concatenate([r for r, _ in shares], 1), alone)
    np.testing.assert_array_equal(np.concatenate([w for _, w in shares], 1), weights)


def test_a_run_goes_on_with_the_epoch_that_it_would_have_read(tmp_path):
    folder = write(tmp_path / "train", [7, 2, 9])
    undisturbed, resumed = Shards(folder, 4), Shards(folder, 4, epoch=2)
    first = undisturbed[0][0]
    undisturbed.follow().on_epoch_begin(2, None)
    assert not np.array_equal(undisturbed[0][0], first)
    for step in range(len(resumed)):
        np.testing.assert_array_equal(undisturbed[step][0], resumed[step][0])


def test_another_seed_is_another_order():
    orders = [plan_epoch(50, 10, 1, 0, 0, seed)[0].ravel() for seed in (0, 1)]
    assert not np.array_equal(*orders)


def test_shards_stay_on_disk(tmp_path):
    reader = Shards(write(tmp_path / "train", [5, 5]), 2)
    assert all(isinstance(part, np.memmap) for part in reader.x)


def test_what_is_written_is_read(tmp_path):
    x, y = np.random.default_rng(0).random((23, 4, 2), "float32"), np.arange(23)
    batches = [
        (x[first : first + 5], y[first : first + 5]) for first in range(0, 23, 5)
    ]
    write_shards(tmp_path / "train", batches, 7)
    reader = Shards(tmp_path / "train", 23)
    assert reader.describe()["samples in shards"] == [7, 7, 7, 2]
    assert reader.classes == 23
    found, labels, _ = reader[0]
    np.testing.assert_array_equal(found, x[labels])
    assert sorted(labels) == list(range(23))


def test_clips_of_a_folder_go_into_shards(tmp_path):
    for number in range(5):
        place = tmp_path / "clips" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        clip = np.full((6, 16, 16, 1), 40 * number, np.uint8)
        write_clip(place / f"{number}.mp4", clip)
    clips = ClipFolder(
        tmp_path / "clips", frames=4, channels=1, batch_size=2, seed=None
    )
    write_shards(tmp_path / "train", clips, 3)
    reader = Shards(tmp_path / "train", 5)
    assert reader.describe()["samples in shards"] == [3, 2]
    assert reader.describe()["x"] == [(4, 16, 16, 1), "float32"]
    found, labels, _ = reader[0]
    expected, order = np.concatenate([x for x, _ in clips]), reader.rows[0]
    np.testing.assert_array_equal(found, expected[order])
    np.testing.assert_array_equal(labels, clips.labels[order])


@pytest.fixture(scope="module")
def buckets(tmp_path_factory):
    """Write the batches of `bucket_dataset`, a folder for each length."""
    import tensorflow as tf

    folder, draw = tmp_path_factory.mktemp("buckets"), np.random.default_rng(0)
    series = [draw.normal(size=(steps, 2)) for steps in draw.integers(3, 13, size=40)]
    data = tf.data.Dataset.from_generator(
        lambda: zip(series, range(40), strict=True),
        output_signature=(tf.TensorSpec((None, 2)), tf.TensorSpec((), tf.int64)),
    )
    batches = list(bucket_dataset(data, batch_size=8, boundaries=[6, 9, 12]))
    for length in (6, 9, 12):
        alike = [
            (np.concatenate([x, mask[..., None]], axis=-1), y)
            for (x, mask), y in batches
            if x.shape[1] == length
        ]
        write_shards(folder / f"{length:02}", alike, 5)
    return series, sorted(folder.iterdir())


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_buckets_go_into_shards_and_to_all_workers_alike(buckets, workers):
    series, folders = buckets
    seen = []
    for folder in folders:
        everyone = readers(folder, 8 // workers, workers)
        for step in range(len(everyone[0])):
            shares = [each[step] for each in everyone]
            assert {x.shape for x, _, _ in shares} == {
                (8 // workers, int(folder.name), 3)
            }
            for x, y, weights in shares:
                for row, number in zip(x[weights > 0], y[weights > 0], strict=True):
                    real = row[:, 2] > 0
                    np.testing.assert_allclose(row[real, :2], series[number], 1e-6)
                    seen.append(number)
    assert sorted(seen) == list(range(40))


def test_buckets_behind_shards_feed_fit(buckets):
    inputs = keras.Input((None, 3))
    mean = MaskedGlobalAveragePooling1D()(inputs[..., :2], mask=inputs[..., 2] > 0)
    model = keras.Model(inputs, keras.layers.Dense(1)(mean))
    model.compile("sgd", "mse")
    for folder in buckets[1]:
        history = model.fit(Shards(folder, 8), shuffle=False, verbose=0).history
        assert np.isfinite(history["loss"]).all()


def test_more_than_a_shard_in_a_batch(tmp_path):
    write_shards(tmp_path / "train", [(np.zeros((10, 2)), np.arange(10))], 3)
    held = Shards(tmp_path / "train", 10).describe()["samples in shards"]
    assert held == [3, 3, 3, 1]


def test_nothing_is_written_twice(tmp_path):
    batches = [(np.zeros((4, 2)), np.zeros(4))]
    write_shards(tmp_path / "train", batches, 2)
    with pytest.raises(ShardError, match="not written twice"):
        write_shards(tmp_path / "train", batches, 2)


def test_half_a_folder_is_none(tmp_path):
    def breaking():
        yield np.zeros((4, 2)), np.zeros(4)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_shards(tmp_path / "train", breaking(), 2)
    with pytest.raises(ShardError, match="There is no x-"):
        Shards(tmp_path / "train", 2)


def unequal(folder):
    np.save(folder / "y-00001.npy", np.zeros(3, int))


def other_shape(folder):
    np.save(folder / "x-00001.npy", np.zeros((4, 3)))


def other_type(folder):
    np.save(folder / "x-00001.npy", np.zeros((4, 2), "float16"))


def cut_off(folder):
    whole = (folder / "x-00001.npy").read_bytes()
    (folder / "x-00001.npy").write_bytes(whole[:-1])


def without_labels(folder):
    for path in folder.glob("y-*"):
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (unequal, r"differ in number .*\[4, 4\] and \[4, 3\]"),
        (other_shape, r"x-00001.npy are \(3,\) float64, those in x-00000.npy \(2,\)"),
        (other_type, r"float16, those in x-00000.npy \(2,\) int64"),
        (cut_off, "x-00001.npy is not a whole .npy file"),
        (without_labels, "There is no y-"),
    ],
)
def test_spoilt_folders_are_refused(tmp_path, spoil, message):
    folder = write(tmp_path / "train", [4, 4])
    spoil(folder)
    with pytest.raises(ShardError, match=message):
        Shards(folder, 2)


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ShardError, match="does not divide by 3 .* --batch 63 or 66"):
        plan_epoch(100, 64, 3, 0, 0)


def test_fewer_samples_than_workers_are_refused():
    with pytest.raises(ShardError, match=r"fewer samples \(3\) than workers \(4\)"):
        plan_epoch(3, 64, 4, 0, 0)
