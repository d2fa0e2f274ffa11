"""Processes that train together, and what becomes of them when one fails.

Each test starts Keras on JAX several times, so these run in `make test-all`.
"""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from launch import free_port
from shards import write_shards

from tests.book.notebooks import code_cells, read

from . import EXAMPLES

pytestmark = pytest.mark.exhaustive

# Writes the mean loss of the epoch so far, step by step; FAULT spoils a step.
WATCHED = """
import os, pathlib, signal, sys, time
import train_on_many
import keras, numpy as np

rank, fault = os.environ.get("RANK", "0"), os.environ.get("FAULT")
dead = pathlib.Path("dead")
if fault == "version" and rank == "1":
    np.__version__ = "0.0"

class Steps(keras.callbacks.Callback):
    made = 0

    def on_train_batch_end(self, batch, logs=None):
        with open(f"steps-{rank}", "a") as steps:
            print(float(logs["loss"]), file=steps)
        self.made += 1
        if rank == "1" and self.made == 9:
            if fault == "kill" and not dead.exists():
                dead.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if fault == "hang":
                time.sleep(3_600)

train_on_many.main(callbacks=[Steps()])
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Write series of three classes in uneven shards."""
    folder, draw = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for name, samples in (("train", 46), ("validation", 13)):
        y = np.arange(samples) % 3
        x = draw.normal(size=(samples, 24, 3)) + np.eye(3)[y][:, None]
        write_shards(folder / name, [(x.astype("float32"), y)], 10)
    return folder


def train(folder, data, workers, *options, fault="", restarts=0, epochs=3):
    """Train in a folder; return exit code, output, note and the losses by step."""
    folder.mkdir(exist_ok=True)
    (folder / "watched.py").write_text(WATCHED)
    settings = ["--data", data, "--run", "run", "--batch", "12", "--rate", "0.01"]
    settings += ["--epochs", str(epochs), "--wait", "60", *options]
    start = [EXAMPLES / "launch.py", "--restarts", str(restarts), str(workers)]
    ran = subprocess.run(
        [sys.executable, *map(str, [*start, "watched.py", *settings])],
        cwd=folder,
        env=environment(FAULT=fault),
        capture_output=True,
        text=True,
    )
    notes = folder / "run/note.json"
    note = json.loads(notes.read_text()) if notes.exists() else None
    steps = [np.loadtxt(path) for path in sorted(folder.glob("steps-*"))]
    return ran.returncode, ran.stdout + ran.stderr, note, steps


def environment(**names):
    path = f"{EXAMPLES}:{EXAMPLES.parent}"
    return os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": path} | names


def losses(note):
    return [[logs["loss"], logs["val_loss"]] for logs in note["history"]]


@pytest.mark.parametrize("model", ["cnn_lstm", "cnn1d"])
def test_losses_are_those_of_one_process(tmp_path, data, model):
    found = {}
    for workers in (1, 2, 4):
        code, output, note, steps = train(
            tmp_path / str(workers), data, workers, "--model", model
        )
        assert code == 0, output
        assert len(steps) == workers
        assert len(steps[0]) == 12
        for each in steps:  # and all workers know it
            np.testing.assert_array_equal(each, steps[0])
        found[workers] = steps[0], note["history"]
    for workers in (2, 4):
        np.testing.assert_allclose(found[workers][0], found[1][0], atol=1e-5)
        for one, many in zip(found[1][1], found[workers][1], strict=True):
            assert many["val_accuracy"] == pytest.approx(one["val_accuracy"], abs=0.08)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("undisturbed")
    code, output, note, _ = train(folder, data, 2)
    assert code == 0, output
    assert "saved run/model.keras" in output
    return folder, note


def test_a_killed_worker_changes_nothing(tmp_path, data, undisturbed):
    code, output, note, steps = train(tmp_path, data, 2, fault="kill", restarts=1)
    assert code == 0, output
    assert "Worker 1 died. Restarts left: 1." in output
    assert "stopped, perhaps since another is gone" in output
    assert losses(note) == losses(undisturbed[1])
    kept = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"after-0003.weights.h5", "model.keras", "note.json"} <= kept
    assert len(steps[1]) == 9 + 4  # its third epoch, begun once before


def test_fewer_workers_go_on(tmp_path, data, undisturbed):
    code, output, *_ = train(tmp_path, data, 2, epochs=2)
    assert code == 0, output
    code, output, note, _ = train(tmp_path, data, 1)
    assert code == 0, output
    np.testing.assert_allclose(losses(note), losses(undisturbed[1]), atol=1e-5)


def test_other_settings_do_not_go_on_with_a_run(undisturbed, data):
    folder, note = undisturbed
    code, output, after, _ = train(folder, data, 1, "--rate", "0.02", epochs=4)
    assert code == 1
    assert "was begun with rate 0.01, and now it is 0.02" in output
    assert after == note


