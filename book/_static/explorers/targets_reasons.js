/* Why labels, head and loss do not fit together, and which entry of the error clinic
   tells more of it. */
"use strict";

(() => {
  const written = (number) => String(number).replace("-", "−");
  const columns = (count) => (count === 1 ? "1 column" : `${count} columns`);
  const units = (count) => (count === 1 ? "1 unit" : `${count} units`);

  /* Squared errors alone let other shapes pass. */
  function repeated(outcome) {
    const silent = " The squared error repeats what is missing, and says nothing.";
    return outcome === "raises" ? "" : silent;
  }

  /* Why labels, head and loss do not fit, by the code of check_targets. */
  const REASONS = {
    "one-unit": ({ labels }) =>
      "Classes compete for the whole of a softmax, and one unit has no rival: its " +
      "softmax is always 1. " +
      (labels.parts
        ? "A number wants a squared error, and no softmax."
        : "Two classes want the binary loss, more want a unit each."),
    "one-hot-for-sparse-loss": () =>
      "The labels are one-hot rows, and this loss wants an index in place of each row.",
    "several-hot": () =>
      "Some rows hold several 1s, but under softmax the classes compete for one " +
      "place: here each needs a yes or no of its own, the binary loss without softmax.",
    "per-step-output": ({ outcome }) =>
      "There is one label for a sequence, but an output for every step: pool the " +
      `steps in front of the head.${repeated(outcome)}`,
    "per-sequence-output": () =>
      "There is a label for every step, but one output for the whole sequence: let " +
      "the head work on every step.",
    "time-length": () =>
      "The head answers for 4 steps, and 6 have labels. Convolutions shorten a " +
      'sequence unless they have padding="same".',
    "indices-for-one-hot-loss": ({ head }) =>
      "The labels are class indices, and this loss wants a column for each of the " +
      `${head.units} units.`,
    "two-units-one-column": () =>
      "One column of 0 and 1 meets two units. Take one unit, or the sparse loss.",
    "one-unit-two-columns": ({ outcome }) =>
      "Two columns say the same thing twice, and there is one unit: the second " +
      `column is enough.${repeated(outcome)}`,
    units: ({ labels, head, loss, outcome }) =>
      loss.kind === "binary" && labels.high > 1
        ? "More than two classes need a unit each, and a sparse loss."
        : `The labels have ${columns(labels.axes[head.steps.length] ?? 1)}, ` +
          `the head has ${units(head.units)}.${repeated(outcome)}`,
    "label-shape": ({ labels, head, loss }) =>
      loss.kind === "sparse"
        ? "This loss wants one index, and the labels are rows of numbers."
        : `The labels have ${columns(labels.axes[0])}, ` +
          `the head has ${units(head.units)}.`,
    "labels-from-one": ({ labels, head, loss }) =>
      loss.kind === "binary"
        ? "This loss wants 0 and 1, and does not check. These labels are 1 and 2: " +
          "subtract 1."
        : `${units(head.units)} mean classes 0 to ${head.units - 1}, and these go ` +
          `from ${labels.low} to ${labels.high}: subtract 1.`,
    "labels-signed": () =>
      "This loss wants 0 and 1, and does not check. These labels are −1 and 1: take " +
      "(y + 1) / 2.",
    "label-range": ({ labels }) =>
      "This loss wants labels from 0 to 1, and does not check. These go from " +
      `${labels.low} to ${labels.high}, and numbers want a squared error.`,
    "labels-beyond-activation": ({ labels, head }) =>
      `A ${head.activation} gives values from 0 to 1, and the labels go from ` +
      `${written(labels.low)} to ${labels.high}: some are out of reach.`,
    "softmax-from-logits": ({ head, codes, outcome }) =>
      `The head ends in ${head.activation}, but from_logits=True.` +
      (outcome === "warns" && codes.length === 1
        ? " Keras notices, and goes back to the logits in front of it."
        : ""),
    "logits-as-probabilities": () =>
      "The head has no activation, but the loss takes its logits for probabilities " +
      "and clips them: set from_logits=True.",
  };

  /* Why what runs is a poor choice, by the kind of the loss. */
  const BETTER = {
    squared: "A squared error takes classes for amounts; a crossentropy learns better.",
    binary: "The binary loss takes each column for a question of its own.",
    categorical:
      "Keras goes back to the logits in front of the sigmoid and applies softmax; " +
      "the predictions stay sigmoids, and their sum is not 1.",
  };

  function why({ verdict, loss, codes, ...judged }) {
    if (verdict === "runs") return BETTER[loss.kind] ?? BETTER.categorical;
    return codes.map((code) => REASONS[code]({ ...judged, loss, codes })).join(" ");
  }

  /* The entries of the error clinic: for errors, by a part of the message. */
  const RANK = "argument-output-must-have-rank-ndim-target-ndim-1-";
  const SAME = "arguments-target-and-output-must-have-the-same-shape-";
  const ERRORS = {
    "`target.ndim - 1`": `${RANK}one-hot-labels`,
    "up until the last": "must-have-the-same-shape-up-until-the-last-dimension",
    "same rank": "must-have-the-same-rank-ndim",
    "same shape. Received": `${SAME}as-many-units-as-classes`,
    "a label value":
      "received-a-label-value-of-4-which-is-outside-the-valid-range-of-0-4",
    "ncompatible shapes": "dimensions-must-be-equal-but-are-20-and-18",
    "Dimensions must": "dimensions-must-be-equal-but-are-20-and-18",
  };
  const CAUSES = {
    "one-unit-two-columns": `${SAME}one-unit-two-columns`,
    "per-step-output": `${RANK}an-output-for-every-step`,
    "per-sequence-output": `${RANK}labels-for-every-step`,
  };

  const REPEATS = "squared-error-repeats-a-label-over-steps-and-columns";
  const BINARY = "labels-1-and-2-1-and-1-or-pixels-up-to-255-with-a-binary-loss";
  const SILENT = {
    "label-range": BINARY,
    "labels-beyond-activation": "a-sigmoid-can-t-reach-the-targets",
    "labels-from-one": BINARY,
    "labels-signed": BINARY,
    "logits-as-probabilities": "logits-in-a-loss-that-expects-probabilities",
    "one-unit": "softmax-over-one-unit",
    "one-unit-two-columns": REPEATS,
    "per-step-output": REPEATS,
    "several-hot": "several-right-answers-one-softmax",
    "softmax-from-logits": "softmax-applied-twice",
    units: REPEATS,
  };

  /* The entry's anchor on the page of the clinic, "" where there is none. */
  function entry({ codes: [code], outcome, loss, message }) {
    if (!code) return "";
    if (outcome !== "raises") {
      return code === "units" && loss.kind === "binary" ? BINARY : SILENT[code];
    }
    const part = Object.keys(ERRORS).find((part) => message.includes(part));
    const cause = CAUSES[code] ?? "";
    const told = cause.startsWith(RANK) === ERRORS[part].startsWith(RANK);
    return cause && told && !message.includes("imensions") ? cause : ERRORS[part];
  }

  Object.assign(explorers.targets, { entry, why });
})();
