/* The labels, heads and losses to choose from, and what Keras does with them. Shapes
   are lists of sizes, null for the batch. */
"use strict";

explorers.targets = (() => {
  const BATCH = 32;

  const LABELS = {
    "0 or 1: (batch,)": { axes: [], low: 0, high: 1 },
    "1 or 2: (batch,)": { axes: [], low: 1, high: 2 },
    "one-hot: (batch, 2)": { axes: [2], low: 0, high: 1, rows: true },
    "indices 0 to 3: (batch,)": { axes: [], low: 0, high: 3 },
    "indices 1 to 4: (batch,)": { axes: [], low: 1, high: 4 },
    "one-hot: (batch, 4)": { axes: [4], low: 0, high: 1, rows: true },
    "0 or 1 for each: (batch, 4)": { axes: [4], low: 0, high: 1, several: true },
    "-1 or 1 for each: (batch, 4)": { axes: [4], low: -1, high: 1, several: true },
    "indices 0 to 3: (batch, 6)": { axes: [6], low: 0, high: 3 },
    "indices 1 to 4: (batch, 6)": { axes: [6], low: 1, high: 4 },
    "one-hot: (batch, 6, 4)": { axes: [6, 4], low: 0, high: 1, rows: true },
    "numbers 0.5 to 9.5: (batch,)": { axes: [], low: 0.5, high: 9.5, parts: true },
    "numbers 0.5 to 9.5: (batch, 1)": { axes: [1], low: 0.5, high: 9.5, parts: true },
  };

  const HEADS = {
    "Dense(1)": { units: 1, steps: [] },
    'Dense(1, "sigmoid")': { units: 1, steps: [], activation: "sigmoid" },
    'Dense(1, "softmax")': { units: 1, steps: [], activation: "softmax" },
    "Dense(2)": { units: 2, steps: [] },
    'Dense(2, "softmax")': { units: 2, steps: [], activation: "softmax" },
    "Dense(4)": { units: 4, steps: [] },
    'Dense(4, "sigmoid")': { units: 4, steps: [], activation: "sigmoid" },
    'Dense(4, "softmax")': { units: 4, steps: [], activation: "softmax" },
    "Dense(1) at every step": { units: 1, steps: [6] },
    "Dense(2) at every step": { units: 2, steps: [6] },
    "Dense(4) at every step": { units: 4, steps: [6] },
    'Dense(4, "softmax") at every step': {
      units: 4,
      steps: [6],
      activation: "softmax",
    },
    "Dense(4), 2 of 6 steps lost": { units: 4, steps: [4] },
  };

  const LOSSES = {};
  const CROSSENTROPIES = {
    binary: "BinaryCrossentropy",
    categorical: "CategoricalCrossentropy",
    sparse: "SparseCategoricalCrossentropy",
  };
  for (const [kind, name] of Object.entries(CROSSENTROPIES)) {
    for (const [value, logits] of [["True", true], ["False", false]]) {
      const code = `${name}(${logits ? "from_logits=True" : ""})`;
      LOSSES[`${kind}, from_logits=${value}`] = { kind, logits, code };
    }
  }
  LOSSES["mean squared error"] = { kind: "squared", code: "MeanSquaredError()" };

  /* The first of the labels belongs to the first of the heads and the loss. */
  const TASKS = {
    "one of two classes": {
      labels: ["0 or 1: (batch,)", "1 or 2: (batch,)", "one-hot: (batch, 2)"],
      heads: [
        "Dense(1)",
        'Dense(1, "sigmoid")',
        'Dense(1, "softmax")',
        "Dense(2)",
        'Dense(2, "softmax")',
        "Dense(2) at every step",
      ],
      loss: "binary, from_logits=True",
    },
    "one of four classes": {
      labels: [
        "indices 0 to 3: (batch,)",
        "indices 1 to 4: (batch,)",
        "one-hot: (batch, 4)",
      ],
      heads: [
        "Dense(4)",
        'Dense(4, "softmax")',
        'Dense(4, "sigmoid")',
        "Dense(4) at every step",
        "Dense(1)",
      ],
      loss: "sparse, from_logits=True",
    },
    "several of four labels": {
      labels: ["0 or 1 for each: (batch, 4)", "-1 or 1 for each: (batch, 4)"],
      heads: ["Dense(4)", 'Dense(4, "sigmoid")', 'Dense(4, "softmax")', "Dense(1)"],
      loss: "binary, from_logits=True",
    },
    "a class for every step": {
      labels: [
        "indices 0 to 3: (batch, 6)",
        "indices 1 to 4: (batch, 6)",
        "one-hot: (batch, 6, 4)",
      ],
      heads: [
        "Dense(4) at every step",
        'Dense(4, "softmax") at every step',
        "Dense(4), 2 of 6 steps lost",
        "Dense(4)",
      ],
      loss: "sparse, from_logits=True",
    },
    "a number": {
      labels: ["numbers 0.5 to 9.5: (batch,)", "numbers 0.5 to 9.5: (batch, 1)"],
      heads: ["Dense(1)", 'Dense(1, "sigmoid")', "Dense(1) at every step"],
      loss: "mean squared error",
    },
  };

  function fitting(task) {
    const { labels, heads, loss } = TASKS[task];
    return { labels: labels[0], head: heads[0], loss };
  }

  /* --- What Keras does ------------------------------------------------------------ */

  const same = (one, other) =>
    one.length === other.length && one.every((size, i) => size === other[i]);

  function python(shape) {
    const sizes = shape.map((size) => size ?? "None");
    return sizes.length === 1 ? `(${sizes[0]},)` : `(${sizes.join(", ")})`;
  }

  /* Keras evens ranks that differ by a last axis of length 1. */
  function evened(one, other) {
    if (one.length < other.length) return evened(other, one).reverse();
    if (one.length !== other.length + 1 || one.at(-1) !== 1) return [one, other];
    return other.length === 1 ? [one, [...other, 1]] : [one.slice(0, -1), other];
  }

  function compareAxes(target, output) {
    const shapes = `target.shape=${python(target)}, output.shape=${python(output)}`;
    const start = "Arguments `target` and `output` must have the same";
    if (target.length !== output.length) {
      return `${start} rank (ndim). Received: ${shapes}`;
    }
    return same(target, output) ? "" : `${start} shape. Received: ${shapes}`;
  }

  function lookUp(target, output, { low, high }) {
    if (target.length === output.length && target.at(-1) === 1) {
      target = target.slice(0, -1);
    }
    const shapes = `target.shape=${python(target)}, output.shape=${python(output)}`;
    if (target.length !== output.length - 1) {
      const rank = "Argument `output` must have rank (ndim) `target.ndim - 1`.";
      return `${rank} Received: ${shapes}`;
    }
    if (!same(target, output.slice(0, -1))) {
      const start = "Arguments `target` and `output` must have the same shape";
      return `${start} up until the last dimension: ${shapes}`;
    }
    const units = output.at(-1);
    const outside = low < 0 ? low : Math.trunc(high);
    if (outside >= 0 && outside < units) return "";
    const received = `Received a label value of ${outside}`;
    return `${received} which is outside the valid range of [0, ${units}).`;
  }

  /* Squared errors repeat axes of length 1, as NumPy does, and fail where they can't:
     at once if both lengths are known, else when a batch comes. */
  function subtract(target, output) {
    const rank = Math.max(target.length, output.length);
    const [one, other] = [target, output].map((shape) => [
      ...Array(rank - shape.length).fill(1),
      ...shape,
    ]);
    const unlike = one.flatMap((size, i) =>
      size === other[i] || size === 1 || other[i] === 1 ? [] : [[size, other[i]]],
    );
    const written = (batch) =>
      [target, output].map((shape) => `[${shape.map((size) => size ?? batch)}]`);
    const known = unlike.find((sizes) => !sizes.includes(null));
    if (known) {
      const start = `Dimensions must be equal, but are ${known.join(" and ")} for …`;
      return `${start} with input shapes: ${written("?").join(", ")}.`;
    }
    return unlike.length ? `Incompatible shapes: ${written(BATCH).join(" vs. ")}` : "";
  }

  function error(labels, head, loss) {
    const output = [null, ...head.steps, head.units];
    const shapes = evened([null, ...labels.axes], output);
    if (loss.kind === "squared") return subtract(...shapes);
    if (loss.kind === "sparse") return lookUp(...shapes, labels);
    return compareAxes(...shapes);
  }

  function warning({ units, activation }, { kind, logits }) {
    if (units === 1 && activation === "softmax") {
      return (
        "You are using a softmax over axis -1 of a tensor of shape (None, 1). This " +
        "axis has size 1. The softmax operation will always return the value 1, " +
        "which is likely not what you intended. Did you mean to use a sigmoid instead?"
      );
    }
    if (units === 1 && kind === "categorical") {
      return (
        "In loss categorical_crossentropy, expected y_pred.shape to be (batch_size, " +
        "num_classes) with num_classes > 1. Received: y_pred.shape=(None, 1). " +
        "Consider using 'binary_crossentropy' if you only have 2 classes."
      );
    }
    if (!logits || !activation) return "";
    const expected = kind === "binary" ? "Sigmoid" : "Softmax";
    const name = kind === "sparse" ? "sparse_categorical" : kind;
    return (
      `"\`${name}_crossentropy\` received \`from_logits=True\`, but the \`output\` ` +
      `argument was produced by a ${expected} activation and thus does not represent ` +
      "logits. Was this intended?"
    );
  }

  return { BATCH, HEADS, LABELS, LOSSES, TASKS, error, fitting, same, warning };
})();
