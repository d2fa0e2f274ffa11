"""The three kinds of file: how each is looked into and run, and what none can hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from .._extras import require
from ..tracing.graph import checked_graph_of, layers_of
from .inputs import argument_name, names_of, pack_inputs

Run = Callable[[list[Any]], list[Any]]


class Format(NamedTuple):
    """A kind of file.

    Attributes
    ----------
    name : str
        As people call it.
    option : str
        As `keras.Model.export` calls it; the extra of the package has the same name.
    modules : tuple of str
        What writes the file and runs it.
    count_operations : callable
        Takes the path and returns how often each kind of operation stands in the file;
        "custom" stands before what the runtime may lack.
    load : callable
        Takes the path and the names of a model's inputs, and returns a function from
        arrays, one for each input, to a list of outputs.
    """

    name: str
    option: str
    modules: tuple[str, ...]
    count_operations: Callable[[Path], Counter[str]]
    load: Callable[[Path, Sequence[str]], Run]

    def require(self) -> None:
        """Import what writes and runs the files, or say how to install it."""
        for module in self.modules:
            package = module.split(".")[0].replace("_", "-")
            doing = f"export_model to {self.name} needs"
            require(module, doing, package=package, extra=self.option)


# Operations that repeat others, as the three kinds of file call them. ONNX's LSTM and
# GRU are such loops, written as one operation.
LOOPS = {"Loop", "Scan", "LSTM", "GRU", "RNN", "While", "StatelessWhile", "WHILE"}

# What stands in a graph for a Python function.
PYTHON = {"EagerPyFunc", "PyFunc", "PyFuncStateless"}


def _match(keys: Iterable[str], names: Sequence[str]) -> list[str]:
    """Return the keys of a signature in the order of a model's inputs."""
    found = {argument_name(key): key for key in keys}
    wanted = [argument_name(name) for name in names]
    if found.keys() == set(wanted):
        return [found[name] for name in wanted]
    return sorted(found.values(), key=_by_number)


def _by_number(key: str) -> tuple[int, str]:
    """Sort output_9 before output_10."""
    return len(key), key


# --- SavedModel -----------------------------------------------------------------------


# What is in a graph of TensorFlow's without computing anything.
_BOOKKEEPING = {
    *("Const", "Identity", "NoOp", "Placeholder", "ReadVariableOp"),
    *("PartitionedCall", "StatefulPartitionedCall"),
}


def _count_saved_model(path: Path) -> Counter[str]:
    import tensorflow as tf

    served = tf.saved_model.load(path).signatures["serving_default"]
    graph = served.graph.as_graph_def()
    bodies = [graph.node, *(function.node_def for function in graph.library.function)]
    kinds = Counter(node.op for body in bodies for node in body)
    return Counter({k: count for k, count in kinds.items() if k not in _BOOKKEEPING})


def _load_saved_model(path: Path, names: Sequence[str]) -> Run:
    import tensorflow as tf

    # Its signature does not keep the variables alive.
    loaded = tf.saved_model.load(path)
    keys: list[str] = []

    def run(arrays: list[Any]) -> list[Any]:
        served = loaded.signatures["serving_default"]
        keys[:] = keys or _match(served.structured_input_signature[1], names)
        pairs = zip(keys, arrays, strict=True)
        outputs = served(**{key: tf.constant(array) for key, array in pairs})
        return [outputs[key].numpy() for key in sorted(outputs, key=_by_number)]

    return run


# --- ONNX -----------------------------------------------------------------------------


def _count_onnx(path: Path) -> Counter[str]:
    import onnx

    def nodes(graph: Any) -> Iterator[str]:
        for node in graph.node:
            known = node.domain or onnx.defs.has(node.op_type)
            yield node.op_type if known else f"custom {node.op_type}"
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    yield from nodes(attribute.g)

    return Counter(nodes(onnx.load(path).graph))


def _load_onnx(path: Path, names: Sequence[str]) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path.read_bytes(), options)
    inputs = [each.name for each in session.get_inputs()]
    if len(inputs) > len(names):
        raise ValueError(
            f"the file has the inputs {inputs}, the model only {list(names)}. A layer "
            "holds a tensor that is no weight: make it one, or a NumPy array"
        )
    keys = _match(inputs, names)

    def run(arrays: list[Any]) -> list[Any]:
        found: list[Any] = session.run(None, dict(zip(keys, arrays, strict=True)))
        return found

    return run


# --- LiteRT ---------------------------------------------------------------------------


def _count_litert(path: Path) -> Counter[str]:
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.Model.GetRootAsModel(path.read_bytes(), 0)
    names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    kinds: Counter[str] = Counter()
    for graph in map(model.Subgraphs, range(model.SubgraphsLength())):
        for operator in map(graph.Operators, range(graph.OperatorsLength())):
            code = model.OperatorCodes(operator.OpcodeIndex())
            # Codes above 127 stand in the second field alone.
            name = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
            custom = code.CustomCode()
            kinds[f"custom {custom.decode()}" if custom else name] += 1
    return kinds


