/* What the explorer `folding` says of a hand-over: what is done, the shape, the
   parameters, the usual mistake. */
"use strict";

explorers.foldingWords = (() => {
  const { folding } = explorers;

  const number = (value) => value.toLocaleString("en-GB");
  const count = (value, word) => `${number(value)} ${word}${value === 1 ? "" : "s"}`;
  const tuple = (sizes) => `(${sizes.join(", ")}${sizes.length === 1 ? "," : ""})`;
  const nameShape = (axes) =>
    `(${axes.map(([axis, size]) => `${axis} ${number(size)}`).join(", ")})`;

  // --- What is done, and the usual mistake ------------------------------------------

  function clips({ batch, time, side, channels, length }) {
    const picture = `${side}, ${side}, ${channels}`;
    const known =
      `keras.Input((${time}, ${picture})) asks for clips of ` +
      `${count(time, "frame")}; the batch may have any size.`;
    const unknown =
      `keras.Input((None, ${picture})) takes clips of any length. This batch has ` +
      `${count(batch, "clip")} of ${count(time, "frame")}.`;
    return [
      length === "known" ? known : unknown,
      `keras.Input((${picture})) has no time axis. It is one picture, and no Reshape ` +
        "finds frames in it.",
    ];
  }

  function fold(settings) {
    const { batch, time, side, channels } = settings;
    const { clip, frame } = folding.followed(settings);
    const row = folding.rowOf(clip, frame, time);
    return [
      "All frames of all clips become one batch of " +
        `${count(batch * time, "picture")}: frame ${frame} of clip ${clip} is row ` +
        `${clip} · ${time} + ${frame} = ${row}.`,
      `layers.Reshape((-1, ${side}, ${side}, ${channels})) does not fold. It leaves ` +
        "the batch axis alone, so all five axes stay. BatchApply and ops.reshape fold.",
    ];
  }

  function cnn(settings) {
    const sides = folding.featureMaps(settings).map((map) => map.side);
    const odd = sides.slice(0, -1).some((side) => side % 2 === 1);
    const loss = odd ? " Of an odd side, the last pixel is dropped." : "";
    return [
      `In each block, a Conv2D with ${count(settings.filters, "filter")} of 3 × 3 ` +
        "and “same” padding keeps the side, and MaxPooling2D(2) halves it: " +
        `${sides.join(", ")}.${loss}`,
      "to look for movement here. Each row is a picture of its own; the CNN sees no " +
        "two frames together.",
    ];
  }

  function head(settings) {
    const { side, channels } = folding.featureMaps(settings).at(-1);
    const flat = side * side * channels;
    const product =
      "height · width · channels = " +
      `${side} · ${side} · ${channels} = ${number(flat)}`;
    if (settings.head === "Flatten") {
      return [
        `Flatten writes all numbers of a frame in one line: ${product}.`,
        side === 1
          ? "to expect a difference. Of maps of 1 × 1, average pooling makes the same."
          : `to count the channels only. A frame has ${number(flat)} features, not ` +
            `${channels}, and each costs the LSTM 4 · ${settings.units} weights.`,
      ];
    }
    return [
      "GlobalAveragePooling2D keeps one number for each channel, its average over " +
        `${side} × ${side} places.`,
      side === 1
        ? "to expect a difference. Of maps of 1 × 1, Flatten makes the same."
        : "to pool where the answer depends on the place. Flatten keeps it: " +
          `${product}.`,
    ];
  }

  function unfold(settings) {
    const { time, length } = settings;
    const { clip, frame } = folding.followed(settings);
    const row = folding.rowOf(clip, frame, time);
    return [
      `Rows become clips again: row ${row} = ${clip} · ${time} + ${frame} is frame ` +
        `${frame} of clip ${clip}. ` +
        (length === "known"
          ? "Only the batch size is open, and ops.reshape finds it with -1."
          : "Batch and time are both open; BatchApply asks for them when it runs."),
      unfoldMistake(settings),
    ];
  }

  function unfoldMistake(settings) {
    const { batch, time, length } = settings;
    const features = folding.featureCount(settings);
    if (length === "unknown") {
      return (
        `ops.reshape(x, (-1, ${time}, ${features})). A clip of ${2 * time} frames ` +
        `comes out as two clips of ${time}, without an error.`
      );
    }
    if (batch === 1 || time === 1) {
      return (
        "to test with one clip or one frame. Swapped axes make no difference there; " +
        "take two of both at least."
      );
    }
    return (
      `ops.reshape(x, (${time}, ${batch}, ${features})), then swapping the axes. The ` +
      "shape is right, but clip 0 is made of rows " +
      `${folding.swappedRows(0, settings).join(", ")}: frames of different clips.`
    );
  }

  function lstm(settings) {
    const reads = `The LSTM reads the ${count(settings.time, "vector")} of a clip`;
    return folding.everyStep(settings)
      ? [
          `${reads} in order and returns its state after each: the time axis stays.`,
          "return_sequences=True for one label a clip. The logits then have a time " +
            "axis that the labels lack.",
        ]
      : [
          `${reads} in order and returns the last state: the time axis is gone.`,
          "a second LSTM behind this one. It needs three axes and would get two; " +
            "return_sequences=True keeps the third.",
        ];
  }

  function logits(settings) {
    const { batch, time, classes } = settings;
    const every = folding.everyStep(settings);
    return [
      `Dense(${classes}) makes ${classes} logits of ` +
        `${every ? "each state" : "the last state of each clip"}. Whole numbers as ` +
        `labels have the shape ${tuple(every ? [batch, time] : [batch])}.`,
      "a softmax here and from_logits=True in the loss. Leave the softmax out.",
    ];
  }

  const SAY = { clips, fold, CNN: cnn, head, unfold, LSTM: lstm, logits };

  // --- Parameters, and what can't be built ------------------------------------------

  function sayParameters(settings, { name, parameters }) {
    if (parameters === 0) return "No parameters.";
    const { units, classes } = settings;
    const blocks = folding.featureMaps(settings).slice(1);
    const whole = folding.handOvers(settings).map((each) => each.parameters);
    const [sum, remark] = {
      CNN: [
        blocks.map((block) => number(block.parameters)).join(" + "),
        "They are the same for every frame.",
      ],
      LSTM: [
        `4 · ${units} · (${number(folding.featureCount(settings))} + ${units} + 1)`,
        "They do not depend on the number of frames.",
      ],
      logits: [
        `(${units} + 1) · ${classes}`,
        `The whole model has ${number(whole.reduce((a, b) => a + b))}.`,
      ],
    }[name];
    const total = number(parameters);
    return `Parameters: ${sum === total ? "" : `${sum} = `}${total}. ${remark}`;
  }

  function sayRefusal(settings) {
    const block = folding.featureMaps(settings).length - 1;
    const { channels } = folding.featureMaps(settings).at(-2);
    return [
      `Hand-over 3 of 7, CNN, can’t be built: block ${block} would have to halve a ` +
        "frame of 1 × 1.",
      "Keras says: “Computed output size would be zero or negative. Received: " +
        `\`inputs.shape=[None 1 1 ${channels}]\`, \`pool_size=[2 2]\`, ` +
        "`strides=(2, 2)`, `padding=valid`.”",
      "Take fewer blocks or larger frames, or MaxPooling2D(2, padding='same'), which " +
        "rounds up.",
    ];
  }

  /* The sentences below the drawing, for a screen reader as well. */
  function sentences(settings) {
    const found = folding.current(settings);
    if (!found) return sayRefusal(settings);
    const { name, axes, keras } = found;
    const [done, mistake] = SAY[name](settings);
    return [
      `Hand-over ${settings.handOver} of 7, ${name}: ${nameShape(axes)}, in Keras ` +
        `${tuple(keras)}. ${done}`,
      sayParameters(settings, found),
      `Usual mistake: ${mistake}`,
    ];
  }

  return { number, sentences };
})();
