"""Processes that train together, and what becomes of them when one fails.

Each test starts Keras on JAX several times, so these run in `make test-all`.
"""

import json
import os
import shutil
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest
from launch import free_port
from shards import write_shards

import cnnseq_helpers  # noqa: F401 - a saved model needs it
from tests.book.notebooks import code_cells, read
from tests.conftest import QUICK

from . import EXAMPLES

pytestmark = pytest.mark.exhaustive

# What Keras would load where it is installed, a second of each process.
LEAN = """import sys
sys.modules |= dict.fromkeys(["matplotlib", "pandas", "sklearn", "tensorflow"])
"""

# Trains models one behind the other, since a process takes long to start. Writes the
# mean loss of the epoch so far, step by step; FAULT spoils a step.
WATCHED = (
    LEAN
    + """
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
        with open(f"{model}-{rank}.steps", "a") as steps:
            print(float(logs["loss"]), file=steps)
        self.made += 1
        if rank == "1" and self.made == 9:
            if fault == "kill" and not dead.exists():
                dead.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if fault == "hang":
                time.sleep(3_600)

for model in os.environ["MODELS"].split():
    arguments = [*sys.argv[1:], "--model", model, "--run", model]
    train_on_many.main(arguments, callbacks=[Steps()])
    train_on_many.join = lambda *given: None  # they have met
    if os.environ["WORLD"] == "1":
        saved = keras.saving.load_model(f"{model}/model.keras")
        np.save(f"{model}.npy", saved(np.ones((1, 24, 3), "float32")))
"""
)
MODELS = ("cnn_lstm", "cnn1d")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Write series of three classes in uneven shards."""
    folder, draw = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for name, samples in (("train", 46), ("validation", 13)):
        y = np.arange(samples) % 3
        x = draw.normal(size=(samples, 24, 3)) + np.eye(3)[y][:, None]
        write_shards(folder / name, [(x.astype("float32"), y)], 10)
    return folder


def train(folder, data, workers, *options, epochs=3, restarts=0, **names):
    """Train in a folder; return exit code and output."""
    folder.mkdir(exist_ok=True)
    (folder / "watched.py").write_text(WATCHED)
    settings = ["--data", data, "--batch", "12", "--rate", "0.01", "--wait", "60"]
    settings += ["--epochs", str(epochs), *options]
    start = [EXAMPLES / "launch.py", "--restarts", str(restarts), str(workers)]
    ran = subprocess.run(
        [sys.executable, *map(str, [*start, "watched.py", *settings])],
        cwd=folder,
        env=environment(**{"MODELS": "cnn_lstm"} | names),
        capture_output=True,
        text=True,
    )
    return ran.returncode, ran.stdout + ran.stderr


def environment(devices=1, **names):
    """Return that of a process on JAX, with so many devices, and quick to compile."""
    path = f"{EXAMPLES}:{EXAMPLES.parent}"
    flags = f"--xla_force_host_platform_device_count={devices} {QUICK}"
    known = {"KERAS_BACKEND": "jax", "PYTHONPATH": path, "XLA_FLAGS": flags}
    return os.environ | known | names


def read_run(folder, model="cnn_lstm"):
    """Return the note of a run, and the losses by step of each worker."""
    note = json.loads((folder / model / "note.json").read_text())
    return note, [np.loadtxt(path) for path in sorted(folder.glob(f"{model}-*.steps"))]


def losses(note):
    return [[logs["loss"], logs["val_loss"]] for logs in note["history"]]


# --- The losses of one process --------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory, data):
    """Train both models on 1, 2 and 4 processes, and on two devices of one process."""
    folders = {}
    for workers, devices in ((1, 1), (1, 2), (2, 1), (4, 1)):
        folder = folders[workers, devices] = tmp_path_factory.mktemp("run")
        epochs = 3 + (workers == devices)  # another test goes on with the others
        given = {"MODELS": " ".join(MODELS), "devices": devices}
        code, output = train(folder, data, workers, epochs=epochs, **given)
        assert code == 0, output
        assert output.count("saved") == len(MODELS)
    return folders


@pytest.mark.parametrize("model", MODELS)
def test_losses_are_those_of_one_process(runs, model):
    alone, (expected,) = read_run(runs[1, 1], model)
    for (workers, _), folder in runs.items():
        note, steps = read_run(folder, model)
        assert len(steps) == workers
        for each in steps:  # and all workers know it
            np.testing.assert_array_equal(each, steps[0])
        np.testing.assert_allclose(steps[0][:12], expected[:12], atol=1e-5)
        for one, many in zip(alone["history"][:3], note["history"], strict=False):
            assert many["val_accuracy"] == pytest.approx(one["val_accuracy"], abs=0.08)


def test_a_killed_worker_changes_nothing(tmp_path, data, runs):
    code, output = train(tmp_path, data, 2, FAULT="kill", restarts=1)
    assert code == 0, output
    assert "Worker 1 died. Restarts left: 1." in output
    assert "stopped, perhaps since another is gone" in output
    note, steps = read_run(tmp_path)
    assert losses(note) == losses(read_run(runs[2, 1])[0])
    kept = {path.name for path in (tmp_path / "cnn_lstm").iterdir()}
    assert {"after-0003.weights.h5", "model.keras", "note.json"} <= kept
    assert len(steps[1]) == 9 + 4  # its third epoch, begun once before


def test_fewer_workers_go_on(tmp_path, data, runs):
    folder = shutil.copytree(runs[2, 1], tmp_path / "goes on")
    code, output = train(folder, data, 1, epochs=4)
    assert code == 0, output
    resumed, undisturbed = (read_run(each)[0] for each in (folder, runs[1, 1]))
    np.testing.assert_allclose(losses(resumed), losses(undisturbed), atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_tensorflow_loads_the_model(runs, model):
    assert keras.backend.backend() == "tensorflow"
    saved = keras.saving.load_model(runs[1, 1] / model / "model.keras")
    found, expected = saved(np.ones((1, 24, 3))), np.load(runs[1, 1] / f"{model}.npy")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_all_stop_together(tmp_path, data):
    options = ["--patience", "1", "--rate", "1.0"]  # no epoch is better than the first
    code, output = train(tmp_path, data, 2, *options, epochs=30)
    assert code == 0, output
    note, steps = read_run(tmp_path)
    assert note["epochs"] < 30
    assert len(steps[0]) == len(steps[1]) == 4 * note["epochs"]


# --- Messages in place of a silent wait -----------------------------------------------


def test_a_worker_that_hangs_is_told_of(tmp_path, data):
    code, output = train(tmp_path, data, 2, "--step", "20", FAULT="hang")
    assert code == 1
    assert "no step ended within 20 s" in output


def test_another_version_is_told_of(tmp_path, data):
    code, output = train(tmp_path, data, 2, FAULT="version")
    assert code == 1
    assert output.count("Not trained: Worker 1 has numpy 0.0, worker 0 has") == 2


REFUSED = """
import json, os, sys
import train_on_many

