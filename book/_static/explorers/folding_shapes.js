/* What goes through a CNN-LSTM: the arithmetic, without the document.

   A hand-over is {name, axes, keras, parameters}. The axes are pairs of name and size,
   as they are in one batch; keras is the shape that Keras writes, None where open. */
"use strict";

explorers.folding = (() => {
  const NAMES = ["clips", "fold", "CNN", "head", "unfold", "LSTM", "logits"];
  const KERNEL = 3; // pixels; blocks pad with zeros and halve by a pooling of 2

  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const everyStep = (settings) => settings.sequences === "True";

  /* A frame, and what each block makes of it; a side of 0 can't be built. */
  function featureMaps({ side, channels, blocks, filters }) {
    const maps = [{ side, channels, parameters: 0 }];
    while (maps.length <= blocks && maps.at(-1).side > 0) {
      const before = maps.at(-1);
      maps.push({
        side: Math.floor(before.side / 2),
        channels: filters,
        parameters: (KERNEL * KERNEL * before.channels + 1) * filters,
      });
    }
    return maps;
  }

  function featureCount(settings) {
    const { side, channels } = featureMaps(settings).at(-1);
    return settings.head === "Flatten" ? side * side * channels : channels;
  }

  function handOver(settings, name, axes, parameters = 0) {
    const sizes = { batch: "None", "batch · time": "None" };
    if (settings.length === "unknown") sizes.time = "None";
    const keras = axes.map(([axis, size]) => sizes[axis] ?? size);
    return { name, axes, keras, parameters };
  }

  /* The hand-overs that can be built: all seven, or the two before too deep a CNN. */
  function handOvers(settings) {
    const { batch, time, units, classes } = settings;
    const maps = featureMaps(settings);
    const clips = [["batch", batch], ["time", time]];
    const rows = [["batch · time", batch * time]];
    const picture = ({ side, channels }) => [
      ["height", side], ["width", side], ["channels", channels],
    ];
    const features = ["features", featureCount(settings)];
    const answers = everyStep(settings) ? clips : [["batch", batch]];
    const all = [
      [[...clips, ...picture(maps[0])]],
      [[...rows, ...picture(maps[0])]],
      [[...rows, ...picture(maps.at(-1))], sum(maps.map((map) => map.parameters))],
      [[...rows, features]],
      [[...clips, features]],
      [[...answers, ["units", units]], 4 * units * (features[1] + units + 1)],
      [[...answers, ["classes", classes]], (units + 1) * classes],
    ];
    const possible = maps.at(-1).side > 0 ? all : all.slice(0, 2);
    return possible.map((shape, index) => handOver(settings, NAMES[index], ...shape));
  }

  /* The hand-over that is looked at, if it can be built. */
  const current = (settings) => handOvers(settings)[settings.handOver - 1];

  /* The row of the folded batch in which a frame of a clip lies, and the way back. */
  const rowOf = (clip, frame, time) => clip * time + frame;
  const frameOf = (row, time) => ({ clip: Math.floor(row / time), frame: row % time });

  /* The rows of a clip after a reshape to (time, batch) whose axes are then swapped. */
  const swappedRows = (clip, { batch, time }) =>
    Array.from({ length: time }, (_, frame) => frame * batch + clip);

  /* The frame that is followed through the model: the third of the last clip. */
  function followed({ batch, time }) {
    return { clip: batch - 1, frame: Math.min(2, time - 1) };
  }

  return {
    NAMES,
    current,
    everyStep,
    featureCount,
    featureMaps,
    followed,
    frameOf,
    handOvers,
    rowOf,
    swappedRows,
  };
})();
