/* Looks up what is known of a choice, says in words what the drawing shows, and puts the
   explorer on the page. */
"use strict";

(() => {
  const { ANSWERS, HEADS, LABELS, LOSSES, TASKS, TEXTS, draw } = explorers.targets;
  const { html } = explorers;
  const FIRST = "one of four classes";

  const VERDICTS = {
    fits: "This fits.",
    runs: "This runs, but another loss suits better.",
    raises: "Keras raises an error.",
    warns: "This trains with a warning.",
    silent: "This trains without a word, but wrong.",
  };
  const AFTERWARDS = {
    binary: "sigmoid",
    categorical: "softmax",
    sparse: "softmax",
  };

  function fitting(task) {
    const { labels, heads, loss } = TASKS[task];
    return { labels: labels[0], head: heads[0], loss };
  }

  /* Look up the chosen {labels, head, loss}, given by their names. */
  function judge(chosen) {
    const row = Object.keys(LOSSES).indexOf(chosen.loss);
    const answer = ANSWERS[`${chosen.labels} / ${chosen.head}`][row];
    const [verdict, metric, message, entry, ...found] = answer.map((i) => TEXTS[i]);
    return {
      chosen,
      labels: LABELS[chosen.labels],
      head: HEADS[chosen.head],
      loss: LOSSES[chosen.loss],
      verdict,
      metric,
      message,
      entry,
      codes: found.filter((code, i) => code && i % 2 === 0),
      reasons: found.filter((_, i) => i % 2 === 1),
    };
  }

  const code = (content) => html("code", { class: "literal" }, content);

  function sentence(...parts) {
    return html("span", {}, ...parts);
  }

  function afterwards({ head, loss }) {
    const activation = AFTERWARDS[loss.kind];
    if (!activation) return ".";
    if (head.activation) return "; the predictions are probabilities already.";
    return `; ${activation} turns a prediction into probabilities.`;
  }

  function link({ entry, verdict }) {
    const page = verdict === "raises" ? "error_clinic" : "silent_faults";
    const href = `../reference/${page}.html#${entry}`;
    return entry ? [" ", html("a", { href }, "More in the error clinic.")] : [];
  }

  /* What Keras says; an error of a batch stands below another line. */
  function heard({ message, verdict }) {
    if (!message) return [];
    const late = verdict === "raises" && !/^(Arg|Dim)/.test(message);
    const where = late ? "Below “Graph execution error”" : "In the words of Keras";
    return [sentence(`${where}: `, code(message))];
  }

  function found(judged) {
    const { codes } = judged;
    if (!codes.length) return [];
    const names = codes.flatMap((name, i) => [i ? " and " : " ", code(name)]);
    const parts = [code("check_targets"), " finds", ...names, ".", ...link(judged)];
    return [sentence(...parts)];
  }

  function advice(task) {
    const { chosen, loss, metric } = judge(fitting(task));
    return sentence(
      `What fits this task: ${chosen.labels.split(":")[0]} as labels, `,
      code(chosen.head),
      " as head, ",
      code(loss.code),
      " as loss and ",
      code(metric),
      " as metric.",
    );
  }

  function sentences(settings, judged) {
    const { metric, reasons, verdict } = judged;
    const opening = html("strong", {}, VERDICTS[verdict]);
    if (verdict === "fits") {
      return [sentence(opening, " Its metric is ", code(metric), afterwards(judged))];
    }
    const first = sentence(opening, " ", reasons.join(" "));
    return [first, ...heard(judged), ...found(judged), advice(settings.task)];
  }

  Object.assign(explorers.targets, { fitting, judge });

  explorers.place({
    name: "targets",
    title: "Do labels, head and loss fit together?",
    controls: [
      { name: "task", label: "Task", options: Object.keys(TASKS), value: FIRST },
      { name: "labels", label: "Labels", options: TASKS[FIRST].labels },
      { name: "head", label: "Head", options: TASKS[FIRST].heads },
      {
        name: "loss",
        label: "Loss",
        options: Object.keys(LOSSES),
        value: TASKS[FIRST].loss,
      },
    ],
    limit: ({ task }) => ({
      labels: { options: TASKS[task].labels },
      head: { options: TASKS[task].heads },
    }),
    buttons: [{ label: "Show what fits", press: ({ task }) => fitting(task) }],
    draw(settings) {
      const judged = judge(settings);
      return { drawing: draw(judged), sentences: sentences(settings, judged) };
    },
  });
})();
