/* Convolutions over a sequence: which input steps does an output step read?

   All layers have the same settings, but for the dilation rates, if there are several.
   Without realSteps the whole sequence is real. A row holds the steps of the input or of a layer;
   "places" are steps of a row, and the zeros in front of it (below 0) and behind it. */
"use strict";

explorers.convolution = (() => {
  const range = (count) => Array.from({ length: count }, (_, index) => index);

  /* With "same" and strides Keras adds as little as the last window needs, so that the
     length decides where the windows lie. */
  function addedZeros(length, { kernelSize, strides, dilationRate, padding }) {
    const span = (kernelSize - 1) * dilationRate;
    if (padding === "valid") return { before: 0, after: 0 };
    if (padding === "causal") return { before: span, after: 0 };
    const lastWindow = (Math.ceil(length / strides) - 1) * strides;
    const total = Math.max(lastWindow + span + 1 - length, 0);
    return { before: Math.floor(total / 2), after: Math.ceil(total / 2) };
  }

  function inputRow({ steps, realSteps = steps }) {
    const readsPadding = range(steps).map((step) => step >= realSteps);
    return { length: steps, stride: 1, left: 0, right: 0, readsPadding };
  }

  function convolve(row, settings) {
    const { kernelSize, strides, dilationRate } = settings;
    const span = (kernelSize - 1) * dilationRate;
    const { before, after } = addedZeros(row.length, settings);
    const starts = Math.max(0, row.length + before + after - span);
    const windows = range(Math.ceil(starts / strides)).map((step) =>
      range(kernelSize).map((tap) => step * strides - before + tap * dilationRate),
    );
    return {
      length: windows.length,
      stride: row.stride * strides,
      left: row.left + before * row.stride,
      right: row.right + (span - before) * row.stride,
      zeros: { before, after },
      windows,
      readsPadding: windows.map((places) =>
        places.some((place) => row.readsPadding[place]),
      ),
    };
  }

  /* The settings of a layer, of which the first has number 1. */
  function layerOf(settings, number) {
    const { dilationRate, dilationRates = dilationRate } = settings;
    const rates = `${dilationRates}`.split(", ").map(Number);
    return { ...settings, dilationRate: rates[number - 1] ?? rates[0] };
  }

  /* The rows from the input upwards, as far as Keras makes them. */
  function rowsOf(settings) {
    const rows = [inputRow(settings)];
    while (rows.length <= settings.depth) {
      const layer = layerOf(settings, rows.length);
      if (layer.strides > 1 && layer.dilationRate > 1) break;
      const row = convolve(rows.at(-1), layer);
      if (row.length === 0) break;
      rows.push(row);
    }
    return rows;
  }

  /* For each row, the places that a step of the last row reads, directly or not. */
  function readBy(rows, step) {
    const read = rows.map(() => new Set());
    read.at(-1).add(step);
    for (let level = rows.length - 1; level > 0; level -= 1) {
      for (const place of read[level]) {
        rows[level].windows[place]?.forEach((below) => read[level - 1].add(below));
      }
    }
    return read;
  }

  return { layerOf, readBy, rowsOf };
})();
