/* Which messages of the book fit a text that a reader pasted into the search field? */
"use strict";

const rankMessages = (() => {
  // A test holds this border: real messages fit with more, also with the reader's own
  // names and numbers, and ordinary questions with less.
  const ENOUGH = 7;

  // These messages of Python say nothing without the name, so it joins the last word.
  const NAMED = /\b(attribute|argument|named) '(\w+)/g;
  const LABEL = /\b(layer|name|input) (['"]).*?\2/g; // a layer's name is the reader's
  const COUNTER = /_\d+(?=_|\b)/g; // Keras numbers its layers: conv1d_1
  const SHAPE = /[([](?:none|\?|\d+)(?:, ?(?:none|\?|\d+))*,?[)\]]/g;
  // Numbers are the reader's too, but for those of axes, and for a 1, which is often
  // the fault itself: an axis of length 1, one input in place of two, a label of -1.
  const WORD = /\w*ndim=\d|-?\b1\b|[a-z_]\w*/g;

  /** Return i for an axis of length 1, n for another length, b for none. */
  const letterOf = (size) => {
    if (size === "1") return "i";
    return /\d/.test(size) ? "n" : "b";
  };

  /** Write each shape as a word: a letter for each axis, or that the shape recurs. */
  const nameShapes = (text) => {
    let last;
    return text.replace(SHAPE, (shape) => {
      const letters = shape.match(/none|\?|\d+/g).map(letterOf).join("");
      const word = shape === last ? "axesagain" : `axes${letters}`;
      last = shape;
      return ` ${word} `;
    });
  };

  /** Return the words of a message, without what is the reader's own. */
  const wordsOf = (text) => {
    const common = nameShapes(text.toLowerCase())
      .replace(NAMED, "$1_$2 $2")
      .replace(LABEL, "$1 ")
      .replace(COUNTER, " ");
    const words = common.match(WORD) || [];
    return words.map((word) => word.replace(/([a-z])\d+$/, "$1")); // float32, str256
  };

  /** Forget how many axes are expected, and which axes have no length. */
  const loosen = (word) =>
    word.startsWith("axes") ? word.replace(/b/g, "n") : word.replace(/=\d$/, "");

  const withPairs = (words) => [
    ...words,
    ...words.slice(1).map((word, i) => `${words[i]} ${word}`),
  ];

  /** Return what is compared: words, and which word follows which. */
  const featuresOf = (text) => {
    const words = wordsOf(text);
    return new Set([...withPairs(words), ...withPairs(words.map(loosen))]);
  };

  const known = ERROR_MESSAGES.map((entry) => ({
    entry,
    title: featuresOf(entry.title),
    wordings: entry.wordings.map((wording) => [...featuresOf(wording)]),
  }));

  const holders = new Map(); // how many entries hold a feature
  for (const { wordings } of known)
    for (const feature of new Set(wordings.flat()))
      holders.set(feature, (holders.get(feature) || 0) + 1);

  const weigh = (features) =>
    features.reduce((sum, name) => sum + Math.log(known.length / holders.get(name)), 0);

  /** How well a text fits a wording: much is shared, and little of it is missing. */
  const fit = (features, wording) => {
    const shared = weigh(wording.filter((feature) => features.has(feature)));
    return shared * (shared / weigh(wording)) ** 2;
  };

  /** The best wording counts; the others decide between equals. */
  const score = (features, { wordings }) => {
    const fits = wordings.map((wording) => fit(features, wording));
    return Math.max(...fits) + fits.reduce((sum, one) => sum + one, 0) / 100;
  };

  /** A name from code is no ordinary word: alone it finds the titles that hold it. */
  const isNamed = (words, { title }) =>
    words.some((word) => word.includes("_")) && words.every((word) => title.has(word));

  /** Return the entries that fit: the best first, those of the clinic before others. */
  return (text) => {
    const words = wordsOf(text);
    const features = featuresOf(text);
    return known
      .map((one) => ({ ...one, score: score(features, one) }))
      .filter((one) => one.score > ENOUGH || isNamed(words, one))
      .sort((a, b) => b.entry.clinic - a.entry.clinic || b.score - a.score)
      .map((one) => one.entry);
  };
})();
