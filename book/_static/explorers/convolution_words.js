/* What is said of the convolutions: sentences, and the errors that Keras raises. */
"use strict";

explorers.convolution.sentences = (() => {
  /* 1, 2 and 5 to 9 */
  function listing(numbers) {
    const runs = [];
    for (const number of numbers) {
      if (runs.length && number === runs.at(-1).at(-1) + 1) runs.at(-1).push(number);
      else runs.push([number]);
    }
    const parts = runs.flatMap((run) =>
      run.length > 2 ? `${run[0]} to ${run.at(-1)}` : run,
    );
    const last = parts.pop();
    return parts.length ? `${parts.join(", ")} and ${last}` : `${last}`;
  }

  const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
  const named = (steps) => `step${steps.length === 1 ? "" : "s"} ${listing(steps)}`;

  function refusal(rows, settings) {
    const layer = explorers.convolution.layerOf(settings, rows.length);
    const { strides, dilationRate, kernelSize } = layer;
    if (strides > 1 && dilationRate > 1) {
      return [
        "There is no output. Keras raises a ValueError: “`strides > 1` not " +
          "supported in conjunction with `dilation_rate > 1`.”",
        `Here strides are ${strides} and the dilation rate is ${dilationRate}: set ` +
          "one of them to 1.",
      ];
    }
    const reach = (kernelSize - 1) * dilationRate + 1;
    return [
      "There is no output. Keras raises a ValueError: “Computed output size would " +
        "be zero or negative.”",
      `The kernel of layer ${rows.length} covers ${plural(reach, "step")}, and only ` +
        `${plural(rows.at(-1).length, "step")} come in: take more steps, a smaller ` +
        "kernel, fewer layers, or padding “same” or “causal”.",
    ];
  }

  function lengths(rows) {
    const [entering, ...leaving] = rows.map(({ length }) => length);
    const leaves = `The output has ${plural(leaving.at(-1), "step")}`;
    return entering === leaving.at(-1)
      ? `${leaves}, as many as the input.`
      : `${leaves}: ${entering} become ${leaving.join(", then ")}.`;
  }

  function field({ stride, left, right }) {
    const centre = stride === 1 ? "t" : `${stride}t`;
    const from = left ? `${centre}\u00a0−\u00a0${left}` : centre;
    const to = right ? `${centre}\u00a0+\u00a0${right}` : centre;
    return (
      `Receptive field: size ${left + right + 1}, stride ${stride}, left ${left}, ` +
      `right ${right}. Output step t sees no further than ` +
      `${from === to ? `input step ${from}` : `input steps ${from} to ${to}`}.`
    );
  }

  /* 1 + 2 · 1 + 2 · 2 = 7, a term for each layer. */
  function formula(rows, settings) {
    const terms = rows.slice(0, -1).map(({ stride }, below) => {
      const { kernelSize, dilationRate } = explorers.convolution.layerOf(
        settings,
        below + 1,
      );
      const before = settings.strides > 1 ? ` · ${stride}` : "";
      return `${kernelSize - 1} · ${dilationRate}${before}`;
    });
    const { left, right } = rows.at(-1);
    const strides = settings.strides > 1 ? " · the strides before it" : "";
    return (
      `R = 1 + ${terms.join(" + ")} = ${left + right + 1} steps: for each layer ` +
      `(kernel size − 1) · dilation rate${strides}.`
    );
  }

  /* Steps between the outermost ones of the field that no path leads to. */
  function holes(reading, rows, settings) {
    const { left, right, stride } = rows.at(-1);
    const from = Math.max(0, settings.step * stride - left);
    const to = Math.min(rows[0].length - 1, settings.step * stride + right);
    const hidden = [];
    for (let step = from; step <= to; step += 1) {
      if (!reading.has(step)) hidden.push(step);
    }
    if (!hidden.length) return [];
    return [`Inside its field it never sees ${named(hidden)}: the field has holes.`];
  }

  function leak({ length, readsPadding }, { steps, realSteps }) {
    if (realSteps === steps) return "Nothing is padded.";
    const reading = [...readsPadding.keys()].filter((step) => readsPadding[step]);
    if (reading.length === 0) return "No output step has read padding.";
    if (reading.length === length) return "Every output step has read padding.";
    const has = reading.length === 1 ? "has" : "have";
    const count = `${reading.length} of ${length} output steps`;
    return `${count} ${has} read padding: ${named(reading)}.`;
  }

  function paddingAmong(reading, { steps, realSteps = steps }) {
    if (realSteps === steps) return "";
    const padded = reading.filter((step) => step >= realSteps).length;
    const kind = padded ? "padding" : "real";
    if (reading.length === 1) return `, which is ${kind}`;
    const count = padded === 0 || padded === reading.length ? "all" : padded;
    return `, ${count} of them ${kind}`;
  }

  function looked(rows, read, settings) {
    const inside = (level) => (place) => place >= 0 && place < rows[level].length;
    const reading = [...read[0]].filter(inside(0)).sort((a, b) => a - b);
    const zeros = read.some((places, level) => ![...places].every(inside(level)));
    const start = `Step ${settings.step} of the output reads`;
    if (reading.length === 0) return `${start} no step of the input, only added zeros.`;
    return (
      `${start} ${named(reading)} of the input${paddingAmong(reading, settings)}` +
      `${zeros ? ", and added zeros" : ""}.`
    );
  }

  return (rows, read, settings) => {
    if (rows.length <= settings.depth) return refusal(rows, settings);
    const [first, last] = [looked(rows, read, settings), rows.at(-1)];
    return "realSteps" in settings
      ? [first, leak(last, settings), lengths(rows), field(last)]
      : [
          formula(rows, settings),
          first,
          ...holes(read[0], rows, settings),
          field(last),
          lengths(rows),
        ];
  };
})();
