"""A model as a file for another runtime, kept only if its answers agree with Keras."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import keras
import numpy as np

from ..shapes import ShapeError, check_whole
from ..tracing.graph import copy_of, is_named_plainly, layers_of
from ..tracing.tables import html_table
from .formats import (
    FORMATS,
    LOOPS,
    Format,
    Run,
    check_backend,
    check_model,
    check_options,
    check_tolerance,
    first_line,
    other_precision,
    refuse_loops,
    refuse_operations,
)
from .inputs import (
    argument_name,
    flat_answers,
    names_of,
    pack_inputs,
    read_inputs,
    symbols_of,
)


def export_model(
    model: keras.Model,
    path: str | os.PathLike[str],
    x: Any,
    *,
    batch: int | None = None,
    tolerance: float = 1e-4,
    overwrite: bool = False,
    **options: Any,
) -> ExportedModel:
    """Write a model for another runtime, run it there, and compare it with Keras.

    It calls ``model.export``, and does what that leaves out: it fixes the size of the
    batch where the file of a recurrent model would fail in LiteRT, writes into an ONNX
    file what layers such as `keras.layers.Normalization` hold beside their weights, and
    keeps the file only if its own runtime answers as Keras does.

    Parameters
    ----------
    model : keras.Model
        A Functional model or a built Sequential one.
    path : str or path
        Its suffix decides: ``.onnx`` for ONNX, ``.tflite`` for LiteRT, and a folder
        without suffix for TensorFlow's SavedModel.
    x : array_like, or a list of them
        What to compare by, as the model takes it: a few real sequences, and their mask
        if the model has one.
    batch : int, optional
        How many sequences the runtime is to take at once. If not given, any number, or
        1 where LiteRT can't leave that open.
    tolerance : float
        How far answers may differ, as a share of the greatest. More than the default is
        for models that are quantised or compute in half precision.
    overwrite : bool
        Replace a file, or a SavedModel, that stands at the path.
    **options
        For ``model.export``: ``opset_version`` of ONNX, or settings of LiteRT's
        converter, such as ``optimizations`` and ``representative_dataset``, a function
        without arguments that returns samples as the model takes them, in lists.

    Returns
    -------
    ExportedModel
        Where the file is, what it holds, and how to run it.

    Raises
    ------
    FileExistsError
        If something stands at the path.
    FileNotFoundError
        If there is no folder to write to.
    ImportError
        If the runtime is not installed; the message names the extra.
    ShapeError
        If x does not fit the model, or the model has no shapes yet.
    TypeError
        If x has numbers where the model takes booleans or whole numbers, or no numbers;
        or an option is unknown.
    ValueError
        If the suffix is unknown, the model runs Python or keeps a state, the runtime
        can't run the file, or answers otherwise than Keras. Nothing is written then.

    Notes
    -----
    Masks stay inputs, and an unknown time length stays unknown. Give other runtimes
    finite numbers in the padding: an ONNX file selects by multiplying with 0, which
    leaves NaN and infinity what they are. TensorFlow must be the backend of Keras.

    Examples
    --------
    >>> from cnnseq_helpers import cnn_lstm
    >>> model, x = cnn_lstm((100, 6), 4), np.random.normal(size=(8, 100, 6))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     exported = export_model(model, f"{folder}/model.onnx", x)
    >>> exported.batch is None, exported.loops, exported.difference < 1e-5
    (True, 1, True)
    >>> exported(x).shape
    (8, 4)
    """
    target = Path(path)
    form = _check_target(target, overwrite)
    check_options(form, options)
    check_backend()
    form.require()
    check_model(model)
    check_tolerance(tolerance)
    if samples := options.get("representative_dataset"):
        refuse_loops(model)
        if len(model.inputs) > 1:
            options["representative_dataset"] = lambda: _by_name(model, samples)
    arrays = read_inputs(model, x)
    wanted = flat_answers(model(pack_inputs(model, arrays), training=False))
    if not all(np.isfinite(each).all() for each in wanted):
        raise ValueError(
            "export_model can't compare answers of Keras that are NaN or infinite. "
            "Give it an x for which they are finite."
        )
    if not is_named_plainly(model):
        model = copy_of(model, "export_model")
    sizes: list[int | None] = [None, 1] if form.option == "litert" else [None]
    if batch is not None:
        sizes = [check_whole("export_model", "batch", batch)]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        file = Path(folder) / f"model{target.suffix}"
        size = _write(model, file, form, sizes, options)
        operations = form.count_operations(file)
        refuse_operations(model, form, operations)
        run = _reader(model, file, form, size)
        difference = _compare(model, form, run, arrays, wanted, tolerance)
        _move(file, target)
    files = [each for each in (target, *target.rglob("*")) if each.is_file()]
    return ExportedModel(
        path=target,
        format=form.name,
        batch=size,
        size=sum(each.stat().st_size for each in files),
        operations=dict(operations),
        loops=sum(operations[kind] for kind in LOOPS),
        difference=difference,
        run=run,
    )


# --- Before ---------------------------------------------------------------------------


def _check_target(target: Path, overwrite: bool) -> Format:
    """Return the format that the suffix of a path stands for, if it can be written."""
    if target.suffix not in FORMATS or target.name in FORMATS:
        raise ValueError(
            "export_model expected a path that ends in .onnx or .tflite, or a folder "
            f"without suffix for a SavedModel, got {str(target)!r}. Keras's own files "
            "(.keras) are written by model.save."
        )
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"export_model found no folder {str(target.parent)!r} to write to. Make "
            "it, or choose another path."
        )
    if target.exists():
        ours = target.is_file() == bool(target.suffix)
        if target.is_dir():
            ours = not target.suffix and (target / "saved_model.pb").is_file()
        if not (overwrite and ours):
            cure = "Choose another path" + (", or overwrite=True." if ours else ".")
            raise FileExistsError(f"export_model found {str(target)!r}. {cure}")
    return FORMATS[target.suffix]


# --- Writing --------------------------------------------------------------------------


def _write(
    model: Any,
    file: Path,
    form: Format,
    sizes: list[int | None],
    options: dict[str, Any],
) -> int | None:
    """Write a file for the first size of the batch that its runtime can do."""
    for size in sizes[:-1]:
        try:
            _write_for(model, file, form, size, options)
        except Exception:
            continue
        kinds = form.count_operations(file)
        if not any(kind.startswith("custom") for kind in kinds):
            return size
    try:
        _write_for(model, file, form, sizes[-1], options)
    except Exception as error:
        raise ValueError(
            f"{form.name}'s converter can't take {model.name}: {first_line(error)}. "
            f"Nothing was written.{other_precision(model)}"
        ) from error
    return sizes[-1]


def _write_for(
    model: Any, file: Path, form: Format, batch: int | None, options: dict[str, Any]
) -> None:
    def describe(given: Any) -> Any:
        shape = (batch, *given.shape[1:])
        name = argument_name(given.name)
        return keras.InputSpec(shape=shape, dtype=given.dtype, name=name)

    signature = [keras.tree.map_structure(describe, symbols_of(model))]
    with _plain_tensors(model):
        model.export(
            file,
            format=form.option,
            verbose=False,
            input_signature=signature,
            **options,
        )


def _by_name(model: Any, samples: Callable[[], Any]) -> Iterator[dict[str, Any]]:
    """Yield samples as LiteRT's converter takes them in any order of the inputs."""
    names = [argument_name(name) for name in names_of(model)]
    for sample in samples():
        yield dict(zip(names, read_inputs(model, sample), strict=True))


