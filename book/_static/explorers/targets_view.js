/* Draws labels and output side by side: one sample of each, and their axes below. */
"use strict";

(() => {
  const { BATCH } = explorers.targets;
  const { svg } = explorers;
  const WIDTH = 348;
  const SCALE = 4 / 3; // of the static figure, where no style sets its size
  const CELL = { width: 34, height: 18 };
  const COLOURS = {
    cell: "var(--book-cell, #e8edf2)",
    line: "var(--book-grey, #6b7280)",
    picked: "var(--book-blue, #0072b2)",
    right: "var(--book-green, #009e73)",
    wrong: "var(--book-vermilion, #d55e00)",
  };
  const PAPER = { fill: COLOURS.cell, stroke: COLOURS.line, "stroke-width": 0.75 };
  const MARK = { fill: "none", stroke: COLOURS.picked, "stroke-width": 2.5 };
  const BADGES = {
    fits: ["✓ fits", COLOURS.right],
    runs: ["✓ runs, but another loss suits better", COLOURS.right],
    raises: ["✕ raises an error", COLOURS.wrong],
    warns: ["! trains with a warning", COLOURS.wrong],
    silent: ["! trains without a word, but wrong", COLOURS.wrong],
  };

  /* The sample that is shown: its true classes, step by step, and its logits. */
  const TRUE = [0, 0, 1, 1, 3, 3];
  const LOGITS = [
    [2.1, 0.3, -1.2, -0.4],
    [1.4, 0.9, -0.7, -1.1],
    [0.2, 1.8, -0.3, -0.9],
    [-0.6, 2.4, 0.1, -1.3],
    [-1.1, 0.2, 0.4, 1.5],
    [-0.4, -0.8, 0.3, 2.2],
  ];
  const SEVERAL = [1, 0, 0, 1];
  const NUMBER = 2.5;

  function written(number, digits = 0) {
    return number.toFixed(digits).replace("-", "−");
  }

  /* One sample of the labels, as rows (steps) of columns. */
  function labelValues({ axes, low, high, rows, several, parts }) {
    if (parts) return [[written(NUMBER, 1)]];
    if (several) return [SEVERAL.map((value) => written(value || low))];
    const classes = axes[0] === 6 ? TRUE : [(axes[0] ?? high - low + 1) - 1];
    if (!rows) return classes.map((index) => [written(index + low)]);
    const length = axes.at(-1);
    return classes.map((index) =>
      Array.from({ length }, (_, column) => (column === index ? "1" : "0")),
    );
  }

  function activated(logits, activation) {
    if (activation === "sigmoid") return logits.map((z) => 1 / (1 + Math.exp(-z)));
    const powers = logits.map((z) => Math.exp(z));
    const sum = powers.reduce((total, power) => total + power, 0);
    return powers.map((power) => power / sum);
  }

  /* One sample of the output; a head without steps speaks for the last of them. */
  function outputValues({ units, steps, activation }) {
    const logits = LOGITS.slice(-(steps[0] ?? 1)).map((row) => row.slice(-units));
    if (!activation) return logits.map((row) => row.map((z) => written(z, 1)));
    return logits.map((row) => activated(row, activation).map((p) => written(p, 2)));
  }

  function text(x, y, content, attributes = {}) {
    return svg("text", { x, y, "text-anchor": "middle", ...attributes }, content);
  }

  /* A grid of values, with the edges of the other samples behind it. */
  function grid(x, y, values, picked) {
    const width = CELL.width * values[0].length;
    const height = CELL.height * values.length;
    const left = x - width / 2;
    const top = y - height / 2;
    const at = (row, column) => ({
      x: left + column * CELL.width,
      y: top + row * CELL.height,
      ...CELL,
    });
    const sheets = [8, 4].map((shift) =>
      svg("rect", { x: left + shift, y: top - shift, width, height, ...PAPER }),
    );
    const cells = values.flatMap((row, i) =>
      row.flatMap((value, j) => {
        const cell = at(i, j);
        const middle = cell.x + CELL.width / 2;
        return [svg("rect", { ...cell, ...PAPER }), text(middle, cell.y + 13, value)];
      }),
    );
    const marks = picked.map((column, i) => svg("rect", { ...at(i, column), ...MARK }));
    return svg("g", {}, ...sheets, ...cells, ...marks);
  }

  /* Which columns of the output the labels name, if the loss looks there. */
  function pickedColumns({ labels, head, loss, verdict }, values) {
    const looks = /sparse|categorical/.test(loss.kind) && verdict !== "raises";
    if (!looks || labels.several || head.units === 1) return [];
    const named = (row) => (labels.rows ? row.indexOf("1") : Number(row[0]));
    const columns = values.map(named);
    return columns.every((column) => column < head.units) ? columns : [];
  }

  /* The axes by name: [name, length in the labels, length in the output]. */
  function axes({ labels, head }) {
    const time = labels.axes[0] === 6 ? 6 : undefined;
    const columns = time ? labels.axes[1] : labels.axes[0];
    return [
      ["batch", BATCH, BATCH],
      ["time", time, head.steps[0]],
      ["columns", columns, head.units],
    ].filter(([, inLabels, inOutput]) => inLabels || inOutput);
  }

  /* How an axis of the labels meets that of the output: [words, if it is right]. */
  function meeting([name, inLabels, inOutput], { labels, loss, verdict }) {
    if (name === "columns" && loss.kind === "sparse") {
      if (inLabels > 1) return ["≠ index wanted", false];
      if (labels.parts) return ["≠ no index", false];
      if (labels.high < inOutput) return ["✓ picks one", true];
      return [`≠ no column ${labels.high}`, false];
    }
    if (inLabels === inOutput) return ["= equal", true];
    const single = name === "columns" && inOutput === 1;
    if (single && !inLabels) return ["✓ 1 is added", true];
    if (verdict !== "raises") return ["≠ repeated", false];
    return inLabels && inOutput ? ["≠ differ", false] : ["≠ missing", false];
  }

  function chip(x, y, width, words, attributes) {
    const box = { x: x - width / 2, y: y - 11, width, height: 22, rx: 4, fill: "none" };
    return svg("g", {}, svg("rect", { ...box, ...attributes }), text(x, y + 4, words));
  }

  function axisChip(x, y, width, name, length) {
    const dashes = length ? {} : { "stroke-dasharray": "3 3" };
    const words = length ? `${name} ${length}` : "none";
    return chip(x, y, width, words, { stroke: COLOURS.line, ...dashes });
  }

  function axisColumn(axis, x, y, width, judged) {
    const [name, inLabels, inOutput] = axis;
    const [words, right] = meeting(axis, judged);
    const link = { x1: x, x2: x, "stroke-width": 2 };
    link.stroke = right ? COLOURS.right : COLOURS.wrong;
    if (!right) link["stroke-dasharray"] = "3 2";
    return svg(
      "g",
      {},
      axisChip(x, y, width, name, inLabels),
      svg("line", { y1: y + 11, y2: y + 20, ...link }),
      text(x, y + 32, words),
      svg("line", { y1: y + 37, y2: y + 46, ...link }),
      axisChip(x, y + 57, width, name === "columns" ? "units" : name, inOutput),
    );
  }

  function comparison(y, judged) {
    const shown = axes(judged);
    const width = 302 / shown.length;
    return svg(
      "g",
      {},
      text(0, y + 4, "y_true", { "text-anchor": "start" }),
      text(0, y + 61, "y_pred", { "text-anchor": "start" }),
      ...shown.map((axis, i) =>
        axisColumn(axis, 46 + width * (i + 0.5), y, width - 8, judged),
      ),
    );
  }

  function shape(lengths, steps) {
    const names = steps ? ["time", "columns"] : ["columns"];
    return `(batch${lengths.map((length, i) => `, ${names[i]}=${length}`).join("")})`;
  }

  function array(x, [title, made, shape], y, values, picked) {
    return svg(
      "g",
      {},
      text(x, 14, title, { "font-weight": "bold" }),
      text(x, 31, made),
      text(x, 48, shape),
      grid(x, y, values, picked),
    );
  }

  function draw(judged) {
    const { chosen, labels, head, loss, metric, codes, verdict } = judged;
    const given = shape(labels.axes, labels.axes[0] === 6);
    const output = shape([...head.steps, head.units], head.steps.length);
    const made = output.replace("columns", "units");
    const samples = [labelValues(labels), outputValues(head)];
    const picked = pickedColumns(judged, samples[0]);
    const height = CELL.height * Math.max(...samples.map(({ length }) => length));
    const middle = 68 + height / 2;
    const top = 68 + height + 44;
    const bottom = top + 142;
    const [badge, colour] = BADGES[verdict];
    const names = [chosen.labels.split(":")[0], chosen.head.replace(/\).*/, ")")];
    return svg(
      "svg",
      {
        viewBox: `0 0 ${WIDTH} ${bottom}`,
        width: WIDTH * SCALE,
        height: Math.round(bottom * SCALE),
        role: "img",
        fill: "currentColor",
        "font-family": "sans-serif",
        "font-size": 12,
      },
      svg("title", {}, "The labels and the output that a loss compares"),
      svg("desc", {}, `Labels ${given}, output ${made}: ${badge}`),
      array(88, ["labels, y_true", names[0], given], middle, samples[0], []),
      array(264, ["output, y_pred", names[1], made], middle, samples[1], picked),
      text(WIDTH / 2, top - 24, `one sample of a batch of ${BATCH}; below, the axes`),
      comparison(top, judged),
      text(WIDTH / 2, top + (codes.length ? 96 : 88), loss.code),
      codes.length ? "" : text(WIDTH / 2, top + 105, `metric: ${metric}`),
      chip(WIDTH / 2, top + 128, 290, badge, { stroke: colour, "stroke-width": 2 }),
    );
  }

  Object.assign(explorers.targets, { draw });
})();
