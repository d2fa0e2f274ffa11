/* What cnnseq_helpers.check_targets says of labels, head and loss: its codes, and which
   verdict follows from them and from what Keras does. */
"use strict";

(() => {
  const { HEADS, LABELS, LOSSES, error, same, warning } = explorers.targets;

  const startsWith = (axes, start) => same(axes.slice(0, start.length), start);

  function fits({ axes }, { units, steps }, { kind }) {
    const column = axes.at(-1) === 1 ? axes.slice(0, -1) : axes;
    if (kind === "sparse") return same(column, steps);
    return same(axes, [...steps, units]) || (units === 1 && same(axes, steps));
  }

  function shapeCode(labels, { units, steps }, { kind }) {
    const { axes, rows, several, parts, low, high } = labels;
    const sparse = kind === "sparse";
    const shares = low >= 0 && high <= 1;
    const perStep = steps.length > 0;
    if (sparse && shares && axes.length && same(axes.slice(0, -1), steps)) {
      return several ? "several-hot" : "one-hot-for-sparse-loss";
    }
    if (perStep && (axes.length === 0 || axes[0] !== 6)) return "per-step-output";
    if (!sparse && kind !== "squared" && units > 1 && same(axes, steps) && !parts) {
      const oneColumn = kind === "binary" && units === 2 && shares;
      return oneColumn ? "two-units-one-column" : "indices-for-one-hot-loss";
    }
    if (units === 1 && rows && same(axes, [...steps, 2])) return "one-unit-two-columns";
    if (!perStep && axes[0] === 6) return "per-sequence-output";
    if (perStep && !startsWith(axes, steps)) return "time-length";
    const columns = kind === "squared" || shares;
    return !sparse && startsWith(axes, steps) && columns ? "units" : "label-shape";
  }

  function valueCode({ low, high, rows, several, parts }, head, { kind }) {
    if (kind === "squared") {
      const reached = !head.activation || (low >= 0 && high <= 1);
      return reached ? "" : "labels-beyond-activation";
    }
    if (kind === "sparse") {
      return high < head.units ? "" : "labels-from-one";
    }
    if (low < 0) return "labels-signed";
    if (kind === "categorical") return rows ? "" : "several-hot";
    if (high <= 1) return several && head.activation === "softmax" ? "several-hot" : "";
    if (high === 2) return "labels-from-one";
    return parts ? "label-range" : "units";
  }

  function activationCode({ units, activation }, { logits }) {
    if (logits === undefined || (units === 1 && activation === "softmax")) return "";
    if (logits) return activation ? "softmax-from-logits" : "";
    return activation ? "" : "logits-as-probabilities";
  }

  function codes(labels, head, loss) {
    const compete =
      /sparse|categorical/.test(loss.kind) || head.activation === "softmax";
    const shapeOrValue = fits(labels, head, loss) ? valueCode : shapeCode;
    const first =
      head.units === 1 && compete ? "one-unit" : shapeOrValue(labels, head, loss);
    return [first, activationCode(head, loss)].filter((code) => code);
  }

  /* What runs without a fault may still be a poor choice. */
  function suits(labels, { activation }, { kind }) {
    if (kind === "squared") return Boolean(labels.parts);
    return kind === "binary" ? !labels.rows : activation !== "sigmoid";
  }

  function metric({ activation }, { kind }) {
    if (kind === "squared") return "MeanAbsoluteError()";
    if (kind === "categorical") return "CategoricalAccuracy()";
    if (kind === "sparse") return "SparseCategoricalAccuracy()";
    return activation ? "BinaryAccuracy()" : "BinaryAccuracy(threshold=0.0)";
  }

  function verdict(found, outcome, suitable) {
    if (outcome === "raises") return "raises";
    if (found.length === 0) return suitable ? "fits" : "runs";
    return outcome === "warns" ? "warns" : "silent";
  }

  /* Judge the chosen {labels, head, loss}, given by their names. */
  function judge(chosen) {
    const labels = LABELS[chosen.labels];
    const head = HEADS[chosen.head];
    const loss = LOSSES[chosen.loss];
    const raised = error(labels, head, loss);
    const warned = warning(head, loss);
    const outcome = raised ? "raises" : warned ? "warns" : "silent";
    const found = codes(labels, head, loss);
    return {
      chosen,
      labels,
      head,
      loss,
      codes: found,
      outcome,
      verdict: verdict(found, outcome, suits(labels, head, loss)),
      message: raised || warned,
      metric: metric(head, loss),
    };
  }

  Object.assign(explorers.targets, { fits, judge });
})();
