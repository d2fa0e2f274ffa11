"""The messages of the error clinic, from its notebook, and what readers make of them.

``MESSAGES`` and ``OLDER_WORDINGS`` are pairs: the title of an entry, and a message.
"""

import re

from ..book.test_error_clinic import RAISING, code, errors

LITERAL = re.compile(r"(`+) ?(.+?) ?\1(?!`)", re.DOTALL)
OLDER = re.compile(
    r"^\*(?:Older|Other) wordings?:\*(.*?)(?:\n\n|\Z)", re.MULTILINE | re.DOTALL
)

MESSAGES = []
OLDER_WORDINGS = []
for heading, entry in RAISING.items():
    title = LITERAL.sub(r"\2", heading)
    (error,) = errors(code(entry)[0])
    bare = re.sub(r"\x1b\[\d*m", "", error.evalue)
    MESSAGES.append((title, f"{error.ename}: {bare}"))
    for older in OLDER.findall(entry[0].source):
        OLDER_WORDINGS += [(title, words) for _, words in LITERAL.findall(older)]

# What readers call things themselves, in place of the names in the clinic.
OWN_NAMES = {
    "ankle": "rudder",
    "wrist": "mast",
    "foot": "keel",
    "velocity": "heading",
    "recording": "voyage",
    "Double": "TidePool",
    "Scale": "Harbour",
    "squared_error": "tidal_loss",
    "bce_jaccard_loss": "harbour_loss",
    "iou_score": "knots",
    "my_weights": "epoch_30",
    "best": "run7",
}
# As readers meet them, with other layers, versions and endings than in the clinic; some
# differ from others by their shapes alone. Each stands behind the start of its title.
RANK = "Argument `output` must have rank (ndim) `target.ndim - 1`"
SAME = "Arguments `target` and `output` must have the same shape"
RECEIVED = "Received: target.shape=({}), output.shape=({})"
LAYER = "Input 0 with name 'None' of layer '{}' is incompatible with the layer: "
ELSEWHERE = [
    (f"{RANK}: one-hot", f"{RANK}. {RECEIVED.format('32, 7', '32, 7')}"),
    (f"{RANK}: an output", f"{RANK}. {RECEIVED.format('None, 1', 'None, 50, 6')}"),
    (f"{RANK}: labels", f"{RANK}. {RECEIVED.format('None, 50', 'None, 6')}"),
    (f"{SAME}: as many", f"{SAME}. {RECEIVED.format('None, 7', 'None, 9')}"),
    (f"{SAME}: one unit", f"{SAME}. {RECEIVED.format('None, 2', 'None, 1')}"),
    (
        "expected ndim=3, found ndim=2",
        LAYER.format("lstm") + "expected ndim=3, found ndim=2. "
        "Full shape received: (None, 64)",
    ),
    (
        "Full shape received: (20, 3)",
        LAYER.format("second") + "expected ndim=3, found ndim=2. "
        "Full shape received: (500, 12)",
    ),
    (
        "expected min_ndim=3, found ndim=2",
        'Input 0 of layer "sequential" is incompatible with the layer: expected '
        "min_ndim=3, found ndim=2. Full shape received: (None, 100)",
    ),
    (
        "expected min_ndim=3, found ndim=2",
        "Error when checking input: expected conv1d_3_input to have 3 dimensions, but "
        "got array with shape (600, 13)",
    ),
    (
        "expected shape=(None, 20, 3)",
        "Error when checking input: expected lstm_14_input to have shape (10, 5) but "
        "got array with shape (10, 4)",
    ),
    (
        f"{RANK}: one-hot",
        "Node: 'sparse_categorical_crossentropy/SparseSoftmaxCrossEntropyWithLogits' "
        "logits and labels must have the same first dimension, got logits shape "
        "[32,10] and labels shape [320] [[{{node sparse_categorical_crossentropy}}]]",
    ),
    (
        "expects 2 named input(s)",
        'Layer "functional_3" expects 2 input(s), but it received 1 input tensors.',
    ),
    ("must have the same rank (ndim)", "Shapes (32, 10) and (32, 1) are incompatible"),
    (f"{SAME}: as many", "Shapes (None, 10) and (None, 5) are incompatible"),
    (
        "Computed output size",
        "Negative dimension size caused by subtracting 5 from 3 for 'conv1d_2/conv' "
        "(op: 'Conv2D') with input shapes: [?,1,3,64], [1,5,64,64].",
    ),
    (
        "Data cardinality",
        "Data cardinality is ambiguous: x sizes: 100 y sizes: 90 Make sure all arrays "
        "contain the same number of samples.",
    ),
    (
        "= 10 is not in [0, 10)",
        "Graph execution error: Detected at node 'embedding_lookup' indices[13,7] = "
        "5000 is not in [0, 5000) [[{{node embedding_lookup}}]] [Op:__inference_train]",
    ),
    (
        "Unrecognized keyword arguments",
        "Unrecognized keyword arguments passed to GRU: {'time_major': False}",
    ),
    ("object has no attribute", "'Functional' object has no attribute 'fit_generator'"),
    ("No module named", "No module named 'keras.layers.convolutional'"),
]
ORDINARY = [
    "bucket",
    "padding",
    "mask",
    "strides",
    "LSTM",
    "Conv1D",
    "batch size",
    "same shape",
    "logits and labels",
    "early stopping",
    "ValueError",
    "Graph execution error",
    "shape (None, 20, 3)",
    "save and load a model",
    "compile a model before training",
    "why is my accuracy zero",
    "how do I pad sequences of different length",
    "how do I put a Conv1D in front of an LSTM",
    "convert a CNN-LSTM to a 1D-CNN",
    "pancakes with maple syrup for a model of three layers",
    "asdf qwerty zxcv 1 2 3",
    "Traceback (most recent call last)",
    "CUDA out of memory",
    "No module named 'sklearn'",
    "'NoneType' object has no attribute 'shape'",
    "name 'x_train' is not defined",
    "KeyError: 'label'",
    "No such file or directory: 'train.csv'",
]


def as_it_is(message):
    return message


def as_readers_own(message):
    """Give a message other sizes, other numbers of layers and other names."""
    size = r"(?<=[(\[,])( ?)(\d+)(?=[,)\]])"  # an axis of length 1 stays what it is
    message = re.sub(size, lambda m: m[1] + other(m[2]), message)
    message = re.sub(r"\b(layer|name) (['\"])\w+\2", r"\1 \2harbour_9\2", message)
    message = re.sub(r"\b(conv1d|lstm|dense)_\d", r"\1_17", message)
    return re.sub(r"\w+", lambda word: OWN_NAMES.get(word[0], word[0]), message)


def other(size):
    return size if int(size) < 2 else str(7 * int(size) + 30)


def in_a_traceback(message):
    return f"""Traceback (most recent call last):
  File "/home/ann/boats/train.py", line 41, in <module>
    history = model.fit(x_train, y_train, epochs=10, batch_size=32)
  File "/home/ann/.venv/keras/src/utils/traceback_utils.py", line 122, in error_handler
    raise e.with_traceback(filtered_tb) from None
  File "/home/ann/.venv/keras/src/layers/input_spec.py", line 245, in assert_input
    raise ValueError(
{as_readers_own(message)}"""
