"""A model as a file for another runtime, kept only if its answers agree with Keras."""

from __future__ import annotations

import logging
import os
import re
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

from ..shapes import ShapeError, check_whole, name_axes
from ..tracing.graph import checked_graph_of, input_structure, layers_of
from ..tracing.tables import html_table
from .formats import FORMATS, LOOPS, PYTHON, Format, Run
from .inputs import in_type_of


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

    def latency(self, x: Any, calls: int = 50) -> float:
        """Return the median of the seconds that a call takes, after three others."""
        times = []
        for _ in range(check_whole("latency", "calls", calls) + 3):
            start = time.perf_counter()
            self.run(x)
            times.append(time.perf_counter() - start)
        return median(times[3:])

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
    _check_options(form, options)
    form.require()
    _check_model(model)
    if samples := options.get("representative_dataset"):
        _refuse_loops(model)
        if len(model.inputs) > 1:
            options["representative_dataset"] = lambda: _by_name(model, samples)
    arrays = _read_inputs(model, x)
    wanted = _flat(model(_pack(model, arrays), training=False))
    if not all(np.isfinite(each).all() for each in wanted):
        raise ValueError(
            "export_model can't compare answers of Keras that are NaN or infinite. "
            "Give it an x for which they are finite."
        )
    sizes: list[int | None] = [None, 1] if form.option == "litert" else [None]
    if batch is not None:
        sizes = [check_whole("export_model", "batch", batch)]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        file = Path(folder) / f"model{target.suffix}"
        for size in sizes:
            try:
                _write(model, file, form.option, size, options)
            except Exception:
                if size == sizes[-1]:
                    raise
                continue
            operations = form.count_operations(file)
            if not any(kind.startswith("custom") for kind in operations):
                break
        _refuse_operations(model, operations)
        try:
            run = _reader(model, form.load(file, _names(model)), size)
            found = run(arrays if len(arrays) > 1 else arrays[0])
        except ShapeError:
            raise
        except Exception as error:
            raise ValueError(
                f"{form.name} can't run what was exported: "
                f"{str(error).splitlines()[0]}. Nothing was written."
                f"{_other_precision(model)}"
            ) from error
        pairs = zip(found, wanted, strict=True)
        difference = max(_difference(a, b) for a, b in pairs)
        if not difference <= tolerance:
            raise ValueError(
                f"{form.name} answers otherwise than Keras: the difference is "
                f"{difference:.0e} of the greatest answer, {tolerance:.0e} is allowed. "
                "Nothing was written. What is quantised, or computes in half "
                "precision, needs a larger tolerance."
            )
        _move(file, target)
    files = [each for each in (target, *target.rglob("*")) if each.is_file()]
    return ExportedModel(
        path=target,
        format=form.name,
        batch=size,
        size=sum(each.stat().st_size for each in files),
        operations=dict(operations),
        loops=sum(operations[kind] for kind in LOOPS),
        difference=float(difference),
        run=run,
    )


# --- Before ---------------------------------------------------------------------------


def _check_target(target: Path, overwrite: bool) -> Format:
    """Return the format that the suffix of a path stands for, if it can be written."""
    if target.suffix not in FORMATS:
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


def _check_options(form: Format, options: dict[str, Any]) -> None:
    """Refuse options that `keras.Model.export` would drop without a word."""
    known = {"onnx": {"opset_version"}, "tf_saved_model": set[str]()}
    unknown = sorted(set(options) - known.get(form.option, set(options)))
    if unknown:
        wanted = ", ".join(known[form.option]) or "no further options"
        raise TypeError(
            f"export_model to {form.name} expected {wanted}, got {unknown[0]!r}. "
            "Leave it out."
        )


def _check_model(model: Any) -> None:
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "export_model expected TensorFlow as the backend of Keras, got "
            f"{keras.backend.backend()!r}. Save the model, and export it in a process "
            "with KERAS_BACKEND=tensorflow."
        )
    checked_graph_of(model, "export_model")
    names = _names(model)
    if len({_argument(name) for name in names}) < len(names):
        raise ValueError(
            f"export_model expected names of inputs that differ in letters, digits or "
            f"'_', which is all that a file keeps of them, got {', '.join(names)}. "
            "Name them otherwise: keras.Input(shape, name='...')."
        )
    for layer in layers_of(model):
        if getattr(layer, "stateful", False) and hasattr(layer, "cell"):
            raise ValueError(
                f"export_model can't take {layer.name} ({type(layer).__name__}) with "
                "stateful=True: a file keeps nothing from one call to the next. Export "
                "a model of one step, which hands its states in and out: step_model."
            )


def _refuse_loops(model: Any) -> None:
    """Refuse what ends the whole process: tensorflow/tensorflow#75140."""
    for layer in layers_of(model):
        if isinstance(layer, keras.layers.RNN) and not layer.unroll:
            raise ValueError(
                f"export_model can't quantise {layer.name} ({type(layer).__name__}) by "
                "a representative_dataset: LiteRT's converter crashes on loops. Leave "
                "representative_dataset out, which quantises weights alone; or build "
                "the model with unroll=True; or take its step_model or to_cnn1d."
            )


def _read_inputs(model: Any, x: Any) -> list[Any]:
    """Return an array for each input of a model, of its type, or refuse it."""
    inputs = model.inputs
    if isinstance(x, dict):
        x = _in_order(model, x)
        x = x if len(inputs) > 1 else x[0]
    parts = list(x) if len(inputs) > 1 and isinstance(x, (list, tuple)) else [x]
    if len(parts) != len(inputs):
        names = ", ".join(each.name for each in inputs)
        raise ShapeError(
            f"export_model expected x for the {len(inputs)} inputs {names}, got "
            f"{len(parts)}. Give a list of arrays, in this order."
        )
    pairs = zip(inputs, parts, strict=True)
    arrays = [_read_input(each, part) for each, part in pairs]
    rows = {len(array) for array in arrays}
    if len(rows) > 1 or 0 in rows:
        raise ShapeError(
            "export_model expected as many sequences for each input, one at least, got "
            f"{[len(array) for array in arrays]}. Give all inputs of the same samples."
        )
    return arrays


