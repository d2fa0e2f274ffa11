/* Servers refuse long addresses, and a traceback ends with its message: ask for it. */
"use strict";

document.addEventListener("formdata", ({ formData }) => {
  const LONGEST = 3000;
  if (formData.has("q")) formData.set("q", formData.get("q").slice(-LONGEST));
});
