/* A field above a long table: it keeps the rows that fit what is typed or pasted. */
"use strict";

(() => {
  const { src } = document.currentScript;
  const place = document.querySelector(".filter-table");
  const table = document.querySelector("article section section table");
  const rows = [...table.tBodies[0].rows];
  const isGroup = (row) => !row.querySelector("a");
  const entries = rows.filter((row) => !isGroup(row));
  // Of the messages, unlike the symptoms, an index knows what stands in them besides.
  const ofMessages = rows.length > entries.length;

  const create = (tag, properties) =>
    Object.assign(document.createElement(tag), properties);

  const field = create("input", { id: "filter-table", type: "search" });
  field.autocomplete = "off";
  field.spellcheck = false;
  const label = create("label", { htmlFor: field.id });
  label.textContent = ofMessages ? "Your message" : "What you see";
  const status = document.createElement("p");
  status.setAttribute("role", "status");
  place.append(label, field, status);

  /** Load what ranks messages, once it is needed. */
  const load = (name) =>
    new Promise((loaded) => {
      const script = create("script", { src: new URL(name, src).href, onload: loaded });
      document.head.append(script);
    });
  let ready;
  const prepare = () => {
    ready ||= ofMessages
      ? load("message_index.js").then(() => load("rank_messages.js"))
      : Promise.resolve();
    return ready;
  };

  const anchorOf = (row) => row.querySelector("a").hash;
  const byRank = (text) => {
    if (!ofMessages) return [];
    const anchors = rankMessages(text).map(({ link }) => `#${link.split("#")[1]}`);
    const found = anchors.map((a) => entries.find((row) => anchorOf(row) === a));
    return found.filter(Boolean);
  };
  const byWords = (text) => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    return entries.filter((row) => {
      const content = row.textContent.toLowerCase();
      return words.every((word) => content.includes(word));
    });
  };

  const say = (count) => {
    if (count === rows.length) return "";
    if (count === 0) return "No row fits. Try fewer words, or the search of the book.";
    return count === 1 ? "1 row fits." : `${count} rows fit.`;
  };

  const show = (kept) => {
    for (const row of rows) row.hidden = !kept.includes(row);
    table.tBodies[0].append(...kept, ...rows.filter((row) => row.hidden));
    status.textContent = say(kept.length);
  };

  const filter = async () => {
    await prepare();
    const text = field.value.trim();
    show(text ? [...new Set([...byRank(text), ...byWords(text)])] : rows);
  };

  field.addEventListener("focus", prepare);
  field.addEventListener("input", filter);
  field.addEventListener("keydown", async (event) => {
    if (event.key !== "Enter") return;
    await filter();
    const first = table.tBodies[0].rows[0];
    if (field.value.trim() && !first.hidden) first.querySelector("a").click();
  });
})();
