/* Show the book's entries for a pasted error message above the results of Sphinx. */
"use strict";

(() => {
  const CLINIC = 3; // entries of the error clinic at most
  const CHAPTERS = 2;
  // What Sphinx says when no page holds all words.
  const NOTHING =
    "Your search did not match any documents. Please make sure that all words are " +
    "spelled correctly and that you've selected enough categories.";

  const create = (tag, properties) =>
    Object.assign(document.createElement(tag), properties);

  const itemOf = (entry) => {
    const link = create("a", { href: entry.link, textContent: entry.title });
    // Sphinx would mark every word of the message in the page behind the link.
    link.addEventListener("click", () =>
      localStorage.removeItem("sphinx_highlight_terms"),
    );
    const summary = create("p", { className: "context", textContent: entry.summary });
    const item = document.createElement("li");
    item.append(link, summary);
    return item;
  };

  const show = (entries) => {
    const heading = create("h2", { textContent: "Error messages that fit" });
    const list = create("ul", { className: "search" });
    list.append(...entries.map(itemOf));
    const section = create("section", { id: "found-messages" });
    section.append(heading, list);
    document.getElementById("search-results").before(section);
  };

  /** There are no categories to select, as Sphinx would have it. */
  const adviseFewerWords = () =>
    Object.assign(Documentation.TRANSLATIONS, {
      [NOTHING]: "No page holds all of these words. Try fewer, or other ones.",
    });

  /** Let Sphinx speak of both: when it finds nothing itself, that is no failure. */
  const reword = (count) =>
    Object.assign(Documentation.TRANSLATIONS, {
      "Search Results": "In the whole book",
      "Search finished, found ${resultCount} page(s) matching the search query.":
        `Messages that fit: ${count}. Pages with all of these words: \${resultCount}.`,
      [NOTHING]: `Messages that fit: ${count}. No page holds all of these words.`,
    });

  /** Have screen readers say how the search ended. */
  const announce = () => {
    const { status } = Search;
    if (!status) return; // nothing was asked
    status.setAttribute("role", "status");
    // Only a change is spoken, and Sphinx may have come to its end already.
    const text = status.textContent;
    status.textContent = "";
    if (text) setTimeout(() => (status.textContent = text), 100);
  };

  const query = new URLSearchParams(location.search).get("q") || "";
  const found = rankMessages(query);
  const entries = [
    ...found.filter((entry) => entry.clinic).slice(0, CLINIC),
    ...found.filter((entry) => !entry.clinic).slice(0, CHAPTERS),
  ];
  if (entries.length > 0) {
    show(entries);
    reword(entries.length);
  } else {
    adviseFewerWords();
  }
  // After Sphinx, which starts its search at the same event.
  document.addEventListener("DOMContentLoaded", announce);
})();
