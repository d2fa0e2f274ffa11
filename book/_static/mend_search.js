/* Sphinx takes the word "constructor" for one of its index, and stops. */
"use strict";

for (const part of ["terms", "titleterms"]) {
  const own = { __proto__: null, hasOwnProperty: Object.prototype.hasOwnProperty };
  Object.setPrototypeOf(Search._index[part], own);
}

/* It gives many pages the same score: of these, that chapter comes first in which one
   heading has the most words of the question. */
{
  const stemmer = new Stemmer();
  const stems = (text) =>
    new Set(splitQuery(text.toLowerCase()).map((word) => stemmer.stemWord(word)));
  const asked = [...stems(new URLSearchParams(location.search).get("q") ?? "")];
  const { alltitles, docnames } = Search._index;
  const most = {};
  for (const [title, places] of Object.entries(alltitles)) {
    const words = stems(title);
    const shared = asked.filter((word) => words.has(word)).length;
    for (const [page] of places) {
      most[docnames[page]] = Math.max(most[docnames[page]] ?? 0, shared);
    }
  }
  const isChapter = (page) => /^notebooks\/(?!reference)/.test(page);
  Scorer.score = ([page, , , , score]) =>
    score + (isChapter(page) ? (most[page] ?? 0) / (asked.length + 1) : 0);
}
