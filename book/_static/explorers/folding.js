/* The explorer `folding`: how (batch, time, height, width, channels) goes through a
   CNN-LSTM. A table of the axes at each hand-over, and below it one of them in full. */
"use strict";

(() => {
  const { folding, place, svg } = explorers;
  const { number, sentences } = explorers.foldingWords;
  const { BACKGROUND, CLIPS, GREY, line, move, picture, rectangle, text, vector } =
    explorers.foldingMarks;
  const WIDTH = 344;

  // --- The table of axes ------------------------------------------------------------

  const HEADER = 18;
  const ROW = 29; // tall enough for a finger on a phone
  const BASELINE = 19;
  const COLUMNS = {
    batch: [50, 104],
    time: [106, 160],
    height: [162, 208],
    width: [210, 256],
    channels: [258, 343],
  };

  /* The columns of an axis; one that was merged spans those that it was made of. */
  function span(axis, settings) {
    const merged = settings.head === "Flatten" ? "height" : "channels";
    const first = axis === "batch · time" ? "batch" : axis in COLUMNS ? axis : merged;
    const last = axis === "batch · time" ? "time" : axis in COLUMNS ? axis : "channels";
    return [COLUMNS[first][0], COLUMNS[last][1]];
  }

  function axisCell([axis, size], settings, chosen) {
    const [left, right] = span(axis, settings);
    const name = axis in COLUMNS ? "" : `${axis} `;
    const any = axis === "time" && settings.length === "unknown" ? " (any)" : "";
    const border = chosen ? { stroke: "currentColor", "stroke-width": 1.5 } : {};
    const shape = { rx: 3, fill: "var(--book-cell, #e8edf2)", ...border };
    return svg(
      "g",
      {},
      rectangle(left, 2, right - left, ROW - 4, shape),
      text((left + right) / 2, BASELINE, `${name}${number(size)}${any}`),
    );
  }

  function tableRow(name, index, settings, change) {
    const chosen = index + 1 === settings.handOver;
    const found = folding.handOvers(settings)[index];
    const missing = index === 2 ? "can’t be built" : "–";
    const cells = found
      ? found.axes.map((axis) => axisCell(axis, settings, chosen))
      : [text((COLUMNS.batch[0] + WIDTH) / 2, BASELINE, missing)];
    const weight = chosen ? "bold" : "normal";
    const words = text(0, BASELINE, name, { anchor: "start", weight });
    const touch = rectangle(0, 0, WIDTH, ROW, { fill: BACKGROUND });
    const row = move(0, HEADER + index * ROW, touch, words, ...cells);
    row.setAttribute("cursor", "pointer");
    row.addEventListener("click", () => change({ handOver: index + 1 }));
    return row;
  }

  function table(settings, change) {
    const heads = Object.entries(COLUMNS).map(([axis, [left, right]]) =>
      text((left + right) / 2, 12, axis),
    );
    const rows = folding.NAMES.map((name, index) =>
      tableRow(name, index, settings, change),
    );
    return svg("g", {}, ...heads, ...rows);
  }

  // --- The whole array --------------------------------------------------------------

  const LEFT = 42;
  const PITCH = 38;
  const TALL = 28; // the largest mark
  const caption = (y, words) => text(0, y, words, { anchor: "start" });

  const dropsSteps = ({ name }, settings) =>
    name === "LSTM" && !folding.everyStep(settings);

  /* What has become of a frame at this hand-over. */
  function mark(frame, settings, full) {
    const found = folding.current(settings);
    const [axis, size] = found.axes.at(-1);
    if (axis === "channels") {
      const maps = folding.featureMaps(settings);
      const map = found.name === "CNN" ? maps.at(-1) : maps[0];
      const lift = (TALL - (full * map.side) / settings.side) / 2;
      const look = { full, most: 3, step: 1.5 };
      return move(0, -lift, picture(map, frame, settings, look));
    }
    const dropped = dropsSteps(found, settings) && frame.frame < settings.time - 1;
    return vector(size, TALL, dropped ? GREY : CLIPS[frame.clip], dropped);
  }

  /* A ring around the frame that is shown below. */
  function ring({ clip, frame }, settings, x, bottom, width) {
    const shown = folding.followed(settings);
    if (clip !== shown.clip || frame !== shown.frame) return [];
    const shape = { fill: "none", stroke: "currentColor", "stroke-width": 1.5, rx: 3 };
    return [rectangle(x - width / 2, bottom - TALL - 4, width, TALL + 8, shape)];
  }

  function bracket(clip, { time }, pitch) {
    const from = LEFT + clip * time * pitch;
    const to = from + time * pitch;
    return svg(
      "g",
      {},
      line(`M${from + 3} 71v4H${to - 3}v-4`, CLIPS[clip]),
      text((from + to) / 2, 89, `clip ${clip}`),
    );
  }

  /* The folded batch: rows in one line, the frames of a clip side by side. */
  function strip(settings) {
    const { batch, time } = settings;
    const pitch = Math.min(PITCH, (WIDTH - LEFT) / (batch * time));
    const marks = Array.from({ length: batch * time }, (_, row) => {
      const frame = folding.frameOf(row, time);
      const x = LEFT + (row + 0.5) * pitch;
      return svg(
        "g",
        {},
        text(x, 12, row),
        move(x, 49, mark(frame, settings, Math.min(TALL, pitch - 6))),
        ...ring(frame, settings, x, 49, pitch - 1),
        text(x, 66, frame.frame),
      );
    });
    const brackets = Array.from({ length: batch }, (_, clip) =>
      bracket(clip, settings, pitch),
    );
    const drawing = [caption(12, "row"), caption(66, "frame"), ...marks, ...brackets];
    return { drawing, height: 94 };
  }

  /* Clips below each other, their frames from left to right. */
  function grid(settings, columns) {
    const x = (frame) => LEFT + (frame + 0.5) * PITCH;
    const drawing = columns ? [caption(12, "frame")] : [];
    for (let frame = 0; frame < columns; frame += 1) {
      drawing.push(text(x(frame), 12, frame));
    }
    const top = columns ? 49 : 36;
    const rings = !dropsSteps(folding.current(settings), settings);
    for (let clip = 0; clip < settings.batch; clip += 1) {
      const bottom = top + clip * (PITCH + 2);
      drawing.push(caption(bottom - 10, `clip ${clip}`));
      for (let frame = 0; frame < Math.max(1, columns); frame += 1) {
        const place = { clip, frame };
        drawing.push(move(x(frame), bottom, mark(place, settings, TALL)));
        if (columns && rings) {
          drawing.push(...ring(place, settings, x(frame), bottom, PITCH - 2));
        }
      }
    }
    return { drawing, height: top + (settings.batch - 1) * (PITCH + 2) + 8 };
  }

  function whole(settings) {
    const found = folding.current(settings);
    if (!found) return { drawing: [], height: 0 };
    if (found.axes[0][0] === "batch · time") return strip(settings);
    const steps = found.axes[1][0] === "time" || found.name === "LSTM";
    return grid(settings, steps ? settings.time : 0);
  }

  // --- One frame in full ------------------------------------------------------------

  /* What comes in and what goes out, as {above, drawing, below}. */
  function pieces(settings) {
    const { time, units, classes } = settings;
    const frame = folding.followed(settings);
    const maps = folding.featureMaps(settings);
    const size = folding.featureCount(settings);
    const row = `row ${folding.rowOf(frame.clip, frame.frame, time)}`;
    const moment = `clip ${frame.clip}, frame ${frame.frame}`;
    const every = folding.everyStep(settings);
    const clip = every ? moment : `clip ${frame.clip}`;
    const map = (above, each) => ({
      above,
      drawing: picture(each, frame, settings, { full: 42, most: 6, step: 2.5 }),
      below: `${each.side}×${each.side}×${each.channels}`,
    });
    const bar = (above, length, below) => ({
      above,
      drawing: vector(length, 58, CLIPS[frame.clip]),
      below,
    });
    const features = `${number(size)} features`;
    const { side, channels } = settings;
    const named = `height ${side}, width ${side}, channels ${channels}`;
    return {
      clips: () => [{ ...map(moment, maps[0]), below: named }],
      fold: () => [map(moment, maps[0]), map(row, maps[0])],
      CNN: () => maps.map((each, block) => map(block ? `block ${block}` : row, each)),
      head: () => [map(row, maps.at(-1)), bar(row, size, features)],
      unfold: () => [bar(row, size, features), bar(moment, size, features)],
      LSTM: () => [
        bar(clip, size, every ? features : `${time} × ${features}`),
        bar(clip, units, `${units} units`),
      ],
      logits: () => [
        bar(clip, units, `${units} units`),
        bar(clip, classes, `${classes} logits`),
      ],
    }[folding.NAMES[settings.handOver - 1]]();
  }

  const refused = (block) => ({
    above: `block ${block}`,
    drawing: line("M-7 -18l14 14m0 -14l-14 14", "currentColor"),
    below: "too small",
  });

  function detail(settings) {
    const shown = pieces(settings);
    if (!folding.current(settings)) shown.splice(-1, 1, refused(shown.length - 1));
    const slot = Math.min(150, WIDTH / shown.length);
    const left = (WIDTH - slot * shown.length) / 2;
    return shown.map(({ above, drawing, below }, index) => {
      const x = left + (index + 0.5) * slot;
      const arrow = line(`M${left + index * slot - 6} 7h12m-4 -4l4 4l-4 4`, GREY);
      return svg(
        "g",
        {},
        text(x, 11, above),
        move(x, 80, drawing),
        text(x, 97, below),
        ...(index > 0 ? [arrow] : []),
      );
    });
  }

  // --- The explorer -----------------------------------------------------------------

  function draw(settings, change) {
    const middle = whole(settings);
    const top = HEADER + folding.NAMES.length * ROW + 14;
    const bottom = top + middle.height + (middle.height ? 14 : 0);
    const height = bottom + 102;
    const said = sentences(settings);
    const drawing = svg(
      "svg",
      {
        viewBox: `0 0 ${WIDTH} ${height}`,
        width: WIDTH,
        height,
        role: "img",
        "font-family": "sans-serif",
      },
      svg("title", {}, "Shapes in a CNN-LSTM"),
      svg("desc", {}, said[0]),
      rectangle(0, 0, WIDTH, height, { fill: BACKGROUND }),
      table(settings, change),
      move(0, top, ...middle.drawing),
      move(0, bottom, ...detail(settings)),
    );
    return { drawing, sentences: said };
  }

  const slider = (name, label, min, max, value) => ({ name, label, min, max, value });
  const choice = (name, label, options) => {
    return { name, label, options, value: options[0] };
  };

  place({
    name: "folding",
    title: "From clips to logits: the axes at each hand-over",
    controls: [
      slider("batch", "Clips (batch)", 1, 3, 2),
      slider("time", "Frames (time)", 1, 6, 5),
      choice("length", "Time length", ["known", "unknown"]),
      slider("side", "Frame side", 4, 64, 32),
      slider("channels", "Channels", 1, 4, 1),
      slider("blocks", "CNN blocks", 1, 4, 2),
      slider("filters", "Filters", 1, 32, 16),
      choice("head", "Head of the CNN", ["Flatten", "average pool"]),
      slider("units", "LSTM units", 1, 64, 32),
      choice("sequences", "return_sequences", ["False", "True"]),
      slider("classes", "Classes", 2, 10, 8),
      slider("handOver", "Hand-over (of 7)", 1, 7, 2),
    ],
    limit: (settings) => ({
      handOver: { min: 1, max: Math.max(3, folding.handOvers(settings).length) },
    }),
    draw,
  });
})();
