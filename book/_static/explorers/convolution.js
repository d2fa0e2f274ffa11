/* The drawing of the convolutions, and their two places: a plain sequence, or a padded
   one. */
"use strict";

(() => {
  const { place: replaceFigure, svg } = explorers;
  const { readBy, rowsOf, sentences } = explorers.convolution;
  const WIDTH = 340;
  const LABELS = 44;
  const MARGIN = 6; // for a number wider than its step
  const TOP = 32;
  const ROW = 54;
  const BELOW = 84; // the input: its numbers and the legend
  const BLUE = "var(--book-blue, #0072b2)";
  const VERMILION = "var(--book-vermilion, #d55e00)";
  const GREY = "var(--book-grey, #6b7280)";
  const CELL = "var(--book-cell, #e8edf2)";

  const text = (x, y, words, attributes = {}) =>
    svg("text", { x, y, fill: "currentColor", ...attributes }, words);

  const at = (x, y, ...parts) =>
    svg("g", { transform: `translate(${x} ${y})` }, ...parts);

  const outline = (read) => ({
    fill: "none",
    stroke: read ? BLUE : GREY,
    "stroke-width": read ? 2.5 : 1,
  });

  function drawZero(x, y, size, { read }) {
    return at(x, y, svg("circle", { r: size / 3, ...outline(read) }));
  }

  function drawStep(x, y, size, { padded, leaked, read }) {
    const square = { x: -size / 2, y: -size / 2, width: size, height: size, rx: 2 };
    const parts = [svg("rect", { ...square, fill: CELL })];
    if (padded) {
      parts.push(svg("rect", { ...square, fill: "url(#convolution-padded)" }));
    } else if (leaked) {
      const r = size / 4;
      const diamond = `M${-r} 0 0 ${-r} ${r} 0 0 ${r}z`;
      parts.push(svg("path", { d: diamond, fill: VERMILION }));
    }
    parts.push(svg("rect", { ...square, ...outline(read) }));
    return at(x, y, ...parts);
  }

  const hatching = () =>
    svg(
      "pattern",
      {
        id: "convolution-padded",
        width: 4,
        height: 4,
        patternUnits: "userSpaceOnUse",
        patternTransform: "rotate(45)",
      },
      svg("rect", { width: 1.5, height: 4, fill: VERMILION }),
    );

  /* A causal step stands above the last step that it sees, any other above the middle.
     Added zeros stand close by, however far apart the steps are. */
  function layout(rows, { padding, depth }) {
    const zeros = rows.map((_, level) => rows[level + 1]?.zeros);
    const spot = (level, place) => {
      const { length, stride, left, right } = rows[level];
      const first = padding === "causal" ? right : (right - left) / 2;
      const step = Math.min(Math.max(place, 0), length - 1);
      return first + step * stride + (place - step);
    };
    const places = rows.map(({ length }, level) => {
      const { before, after } = zeros[level] ?? { before: 0, after: 0 };
      return Array.from({ length: before + length + after }, (_, i) => i - before);
    });
    const start = Math.min(...places.map((row, level) => spot(level, row[0])));
    const end = Math.max(...places.map((row, level) => spot(level, row.at(-1))));
    const unit = Math.min(22, (WIDTH - LABELS - MARGIN) / (end - start + 1));
    const x = (level, place) => LABELS + (spot(level, place) - start + 0.5) * unit;
    return {
      places,
      unit,
      size: Math.min(Math.floor(unit) - 2, 16),
      x: (level, place) => Math.round(10 * x(level, place)) / 10,
      y: (level) => TOP + (depth - level) * ROW,
    };
  }

  function drawEdges(rows, read, { x, y, size }) {
    return rows.slice(1).flatMap(({ windows }, lower) =>
      [...read[lower + 1]].flatMap((place) =>
        (windows[place] ?? []).map((below) => {
          const leaked = rows[lower].readsPadding[below];
          return svg("line", {
            x1: x(lower + 1, place),
            y1: y(lower + 1) + size / 2,
            x2: x(lower, below),
            y2: y(lower) - size / 2,
            stroke: leaked ? VERMILION : BLUE,
            "stroke-width": 1.5,
            "stroke-dasharray": leaked ? "4 3" : "none",
          });
        }),
      ),
    );
  }

  function drawPlaces(rows, read, { places, x, y, size }) {
    return rows.flatMap(({ length, readsPadding }, level) =>
      places[level].map((place) => {
        const leaked = readsPadding[place];
        const padded = level === 0 && leaked;
        const drawn = place < 0 || place >= length ? drawZero : drawStep;
        const state = { padded, leaked, read: read[level].has(place) };
        return drawn(x(level, place), y(level), size, state);
      }),
    );
  }

  /* The numbers of a row's steps: as many as there is room for, and the chosen one. */
  function drawNumbers(rows, level, dy, { unit, x, y }, chosen = Infinity) {
    const room = (steps) => steps * unit * rows[level].stride;
    const every = [1, 2, 5].find((steps) => room(steps) >= 18) ?? 10;
    return rows[level].readsPadding.flatMap((_, step) => {
      const hidden = step % every > 0 || room(Math.abs(step - chosen)) < 18;
      if (hidden && step !== chosen) return [];
      const weight = step === chosen ? { "font-weight": "bold" } : {};
      const middle = { "text-anchor": "middle", ...weight };
      return text(x(level, step), y(level) + dy, step, middle);
    });
  }

  function drawNames(rows, depth, { y }) {
    const between = Array.from({ length: depth - 1 }, (_, i) => `layer ${i + 1}`);
    return ["input", ...between, "output"].flatMap((name, level) => {
      const names = [text(0, y(level) + 4, name)];
      if (level >= rows.length) names.push(text(LABELS + 4, y(level) + 4, "none"));
      return names;
    });
  }

  function drawLegend(top, step, padded) {
    const marks = [
      [padded ? "real step" : "step", drawStep, {}],
      ["padded step", drawStep, { padded: true }],
      ["added zero", drawZero, {}],
      [`read by step ${step}`, drawStep, { read: true }],
      ["has read padding", drawStep, { leaked: true }],
    ].filter(([, , state]) => padded || !(state.padded || state.leaked));
    return marks.flatMap(([name, drawn, state], index) => {
      const x = 9 + (index % 3) * (padded ? 118 : 104);
      const y = top + Math.floor(index / 3) * 20;
      return [drawn(x, y, 14, state), text(x + 13, y + 4, name)];
    });
  }

  /* What is touched to look at an output step: more than its small square. */
  function targets(output, level, change, { unit, x, y }) {
    return output.readsPadding.map((_, step) => {
      const width = Math.min(unit * output.stride, 30);
      const target = svg("rect", {
        x: x(level, step) - width / 2,
        y: y(level) - 26,
        width,
        height: 40,
        fill: "none",
        cursor: "pointer",
        "pointer-events": "all",
      });
      target.addEventListener("click", () => change({ step }));
      return target;
    });
  }

  function drawAll(title, settings, change) {
    const { depth, step } = settings;
    const rows = rowsOf(settings);
    const complete = rows.length > depth;
    const read = complete ? readBy(rows, step) : rows.map(() => new Set());
    const plan = layout(rows, settings);
    const height = plan.y(0) + BELOW;
    const said = sentences(rows, read, settings);
    const drawing = svg(
      "svg",
      {
        viewBox: `0 0 ${WIDTH} ${height}`,
        width: 480,
        style: "margin: auto; max-width: 480px",
        role: "img",
        "font-family": "sans-serif",
        "font-size": 12,
      },
      svg("title", {}, title),
      svg("desc", {}, said.join(" ")),
      hatching(),
      ...drawEdges(rows, read, plan),
      ...drawPlaces(rows, read, plan),
      ...drawNumbers(rows, 0, 24, plan),
      ...(complete ? drawNumbers(rows, depth, -15, plan, step) : []),
      ...drawNames(rows, depth, plan),
      ...drawLegend(plan.y(0) + 50, step, "realSteps" in settings),
      ...(complete ? targets(rows[depth], depth, change, plan) : []),
    );
    return { drawing, sentences: said };
  }

  function limit(settings) {
    const rows = rowsOf(settings);
    const last = rows.length > settings.depth ? rows.at(-1).length - 1 : 0;
    return {
      realSteps: { min: 1, max: settings.steps },
      step: { min: 0, max: last },
    };
  }

  const slider = (name, label, value, max, min = 1) => ({ name, label, min, max, value });
  const choice = (name, label, value, options) => ({ name, label, options, value });
  const PADDINGS = ["valid", "same", "causal"];

  function place(name, title, controls, fixed = {}) {
    const draw = (settings, change) =>
      drawAll(title, { ...fixed, ...settings }, change);
    const within = (settings) => limit({ ...fixed, ...settings });
    replaceFigure({ name, title, controls, limit: within, draw });
  }

  place(
    "convolution",
    "What an output step sees",
    [
      slider("kernelSize", "kernel size", 3, 5),
      choice("dilationRates", "dilation rates", "1, 2, 4, 8", [
        "1, 1, 1, 1",
        "1, 2, 4, 8",
        "2, 2, 2, 2",
        "1, 4, 1, 4",
      ]),
      slider("strides", "strides", 1, 3),
      slider("depth", "layers", 3, 4),
      choice("padding", "padding", "causal", PADDINGS),
      slider("step", "output step", 15, 15, 0),
    ],
    { steps: 16 },
  );
  place("convolution-padded", "Convolving a padded sequence", [
    slider("kernelSize", "kernel size", 3, 5),
    slider("strides", "strides", 1, 3),
    slider("dilationRate", "dilation rate", 1, 4),
    slider("depth", "layers", 2, 4),
    choice("padding", "padding", "same", PADDINGS),
    slider("steps", "padded length", 12, 16),
    slider("realSteps", "real steps", 8, 16),
    slider("step", "output step", 7, 15, 0),
  ]);
})();
