"""No cure of the clinic does what a chapter calls a mistake.

Each pair is a chapter, its words, and what no cure may hold. A chapter that changes its
mind fails here as well.
"""

import re

import pytest

from .notebooks import errors, read, tags
from .test_error_clinic import RAISING, SILENT, text

PAIRS = {
    "a product with the mask": (
        "padding/padding_and_masks",
        "It must be `where`, not a product with the mask",
        r"\*\s*(real|mask)\b|\b(real|mask)(\[[^\]]*\])?\s*\*",
    ),
    "a mask that is guessed": (
        "padding/padding_and_masks",
        "`Masking(0.0)` guesses",
        r"Masking\(|mask_zero|\bmasked\b",
    ),
    "the defaults of pad_sequences": (
        "padding/padding_and_masks",
        "makes whole numbers** of floats unless you give a `dtype`",
        r"pad_sequences\((?![^\n]*(dtype=|\*\*settings))",
    ),
    "padding in front": (
        "padding/padding_and_masks",
        "padding in front",
        r"pad_sequences\((?![^\n]*(padding=\"post\"|\*\*settings|recordings, dtype))",
    ),
    "windows of one recording on both sides": (
        "combining/sensor_sequences",
        "keep the windows of one recording together",
        r"permutation|train_test_split|validation_split=",
    ),
    "a target that is the input": (
        "video/next_frame",
        "`fit(clips, clips)`: return what you were given",
        r"fit\((\w+), \1\b",
    ),
    "a convolution over time that peeks": (
        "video/next_frame",
        'A convolution along time with "same" padding peeks',
        r"padding=\"same\".*\.fit\(x\[:, :-1\], x\[:, 1:\]",
    ),
    "classes counted in the labels at hand": (
        "converting/logits_and_labels",
        "four classes, three units | `Dense(4)`",
        r"Dense\([^)]*\.shape\[-1\]|Dense\([^)]*(max|unique)\(",
    ),
    "a crossentropy by its name for logits": (
        "converting/logits_and_labels",
        "or the loss given by its name, which means the same",
        r"(loss=|\", )\"\w*crossentropy\"",
    ),
    "accuracy by its name for one logit": (
        "converting/logits_and_labels",
        '`"accuracy"` for one logit or several labels',
        r"Dense\(1\).*\"accuracy\"|\"accuracy\".*Dense\(1\)",
    ),
    "a softmax too many": (
        "converting/logits_and_labels",
        "may* have a softmax too many",
        r"softmax\".*from_logits=True",
    ),
    "frames lost by TimeDistributed": (
        "combining/frames_and_masks",
        "`TimeDistributed` drops frames there",
        r"Input\(\(None.*TimeDistributed",
    ),
    "axes moved by reshape": (
        "combining/sensor_fronts",
        "`Reshape` never moves an axis",
        r"\breshape\(|Reshape\(",
    ),
    "a generator without a signature": (
        "padding/bucketing",
        "pass an `output_signature`",
        r"from_generator\((?!.*signature)",
    ),
    "the answer of a padded step": (
        "padding/padding_and_masks",
        "**The last step** `[:, -1]` *is* a padded step",
        r"\[:, -1\]\)|LSTM\(\d+\)\((padded|boxes)\)",
    ),
}


def cures():
    """Return what follows a failure, or the remark how a silent fault is seen."""
    for heading, (_, *rest) in {**RAISING, **SILENT}.items():
        cells = [cell for cell in rest if cell.cell_type == "code"]
        for cell in cells[1:]:
            assert "raises-exception" not in tags(cell)
            assert not errors(cell)
            yield heading, cell.source


CURES = list(cures())
# Cures that look at a fault once more, beside what repairs it.
LOOKS = {"Softmax applied twice", "The last step of a `Bidirectional` layer"}


@pytest.mark.parametrize("name", PAIRS)
def test_no_cure_makes_the_mistake_of_a_chapter(name):
    chapter, words, mistake = PAIRS[name]
    cells = read(f"notebooks/{chapter}.ipynb").cells
    said = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert words in " ".join(said.split())
    found = {heading for heading, code in CURES if re.search(mistake, code, re.DOTALL)}
    assert {h for h in found if not h.startswith(tuple(LOOKS))} == set()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("a product with the mask", "silenced = x * real[:, :, None]"),
        ("a product with the mask", "convolution(hidden) * mask[:, :, None]"),
        ("a target that is the input", "model.fit(x, x, verbose=0)"),
        ("classes counted in the labels at hand", "layers.Dense(one_hot.shape[-1])"),
        ("windows of one recording on both sides", "order = rng.permutation(24)"),
        ("a crossentropy by its name for logits", 'loss="binary_crossentropy"'),
        ("the defaults of pad_sequences", "pad_sequences(recordings)"),
    ],
)
def test_the_mistakes_that_the_cures_once_made_are_found(name, code):
    assert re.search(PAIRS[name][2], code, re.DOTALL)


def test_no_cure_says_so_in_words():
    told = "\n".join(text(entry) for entry in [*RAISING.values(), *SILENT.values()])
    for words in ("units from the labels", "Shuffle `x` and `y` in the same order"):
        assert words not in told
