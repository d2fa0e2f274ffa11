"""A file that another runtime runs: what is in it, its answers, how long they take."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import keras

from ..shapes import check_whole
from ..tracing.tables import html_table
from .inputs import flat_answers, pack_inputs, read_inputs


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
        return _medians({"": lambda: self.run(x)}, calls)[""]

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
        ways = {
            self.format: lambda: self.run(x),
            "tf.function": lambda: flat_answers(compiled(tensors)),
            "model(x)": lambda: flat_answers(model(given, training=False)),
            "model.predict(x)": lambda: model.predict(given, verbose=0),
        }
        return _medians(ways, calls)

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


def _medians(ways: dict[str, Callable[[], Any]], calls: int) -> dict[str, float]:
    """Return the median seconds of some calls, which take turns."""
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(check_whole("latency", "calls", calls) + 3):
        for way, call in ways.items():
            start = time.perf_counter()
            call()
            times[way].append(time.perf_counter() - start)
    return {way: median(spent[3:]) for way, spent in times.items()}
