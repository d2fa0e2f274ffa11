"""The three kinds of file: how each is looked into, and run by its own runtime."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .._extras import require
from .inputs import argument_name

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