def _in_order(model: Any, x: dict[str, Any]) -> list[Any]:
    """Return the arrays of a dictionary in the order of a model's inputs."""
    structure = input_structure(model)
    names = sorted(structure) if isinstance(structure, dict) else _names(model)
    if set(names) != set(x):
        raise ShapeError(
            f"export_model expected x for the inputs {', '.join(names)}, got a "
            f"dictionary of {', '.join(map(str, x))}. Name each array as its input is."
        )
    return [x[name] for name in names]


def _read_input(wanted: Any, given: Any) -> Any:
    try:
        array = np.asarray(given)
    except ValueError:  # sequences of different lengths
        array = np.array(None)
    sizes = zip(array.shape, wanted.shape, strict=False)
    if array.ndim != len(wanted.shape) or any(b not in (None, a) for a, b in sizes):
        raise ShapeError(
            f"export_model expected x for the input {wanted.name} to be "
            f"{name_axes(wanted.shape)}, got {array.shape}. Give sequences of the "
            "model's input shape, with the batch axis in front: x[None] adds one."
        )
    return in_type_of(wanted, array, "export_model")


# --- Writing --------------------------------------------------------------------------


def _write(
    model: Any, file: Path, option: str, batch: int | None, options: dict[str, Any]
) -> None:
    def describe(given: Any) -> Any:
        shape = (batch, *given.shape[1:])
        name = _argument(given.name)
        return keras.InputSpec(shape=shape, dtype=given.dtype, name=name)

    signature = [keras.tree.map_structure(describe, _inputs(model))]
    with _plain_tensors(model):
        model.export(
            file, format=option, verbose=False, input_signature=signature, **options
        )


def _inputs(model: Any) -> Any:
    """Return the symbolic inputs, structured as the model takes them."""
    structure = input_structure(model)
    return model.inputs[0] if structure is None else structure


def _pack(model: Any, arrays: list[Any]) -> Any:
    return keras.tree.pack_sequence_as(_inputs(model), arrays)


def _names(model: Any) -> list[str]:
    return [each.name for each in model.inputs]


def _by_name(model: Any, samples: Callable[[], Any]) -> Iterator[dict[str, Any]]:
    """Yield samples as LiteRT's converter takes them in any order of the inputs."""
    names = [_argument(name) for name in _names(model)]
    for sample in samples():
        yield dict(zip(names, _read_inputs(model, sample), strict=True))


def _argument(name: str) -> str:
    """Return the name of an input as TensorFlow takes it, like a Python argument's."""
    return re.sub(r"\W", "_", name)


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


def _refuse_operations(model: Any, operations: dict[str, int]) -> None:
    """Refuse what a file can't hold, or its runtime can't do."""
    kinds = [re.sub("^custom (Flex)?", "", kind) for kind in operations]
    if PYTHON & set(kinds):
        raise ValueError(
            f"export_model can't write {_find_python(model)}, which runs a Python "
            "function: a file holds none. Write it with keras.ops, or do its work in "
            "front of the model."
        )
    custom = [kind for kind in operations if kind.startswith("custom")]
    if custom:
        names = ", ".join(kind.removeprefix("custom ") for kind in sorted(custom))
        raise ValueError(
            f"LiteRT lacks operations that {model.name} needs: {names}. Nothing was "
            "written. Export to ONNX; replace recurrent layers (to_cnn1d), or the "
            f"layer that these are of.{_other_precision(model)}"
        )


def _other_precision(model: Any) -> str:
    """Return what to do where layers compute in what many operations lack."""
    for layer in layers_of(model, include_self=False):
        if layer.weights and layer.compute_dtype != "float32":
            return (
                f" Or it is that {layer.name} computes in {layer.compute_dtype}: build "
                "the model in float32, and give it the weights."
            )
    return ""


def _find_python(model: Any) -> str:
    """Return the layers whose calls run Python functions."""
    import tensorflow as tf

    specs = [tf.TensorSpec((1, *x.shape[1:]), x.dtype) for x in model.inputs]
    traced = tf.function(lambda *x: model(_pack(model, list(x)), training=False))
    names = [
        operation.name
        for operation in traced.get_concrete_function(*specs).graph.get_operations()
        if operation.type in PYTHON
    ]
    # TensorFlow may have numbered a layer's scope, to make it unique.
    scopes = [part for name in names for part in name.split("/")]
    parts = {*scopes, *(re.sub(r"_\d+$", "", scope) for scope in scopes)}
    found = [
        f"{layer.name} ({type(layer).__name__})"
        for layer in layers_of(model, include_self=False)
        if layer.name in parts
    ]
    return ", ".join(found) or model.name


def _reader(model: Any, run: Run, batch: int | None) -> Run:
    """Return what takes any x that the model takes, so many sequences at a time."""

    def answer(x: Any) -> list[Any]:
        arrays = _read_inputs(model, x)
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


def _flat(outputs: Any) -> list[Any]:
    return [np.asarray(each, "float64") for each in keras.tree.flatten(outputs)]


def _difference(found: Any, wanted: Any) -> float:
    """Return the greatest difference as a share of the greatest answer of Keras."""
    if found.shape != wanted.shape:
        return float("inf")
    if not wanted.size:
        return 0.0
    greatest = np.abs(wanted).max()
    return float(np.abs(found.astype("float64") - wanted).max() / (greatest or 1.0))