@contextmanager
def _plain_tensors(model: Any) -> Iterator[None]:
    """Turn tensors that layers hold beside their weights into arrays, for a while.

    A tensor would become one more input of an ONNX file, an array is written into it.
    """
    held = [
        (vars(layer), name, value)
        for layer in layers_of(model)
        for name, value in vars(layer).items()
        if keras.ops.is_tensor(value) and not isinstance(value, keras.Variable)
    ]
    try:
        for attributes, name, value in held:
            attributes[name] = keras.ops.convert_to_numpy(value)
        yield
    finally:
        for attributes, name, value in held:
            attributes[name] = value


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what converters and runtimes print, to Python's streams and below them."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    streams = [os.dup(number) for number in (1, 2)]
    try:
        with (
            open(os.devnull, "w") as nowhere,
            redirect_stdout(nowhere),
            redirect_stderr(nowhere),
            warnings.catch_warnings(),
        ):
            for number in (1, 2):
                os.dup2(nowhere.fileno(), number)
            warnings.simplefilter("ignore")
            yield
    finally:
        for number, stream in enumerate(streams, start=1):
            os.dup2(stream, number)
            os.close(stream)
        logging.disable(before)


def _move(file: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    shutil.move(file, target)


# --- After ----------------------------------------------------------------------------


def _reader(model: Any, file: Path, form: Format, batch: int | None) -> Run:
    """Return what takes any x that the model takes, so many sequences at a time."""
    try:
        run = form.load(file, names_of(model))
    except Exception as error:
        raise _does_not_run(model, form, error) from error

    def answer(x: Any) -> list[Any]:
        arrays = read_inputs(model, x)
        rows = len(arrays[0])
        if batch is None or rows == batch:
            return run(arrays)
        if rows % batch:
            raise ShapeError(
                f"The exported model takes {batch} sequences at a time, and x has "
                f"{rows}. Give a multiple of it."
            )
        starts = range(0, rows, batch)
        parts = [run([array[at : at + batch] for array in arrays]) for at in starts]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    return answer


def _compare(
    model: Any,
    form: Format,
    run: Run,
    arrays: list[Any],
    wanted: list[Any],
    tolerance: float,
) -> float:
    """Return the greatest difference from Keras, or refuse the file for it."""
    try:
        found = run(arrays if len(arrays) > 1 else arrays[0])
    except ShapeError:
        raise
    except Exception as error:
        raise _does_not_run(model, form, error) from error
    pairs = zip(found, wanted, strict=True)
    difference = max(_difference(a, b) for a, b in pairs)
    if not difference <= tolerance:
        raise ValueError(
            f"{form.name} answers otherwise than Keras: the difference is "
            f"{difference:.0e} of the greatest answer, {tolerance:.0e} is allowed. "
            "Nothing was written. What is quantised, or computes in half precision, "
            "needs a larger tolerance."
        )
    return difference


def _does_not_run(model: Any, form: Format, error: Exception) -> ValueError:
    return ValueError(
        f"{form.name} can't run what was exported: {first_line(error)}. Nothing was "
        f"written.{other_precision(model)}"
    )


def _difference(found: Any, wanted: Any) -> float:
    """Return the greatest difference as a share of the greatest answer of Keras."""
    if found.shape != wanted.shape:
        return float("inf")
    if not wanted.size:
        return 0.0
    greatest = np.abs(wanted).max()
    return float(np.abs(found.astype("float64") - wanted).max() / (greatest or 1.0))


# --- The result -----------------------------------------------------------------------


class ExportedModel(NamedTuple):
    """A file that another runtime runs, and what is in it; a text or HTML table.

    Called with inputs, ``exported(x)``, it answers by its own runtime.

    Attributes
    ----------
    path : Path
        The file, or the folder of a SavedModel.
    format : str
        "SavedModel", "ONNX" or "LiteRT".
    batch : int or None
        How many sequences the runtime takes at once; None for any number.
    size : int
        Bytes.
    operations : dict of str to int
        How often each kind of operation stands in the file.
    loops : int
        How many operations repeat others: recurrent layers, mostly.
    difference : float
        The greatest difference from what Keras answers, as a share of its greatest
        answer.
    run : callable
        What `exported` calls.
    """

    path: Path
    format: str
    batch: int | None
    size: int
    operations: dict[str, int]
    loops: int
    difference: float
    run: Callable[[Any], list[Any]]

    def __call__(self, x: Any) -> Any:
        """Return the output for a batch of inputs, or a list of several outputs."""
        outputs = self.run(x)
        return outputs[0] if len(outputs) == 1 else outputs

    def latency_beside(
        self, model: keras.Model, x: Any, calls: int = 50
    ) -> dict[str, float]:
        """Return the median seconds of a call here, and of three ways in Keras.

        The ways take turns. Of a model of one step (`step_model`), x is a step with its
        states.

        Parameters
        ----------
        model : keras.Model
            The model that was exported.
        x : array_like, or a list of them
            What each call is given, as the model takes it.
        calls : int
            How often each way is timed, after three calls that are not.

        Returns
        -------
        dict of str to float
            Of the file, by the name of its format; of a ``"tf.function"`` of the model,
            of ``"model(x)"`` and of ``"model.predict(x)"``.
        """
        import tensorflow as tf

        given = pack_inputs(model, read_inputs(model, x))
        tensors = keras.tree.map_structure(tf.constant, given)
        compiled = tf.function(lambda given: model(given, training=False))
        ways: dict[str, Callable[[], Any]] = {
            self.format: lambda: self.run(x),
            "tf.function": lambda: flat_answers(compiled(tensors)),
            "model(x)": lambda: flat_answers(model(given, training=False)),
            "model.predict(x)": lambda: model.predict(given, verbose=0),
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(check_whole("latency_beside", "calls", calls) + 3):
            for way, call in ways.items():
                start = time.perf_counter()
                call()
                times[way].append(time.perf_counter() - start)
        return {way: median(spent[3:]) for way, spent in times.items()}

    def _cells(self) -> list[tuple[str, str]]:
        kinds = sorted(self.operations, key=lambda kind: -self.operations[kind])
        most = [f"{kind} {self.operations[kind]}" for kind in kinds[:3]]
        total = f"{sum(self.operations.values())}: {', '.join(most)}"
        return [
            ("exported", self.format),
            ("path", str(self.path)),
            ("batch", "any" if self.batch is None else str(self.batch)),
            ("size", f"{self.size / 1000:,.0f} kB"),
            ("operations", total + ", …" * (len(kinds) > 3)),
            ("loops", str(self.loops)),
            ("difference", f"{self.difference:.0e} of the greatest answer"),
        ]

    def __repr__(self) -> str:
        return "\n".join(f"{name:12}{value}" for name, value in self._cells())

    def _repr_html_(self) -> str:
        return html_table(self._cells(), "exported-model")