def test_any_backend_loads_the_model(undisturbed):
    code = (
        "import sys, keras, numpy as np, cnnseq_helpers; "
        "model = keras.saving.load_model(sys.argv[1]); "
        "print(np.asarray(model(np.ones((1, 24, 3), 'float32'))).tolist())"
    )
    command = [sys.executable, "-c", code, undisturbed[0] / "run/model.keras"]
    found = [
        json.loads(subprocess.check_output(command, env=environment(KERAS_BACKEND=b)))
        for b in ("jax", "tensorflow")
    ]
    np.testing.assert_allclose(*found, atol=1e-5)


def test_all_stop_together(tmp_path, data):
    options = ["--patience", "1", "--rate", "1.0"]  # no epoch is better than the first
    code, output, note, steps = train(tmp_path, data, 2, *options, epochs=30)
    assert code == 0, output
    assert note["epochs"] < 30
    assert len(steps[0]) == len(steps[1]) == 4 * note["epochs"]


# --- Messages in place of a silent wait -----------------------------------------------


def test_a_worker_that_hangs_is_told_of(tmp_path, data):
    code, output, *_ = train(tmp_path, data, 2, "--step", "20", fault="hang")
    assert code == 1
    assert "no step ended within 20 s" in output


def test_another_version_is_told_of(tmp_path, data):
    code, output, *_ = train(tmp_path, data, 2, fault="version")
    assert code == 1
    assert output.count("Not trained: Worker 1 has numpy 0.0, worker 0 has") == 2


@pytest.mark.parametrize(
    ("workers", "options", "said"),
    [
        (1, ["--data", "nowhere"], "There is no x-*.npy in nowhere"),
        (2, ["--batch", "11"], "11 samples does not divide by 2 workers"),
    ],
)
def test_what_can_not_be_shared_out_is_refused(tmp_path, data, workers, options, said):
    code, output, *_ = train(tmp_path, data, workers, *options)
    assert code == 1
    assert f"Not trained: {'The batch of ' if workers > 1 else ''}{said}" in output


def alone(data, folder, port):
    """Start worker 0 of two without the other."""
    names = {"RANK": "0", "WORLD": "2", "COORDINATOR": f"127.0.0.1:{port}"}
    options = ["--data", data, "--run", folder / "run", "--batch", "12", "--wait", "2"]
    return subprocess.run(
        [sys.executable, EXAMPLES / "train_on_many.py", *options],
        env=environment(**names),
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_worker_that_never_comes_is_told_of(tmp_path, data):
    ran = alone(data, tmp_path, free_port())
    assert ran.returncode == 1
    assert "Not trained: Of 2 workers [1] did not come within 2 s." in ran.stderr


def test_a_port_in_use_is_told_of(tmp_path, data):
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        ran = alone(data, tmp_path, port)
    assert ran.returncode == 1
    assert f"Worker 0 can't listen on port {port}" in ran.stderr


def test_the_short_answer_trains_on_two(tmp_path):
    (answer,) = [
        cell.source
        for cell in code_cells(read("notebooks/deploying/several_machines.ipynb"))
        if "short-answer" in cell.metadata.get("tags", [])
    ]
    ending = "\nprint('losses', history.history['loss'])"
    (tmp_path / "answer.py").write_text(answer + ending)
    found = []
    for workers in (1, 2):
        command = [sys.executable, EXAMPLES / "launch.py", str(workers), "answer.py"]
        printed = subprocess.check_output(
            command, cwd=tmp_path, env=environment(), text=True
        )
        lines = [line for line in printed.splitlines() if line.startswith("losses ")]
        found += [json.loads(line.removeprefix("losses ")) for line in lines]
    assert len(found) == 3
    np.testing.assert_allclose(found, [found[0]] * 3, atol=1e-5)


# --- The other way, which does not work -----------------------------------------------

TENSORFLOW = """
import json, os

rank, address = int(os.environ["RANK"]), os.environ["COORDINATOR"]
host, port = address.split(":")
workers = [address, f"{host}:{int(port) + 1}"]
task = {"type": "worker", "index": rank}
os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": workers}, "task": task})

import keras, numpy as np, tensorflow as tf

with tf.distribute.MultiWorkerMirroredStrategy().scope():
    model = keras.Sequential([keras.Input((20, 3)), keras.layers.LSTM(4)])
    model.compile("adam", "mse")
try:
    model.fit(np.zeros((8, 20, 3)), np.zeros((8, 4)), verbose=0)
except ValueError as error:
    print(error, flush=True)
    os._exit(0)
"""


def test_fit_fails_under_tensorflows_strategy(tmp_path):
    (tmp_path / "strategy.py").write_text(TENSORFLOW)
    command = [sys.executable, EXAMPLES / "launch.py", "2", "strategy.py"]
    printed = subprocess.check_output(
        command, cwd=tmp_path, env=environment(KERAS_BACKEND="tensorflow"), text=True
    )
    assert printed.count("Attempt to convert a value (PerReplica:{") == 2
