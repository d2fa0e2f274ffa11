/* Sphinx takes the word "constructor" for one of its index, and stops. */
"use strict";

for (const part of ["terms", "titleterms"]) {
  const own = { __proto__: null, hasOwnProperty: Object.prototype.hasOwnProperty };
  Object.setPrototypeOf(Search._index[part], own);
}
