/* Paper is white: print in the light theme, whichever the reader has chosen. */
"use strict";

(() => {
  const page = document.documentElement.dataset;
  let chosen;

  addEventListener("beforeprint", () => {
    chosen = page.theme;
    page.theme = "light";
  });
  addEventListener("afterprint", () => {
    page.theme = chosen;
  });
})();
