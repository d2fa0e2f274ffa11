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
    const { min, max } = control;
    // A browser that went back would fill in what was chosen, without a word to us.
    const input = control.options
      ? html("select", { autocomplete: "off" })
      : html("input", { type: "range", min, max, step: 1, autocomplete: "off" });
    // Not an <output>: the label would name that, and leave the input without a name.
    const output = html("strong", { "aria-hidden": true });
    input.addEventListener("input", () => {
      const value = control.options ? input.value : Number(input.value);
      change({ [control.name]: value });
    });
    const label = html("label", {}, html("span", {}, control.label, " ", output), input);

    function offer(options) {
      const offered = Array.from(input.options, ({ value }) => value);
      if (offered.join() !== options.join()) {
        input.replaceChildren(...options.map((option) => new Option(option)));
      }
    }

    function show() {
      input.value = settings[control.name];
      output.textContent = control.options ? "" : input.value;
    }
    return { label, input, offer, show };
  }

  /* Build an explorer: {name, title, controls, limit, buttons, draw}.

     draw(settings, change) returns {drawing, sentences}: an SVG element with a viewBox,
     and strings or elements. change({name: value}) is for what is touched in the drawing.
     limit(settings), if given, returns {name: {min, max}} for sliders whose range
     depends on other settings, and {name: {options}} for such choices; values outside
     are brought back into it. A button is {label, press}, where press(settings) returns
     the settings that it changes. */
  function build({ name, title, controls, limit = () => ({}), buttons = [], draw }) {
    const settings = Object.fromEntries(controls.map(({ name, value }) => [name, value]));
    const fields = controls.map((control) => field(control, settings, change));
    const stage = html("div", { class: "explorer-stage" });
    const result = html("div", { class: "explorer-result", role: "status" });

    function change(values) {
      Object.assign(settings, values);
      const limits = limit(settings);
      controls.forEach((control, index) => {
        const { min, max, options } = limits[control.name] ?? control;
        if (options) {
          fields[index].offer(options);
          if (!options.includes(settings[control.name])) {
            settings[control.name] = options[0];
          }
        } else {
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

    const parts = fields.map(({ label }) => label);
    for (const { label, press } of buttons) {
      const button = html("button", { type: "button" }, label);
      button.addEventListener("click", () => change(press(settings)));
      parts.push(button);
    }

    change({});
    const heading = html("p", { class: "explorer-title", id: `${name}-title` }, title);
    return html(
      "section",
      { class: "explorer", id: `explorer-${name}`, "aria-labelledby": heading.id },
      heading,
      html("div", { class: "explorer-controls" }, ...parts),
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
