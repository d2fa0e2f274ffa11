/* A button under each animation that stops it, and lets it play again from the start. */
"use strict";

const lessMotion = matchMedia("(prefers-reduced-motion: reduce)");

for (const picture of document.querySelectorAll("picture.animation")) {
  const image = picture.querySelector("img");
  const moving = image.src;
  const still = picture.querySelector("source");
  const button = document.createElement("button");
  button.className = "animation-button";

  const show = (plays) => {
    still.media = plays ? "not all" : "all";
    image.src = moving;
    button.textContent = plays ? "Stop" : "Play";
    button.onclick = () => show(!plays);
  };

  show(!lessMotion.matches);
  lessMotion.addEventListener("change", () => show(!lessMotion.matches));
  picture.after(button);
}
