/* What the explorers share.

   An explorer is a function from settings to a drawing and a few sentences. It takes the
   place of its static figure on the page, which stays where no script runs: in Jupyter,
   in the PDF, in a browser without JavaScript. */
"use strict";

window.explorers = (() => {
  const SVG = "http://www.w3.org/2000/svg";

  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  }

  /* An HTML element; children are elements or strings. */
  function html(name, attributes = {}, ...children) {
    return fill(document.createElement(name), attributes, children);
  }

  /* An SVG element. */
  function svg(name, attributes = {}, ...children) {
    return fill(document.createElementNS(SVG, name), attributes, children);
  }

  /* A slider is {name, label, min, max, value}, a choice {name, label, options, value}. */
  function field(control, settings, change) {
    const input = control.options
      ? html("select", {}, ...control.options.map((option) => new Option(option)))
      : html("input", { type: "range", min: control.min, max: control.max, step: 1 });
    // Not an <output>: the label would name that, and leave the input without a name.
    const output = html("strong", { "aria-hidden": true });
    input.addEventListener("input", () => {
      const value = control.options ? input.value : Number(input.value);
      change({ [control.name]: value });
    });
    const label = html("label", {}, html("span", {}, control.label, " ", output), input);

    function show() {
      input.value = settings[control.name];
      output.textContent = control.options ? "" : input.value;
    }
    return { label, input, show };
  }

  /* Build an explorer: {name, title, controls, limit, draw}.

     draw(settings, change) returns {drawing, sentences}: an SVG element with a viewBox,
     and strings. change({name: value}) is for what the reader touches in the drawing.
     limit(settings), if given, returns {name: {min, max}} for sliders whose range
     depends on other settings; values outside are brought back into it. */
  function build({ name, title, controls, limit = () => ({}), draw }) {
    const settings = Object.fromEntries(controls.map(({ name, value }) => [name, value]));
    const fields = controls.map((control) => field(control, settings, change));
    const stage = html("div", { class: "explorer-stage" });
    const result = html("div", { class: "explorer-result", role: "status" });

    function change(values) {
      Object.assign(settings, values);
      const limits = limit(settings);
      controls.forEach((control, index) => {
        const { min, max } = limits[control.name] ?? control;
        if (!control.options) {
          fields[index].input.min = min;
          fields[index].input.max = max;
          settings[control.name] = Math.min(max, Math.max(min, settings[control.name]));
        }
        fields[index].show();
      });
      const { drawing, sentences } = draw(settings, change);
      stage.replaceChildren(drawing);
      result.replaceChildren(...sentences.map((sentence) => html("p", {}, sentence)));
    }

    change({});
    const heading = html("p", { class: "explorer-title", id: `${name}-title` }, title);
    return html(
      "section",
      { class: "explorer", id: `explorer-${name}`, "aria-labelledby": heading.id },
      heading,
      html("div", { class: "explorer-controls" }, ...fields.map(({ label }) => label)),
      stage,
      result,
    );
  }

  /* Put an explorer in the place of the figure _images/<name>.svg, where there is one. */
  function place(explorer) {
    const figure = document.querySelector(`img[src$="_images/${explorer.name}.svg"]`);
    figure?.replaceWith(build(explorer));
  }

  return { build, html, place, svg };
})();