def _load_litert(path: Path, names: Sequence[str]) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=path.read_bytes())
    signature = interpreter.get_signature_runner()
    inputs, outputs = signature.get_input_details(), signature.get_output_details()
    given = [inputs[key]["index"] for key in _match(inputs, names)]
    wanted = [outputs[key]["index"] for key in sorted(outputs, key=_by_number)]
    shapes: list[Any] = []

    def run(arrays: list[Any]) -> list[Any]:
        if shapes != [array.shape for array in arrays]:
            shapes[:] = [array.shape for array in arrays]
            for index, shape in zip(given, shapes, strict=True):
                interpreter.resize_tensor_input(index, shape)
            interpreter.allocate_tensors()
        for index, array in zip(given, arrays, strict=True):
            interpreter.set_tensor(index, array)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in wanted]

    return run


# --- All three ------------------------------------------------------------------------


FORMATS = {
    "": Format(
        "SavedModel", "tf_saved_model", (), _count_saved_model, _load_saved_model
    ),
    ".onnx": Format(
        "ONNX", "onnx", ("tf2onnx", "onnx", "onnxruntime"), _count_onnx, _load_onnx
    ),
    ".tflite": Format(
        "LiteRT", "litert", ("ai_edge_litert.interpreter",), _count_litert, _load_litert
    ),
}


# --- What can't be written into a file, or run from it --------------------------------


def check_options(form: Format, options: dict[str, Any]) -> None:
    """Refuse options that `keras.Model.export` would drop without a word."""
    known = {"onnx": {"opset_version"}, "tf_saved_model": set[str]()}
    unknown = sorted(set(options) - known.get(form.option, set(options)))
    if unknown:
        wanted = ", ".join(known[form.option]) or "no further options"
        raise TypeError(
            f"export_model to {form.name} expected {wanted}, got {unknown[0]!r}. "
            "Leave it out."
        )


def check_tolerance(tolerance: Any) -> None:
    """Refuse what is no limit of a difference."""
    number = isinstance(tolerance, (int, float, np.number))
    if not number or isinstance(tolerance, bool) or not tolerance >= 0:
        raise ValueError(
            "export_model expected tolerance to be a number of at least 0, the share "
            f"of the greatest answer that may differ, got {tolerance!r}. Change it."
        )


def check_backend() -> None:
    """Refuse backends that Keras does not write files from, or other ones."""
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "export_model expected TensorFlow as the backend of Keras, got "
            f"{keras.backend.backend()!r}. Save the model, and export it in a process "
            "with KERAS_BACKEND=tensorflow."
        )


def check_model(model: Any) -> None:
    """Refuse what no file can hold."""
    checked_graph_of(model, "export_model")
    names = names_of(model)
    if len({argument_name(name) for name in names}) < len(names):
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


def refuse_loops(model: Any) -> None:
    """Refuse what ends the whole process: tensorflow/tensorflow#75140."""
    for layer in layers_of(model):
        if isinstance(layer, keras.layers.RNN) and not layer.unroll:
            raise ValueError(
                f"export_model can't quantise {layer.name} ({type(layer).__name__}) by "
                "a representative_dataset: LiteRT's converter crashes on loops. Leave "
                "representative_dataset out, which quantises weights alone; or build "
                "the model with unroll=True; or take its step_model or to_cnn1d."
            )


def refuse_operations(model: Any, form: Format, operations: dict[str, int]) -> None:
    """Refuse what a file can't hold, or its runtime can't do."""
    kinds = {re.sub("^custom (Flex)?", "", kind) for kind in operations}
    if PYTHON & kinds:
        raise ValueError(
            f"export_model can't write {_find(model, PYTHON)}, which runs a Python "
            "function: a file holds none. Write it with keras.ops, or do its work in "
            "front of the model."
        )
    custom = [kind for kind in operations if kind.startswith("custom")]
    if custom:
        names = ", ".join(kind.removeprefix("custom ") for kind in sorted(custom))
        lacking = {re.sub("^custom (Flex)?", "", kind) for kind in custom}
        raise ValueError(
            f"{form.name} lacks operations that {_find(model, lacking)} needs: {names}."
            " Nothing was written. Export to another format; replace recurrent layers "
            f"(to_cnn1d), or the layer that these are of.{other_precision(model)}"
        )


def other_precision(model: Any) -> str:
    """Return what to do where layers compute in what many operations lack."""
    for layer in layers_of(model, include_self=False):
        if layer.weights and layer.compute_dtype != "float32":
            return (
                f" Or it is that {layer.name} computes in {layer.compute_dtype}: build "
                "the model in float32, and give it the weights."
            )
    return ""


def _find(model: Any, kinds: set[str]) -> str:
    """Return the layers whose calls make operations of these kinds, or the model."""
    import tensorflow as tf

    specs = [tf.TensorSpec((1, *x.shape[1:]), x.dtype) for x in model.inputs]
    traced = tf.function(lambda *x: model(pack_inputs(model, list(x)), training=False))
    names = [
        operation.name
        for operation in traced.get_concrete_function(*specs).graph.get_operations()
        if operation.type in kinds
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


def first_line(error: Exception) -> str:
    """Return what an error says first, without a closing stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:300].rstrip(".")
