"""A run goes on from a whole checkpoint, whenever the worker that writes it dies."""

import os

import pytest
from callbacks import Checkpoint, best_epoch, read_note, weights_name
from shards import ShardError

SETTINGS = {"batch": 12, "x": (24, 3)}


class Weights:
    """Stands for a model, whose weights are a word."""

    dies = False

    def save_weights(self, path):
        path.write_text("half" if self.dies else "whole")
        if self.dies:
            raise KeyboardInterrupt


def begin(run):
    """Return a model, and the callback that goes on with a run."""
    model = Weights()
    keep = Checkpoint(run, read_note(run, SETTINGS), writes=True)
    keep.set_model(model)
    return model, keep


@pytest.mark.parametrize("where", ["in the weights", "before the note"])
def test_one_that_dies_as_it_writes_leaves_a_whole_checkpoint(
    tmp_path, monkeypatch, where
):
    def dies(*paths):
        raise KeyboardInterrupt

    model, keep = begin(tmp_path)
    keep.on_epoch_end(0, {"loss": 2.0})
    with monkeypatch.context() as patch:
        if where == "before the note":
            patch.setattr(os, "replace", dies)
        model.dies = where == "in the weights"
        with pytest.raises(KeyboardInterrupt):
            keep.on_epoch_end(1, {"loss": 1.0})
    assert read_note(tmp_path, SETTINGS)["epochs"] == 1
    assert (tmp_path / weights_name(1)).read_text() == "whole"
    _, keep = begin(tmp_path)  # and the next run writes over what is half
    keep.on_epoch_end(1, {"loss": 1.0})
    note = read_note(tmp_path, SETTINGS)
    assert [logs["loss"] for logs in note["history"]] == [2.0, 1.0]
    assert (tmp_path / weights_name(2)).read_text() == "whole"


def test_the_last_checkpoint_and_the_best_are_kept(tmp_path):
    _, keep = begin(tmp_path)
    for epoch, loss in enumerate([3.0, 1.0, 2.0, 2.5]):
        keep.on_epoch_end(epoch, {"loss": 0.0, "val_loss": loss})
    assert best_epoch(read_note(tmp_path, SETTINGS)["history"]) == 2
    kept = sorted(path.name for path in tmp_path.glob("*.h5"))
    assert kept == [weights_name(2), weights_name(4)]


def test_other_settings_do_not_go_on_with_a_run(tmp_path):
    begin(tmp_path)[1].on_epoch_end(0, {"loss": 1.0})
    with pytest.raises(ShardError, match="begun with batch 12, and now it is 24"):
        read_note(tmp_path, SETTINGS | {"batch": 24})