for names, options in json.loads(sys.argv[1]):
    os.environ.update(names)
    try:
        train_on_many.main(options)
    except SystemExit as error:
        print(error.code, flush=True)
"""


def test_what_can_not_be_trained_is_refused(tmp_path, data, runs):
    begun = shutil.copytree(runs[1, 1] / "cnn_lstm", tmp_path / "begun")
    before = (begun / "note.json").read_text()
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        free, used = (f"127.0.0.1:{each}" for each in (free_port(), port))
        given = {"--data": str(data), "--run": "new", "--batch": "12", "--wait": "2"}
        cases = [  # the workers, what else is given, and what is said
            (1, "", {"--data": "nowhere"}, "There is no x-*.npy in nowhere"),
            (1, "", {"--run": "begun"}, "begun with rate 0.01, and now it is 0.001"),
            (2, free, {"--batch": "11"}, "11 samples does not divide by 2 workers"),
            (2, free, {}, "Of 2 workers [1] did not come within 2 s."),
            (2, used, {}, f"Worker 0 can't listen on port {port}"),
        ]
        orders = [
            (
                {"RANK": "0", "WORLD": str(workers), "COORDINATOR": address},
                [word for option in (given | changed).items() for word in option],
            )
            for workers, address, changed, _ in cases
        ]
        printed = subprocess.check_output(
            [sys.executable, "-c", REFUSED, json.dumps(orders)],
            cwd=tmp_path,
            env=environment(),
            text=True,
            timeout=120,
        )
    for line, (*_, said) in zip(printed.splitlines(), cases, strict=True):
        assert line.startswith("Not trained: ")
        assert said in line
    assert (begun / "note.json").read_text() == before
    assert not (tmp_path / "new").exists()


KEEP_LOSSES = """
import json
used = len(model.weights[0].value.devices())
with open(f"{rank}.json", "w") as file:
    json.dump([used, history.history["loss"]], file)
"""


def test_the_short_answer_trains_on_several_workers_or_devices(tmp_path):
    (answer,) = [
        cell.source
        for cell in code_cells(read("notebooks/deploying/several_machines.ipynb"))
        if "short-answer" in cell.metadata.get("tags", [])
    ]
    (tmp_path / "answer.py").write_text(LEAN + answer + KEEP_LOSSES)
    found = []
    for workers, devices in ((1, 1), (1, 2), (2, 1)):
        command = [sys.executable, EXAMPLES / "launch.py", str(workers), "answer.py"]
        environ = environment(devices)
        subprocess.run(command, cwd=tmp_path, env=environ, check=True)
        for rank in range(workers):
            used, kept = json.loads((tmp_path / f"{rank}.json").read_text())
            assert used == workers * devices
            found.append(kept)
    np.testing.assert_allclose(found, [found[0]] * 4, atol=1e-5)


# --- The other way, which does not work -----------------------------------------------

TENSORFLOW = """
import json, os, sys

sys.modules |= dict.fromkeys(["matplotlib", "pandas", "sklearn"])

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
