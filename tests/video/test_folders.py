"""A folder of class folders gives every clip once an epoch, with its own label."""

import keras
import numpy as np
import pytest

from cnnseq_helpers import (
    ClipError,
    ClipFolder,
    ShapeError,
    cnn_lstm,
    read_clip,
    write_clip,
)

from ..conftest import sampled


@pytest.fixture
def folder(tmp_path):
    """Seven clips of two classes; each clip has a brightness of its own."""
    for name, brightness in [
        ("dark", range(10, 50, 10)),
        ("light", range(200, 230, 10)),
    ]:
        (tmp_path / "clips" / name).mkdir(parents=True)
        for value in brightness:
            clip = np.full((8, 16, 16, 1), value, np.uint8)
            suffix = "gif" if value % 20 else "mp4"
            write_clip(tmp_path / "clips" / name / f"{value:03}.{suffix}", clip)
    (tmp_path / "clips" / ".hidden").write_text("passed over")
    (tmp_path / "clips" / "dark" / ".hidden").write_text("passed over")
    return tmp_path / "clips"


def brightness(clips):
    return np.round(255 * clips.mean(axis=(1, 2, 3, 4)), -1).astype(int).tolist()


def test_every_clip_comes_once_with_its_label_in_order(folder):
    batches = ClipFolder(folder, frames=4, channels=1, batch_size=3, seed=None)
    assert batches.class_names == ("dark", "light")
    assert batches.clip_shape == (4, 16, 16, 1)
    assert [path.stem for path in batches.paths][:2] == ["010", "020"]
    assert batches.labels.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert len(batches) == 3
    read = list(batches)
    assert [len(x) for x, _ in read] == [len(y) for _, y in read] == [3, 3, 1]
    x, y = (np.concatenate(part) for part in zip(*read, strict=True))
    assert (x.dtype, y.dtype) == (np.float32, np.int64)
    assert brightness(x) == [10, 20, 30, 40, 200, 210, 220]
    assert y.tolist() == batches.labels.tolist()
    np.testing.assert_array_equal(
        x[0], read_clip(batches.paths[0], frames=4, channels=1)
    )


def test_a_seed_shuffles_anew_for_each_epoch(folder):
    def epochs(seed):
        batches = ClipFolder(folder, frames=2, channels=1, batch_size=4, seed=seed)
        orders = []
        for _ in range(3):
            x, y = (np.concatenate(part) for part in zip(*batches, strict=True))
            assert [b > 100 for b in brightness(x)] == y.astype(bool).tolist()
            orders.append(brightness(x))
            batches.on_epoch_end()
        return orders

    orders = epochs(0)
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == [10, 20, 30, 40, 200, 210, 220] for order in orders)
    assert epochs(0) == orders
    assert epochs(1) != orders


@pytest.mark.parametrize("workers", sampled([2, 1], 2))
def test_a_model_learns_from_the_files(folder, workers):
    keras.utils.set_random_seed(0)
    train = ClipFolder(
        folder, frames=4, channels=1, batch_size=4, seed=0, workers=workers
    )
    test = ClipFolder(folder, frames=4, channels=1, seed=None)
    model = cnn_lstm(train.clip_shape, 2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.fit(train, epochs=20, verbose=0)  # ten are few from some first weights
    logits = model.predict(test, verbose=0)
    assert logits.argmax(axis=1).tolist() == test.labels.tolist()


def test_classes_of_the_training_folder_keep_their_labels(folder):
    names = ("light", "dark")
    batches = ClipFolder(folder, frames=2, seed=None, class_names=names)
    assert batches.class_names == names
    assert batches.labels.tolist() == [0, 0, 0, 1, 1, 1, 1]
    # A test folder may lack a class: labels still count as in the training folder.
    fewer = ClipFolder(folder, frames=2, seed=None, class_names=("red", *names))
    assert fewer.labels.tolist() == [1, 1, 1, 2, 2, 2, 2]
    for other in (("dark",), ("dark", "red"), ()):
        with pytest.raises(ClipError, match=r"and nothing else, got \['.*light"):
            ClipFolder(folder, frames=2, seed=None, class_names=other)
    with pytest.raises(ClipError, match="each class once in class_names"):
        ClipFolder(folder, frames=2, seed=None, class_names=(*names, "dark"))


def test_frames_of_different_sizes_need_a_size(folder):
    write_clip(folder / "light" / "large.mp4", np.zeros((8, 32, 16, 1)))
    batches = ClipFolder(folder, frames=2, seed=None)
    with pytest.raises(
        ShapeError, match=r"\(16, 16\) pixels.*\(32, 16\) in .*large.mp4"
    ):
        list(batches)
    ((x, _),) = ClipFolder(folder, frames=2, size=(8, 8), seed=None)
    assert x.shape == (8, 2, 8, 8, 3)


def test_a_broken_file_is_an_error_when_its_turn_comes(folder):
    (folder / "light" / "205.mp4").write_bytes(b"broken")
    batches = ClipFolder(folder, frames=2, batch_size=4, seed=None)
    assert len(batches[0][0]) == 4
    with pytest.raises(ClipError, match=r"light.205.mp4.*expected a whole video file"):
        batches[1]


def test_other_folders_are_refused(folder, tmp_path):
    def refused(path, error, message):
        with pytest.raises(error, match=message):
            ClipFolder(path, frames=2, seed=None)

    refused(tmp_path / "missing", FileNotFoundError, "folder of class folders")
    refused(folder / "dark" / "010.mp4", FileNotFoundError, "folder of class folders")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", ClipError, "a folder for each class.*got nothing")
    refused(folder / "dark", ClipError, "Put each clip into the folder of its class")
    (folder / "no clips").mkdir()
    refused(folder, ClipError, "no clips', got an empty folder")
    (folder / "no clips").rmdir()
    (folder / "dark" / "deeper").mkdir()
    refused(folder, ClipError, "nothing but files in .*'deeper' is a folder or a link")
    (folder / "dark" / "deeper").rmdir()
    (folder / "readme.txt").write_text("notes")
    refused(folder, ClipError, "and nothing else, got .*readme.txt")


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("dark/link.mp4", "../outside/clip.mp4"),
        ("dark/link.mp4", "light/200.mp4"),
        ("dark/link.mp4", "missing.mp4"),
        ("dark/link.mp4", "dark/link.mp4"),
        ("link", "../outside"),
        ("link", "light"),
    ],
)
def test_links_are_refused(folder, tmp_path, link, target):
    (tmp_path / "outside").mkdir()
    write_clip(tmp_path / "outside" / "clip.mp4", np.zeros((8, 16, 16, 1)))
    (folder / link).symlink_to(folder / target)
    with pytest.raises(ClipError, match="link"):
        ClipFolder(folder, frames=2, seed=None)


def test_the_folder_may_be_given_relative_to_here(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    batches = ClipFolder("clips", frames=2, seed=None)
    monkeypatch.chdir(folder)
    assert len(batches[0][0]) == 7


@pytest.mark.parametrize(
    "options",
    [{"frames": 0}, {"frames": None}, {"batch_size": 0}, {"channels": 2}, {"size": 8}],
)
def test_impossible_requests_are_refused(folder, options):
    with pytest.raises(ShapeError, match="ClipFolder expected"):
        ClipFolder(folder, **{"frames": 2, "seed": None, **options})


def test_batches_end(folder):
    batches = ClipFolder(folder, frames=2, seed=None, batch_size=4)
    for index in (2, -1):
        with pytest.raises(IndexError, match="has the batches 0 to 1"):
            batches[index]
