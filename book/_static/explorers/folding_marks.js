/* The marks of the explorer `folding`: a frame, its feature maps, its vector, words.

   Marks stand on the point (0, 0) and are moved into their places. */
"use strict";

explorers.foldingMarks = (() => {
  const { svg } = explorers;
  const BACKGROUND = "var(--pst-color-background, #ffffff)";
  const GREY = "var(--book-grey, #6b7280)";
  // A clip has a colour, and always its number beside it.
  const CLIPS = [
    "var(--book-blue, #0072b2)",
    "var(--book-vermilion, #d55e00)",
    "var(--book-green, #009e73)",
  ];

  function text(x, y, words, { anchor = "middle", weight = "normal" } = {}) {
    const style = `font-size: 12px; font-weight: ${weight}`;
    return svg("text", { x, y, "text-anchor": anchor, style }, String(words));
  }

  const move = (x, y, ...children) =>
    svg("g", { transform: `translate(${x} ${y})` }, ...children);

  const rectangle = (x, y, width, height, attributes) =>
    svg("rect", { x, y, width, height, ...attributes });

  const line = (d, stroke) => svg("path", { d, stroke, fill: "none" });

  /* A ball moves from frame to frame, in each clip another way. */
  function ball({ clip, frame }, width, time) {
    const way = (frame + 1) / (time + 1);
    const [across, down] = [[way, 0.65], [0.35, way], [way, 1 - way]][clip];
    return svg("circle", {
      cx: (across - 0.5) * width,
      cy: (down - 1) * width,
      r: Math.max(0.8, width / 8),
      fill: CLIPS[clip],
    });
  }

  /* A frame or its feature maps, as at most `most` sheets behind each other. */
  function picture(map, frame, settings, { full, most, step }) {
    const width = Math.max(4, (full * map.side) / settings.side);
    const sheets = Math.min(map.channels, most);
    const shape = { fill: BACKGROUND, stroke: CLIPS[frame.clip], "stroke-width": 1.25 };
    const faces = Array.from({ length: sheets }, (_, index) => {
      const offset = (sheets - 1 - index) * step;
      return rectangle(offset - width / 2, -width - offset, width, width, shape);
    });
    return svg("g", {}, ...faces, ball(frame, width, settings.time));
  }

  /* A vector as a bar of cells: the more numbers, the longer. Dashed: not returned. */
  function vector(size, full, stroke, dashed = false) {
    const cells = Math.min(12, 2 + Math.round(Math.log2(size)));
    const shape = { fill: BACKGROUND, stroke, "stroke-width": 1.25 };
    if (dashed) shape["stroke-dasharray"] = "1.5 1.5";
    const height = full / 12;
    const boxes = Array.from({ length: cells }, (_, index) =>
      rectangle(-5, -(index + 1) * height, 10, height, shape),
    );
    return svg("g", {}, ...boxes);
  }

  return { BACKGROUND, CLIPS, GREY, line, move, picture, rectangle, text, vector };
})();
