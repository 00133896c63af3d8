"use strict";
// One run: figures, waterfall, the span that is picked, what was found out.

const PARTS = [["model_s", "k-model", "model"], ["tool_s", "k-tool", "tools"], ["queue_s", "k-queue", "queue"], ["retry_s", "k-path", "retries"], ["local_s", "k-own", "local"], ["gap_s", "k-free", "gaps"]];

function partsBar(parts) {
  const whole = PARTS.reduce((sum, [key]) => sum + parts[key], 0);
  if (!(whole > 0)) return null;
  const told = PARTS.filter(([key]) => parts[key] > 0).map(([key, , text]) => `${text} ${seconds(parts[key])} (${share(parts[key], whole)})`).join(", ");
  return el("div", {}, el("div", { class: "stack", role: "img", "aria-label": "Time on the critical path: " + told },
    PARTS.map(([key, look]) => el("i", { class: look, style: { width: 100 * parts[key] / whole + "%" } }))), el("p", { class: "soft" }, told));
}

function runFigures(row, detail) {
  const look = row.passed === false ? "bad" : row.passed ? "good" : null;
  const points = detail.content.points;
  return el("dl", { class: "figures" },
    figure("Time", seconds(row.wall_s), row.live ? "so far" : null),
    figure("Tokens", tokensOf(row), row.tokens === null ? "not recorded" : [row.prompt === null ? null : `${count(row.prompt)} in, ${count(row.completion)} out`, row.calls_with_tokens < row.calls ? `of ${count(row.calls_with_tokens)} calls` : null, row.tokens_estimated ? "some are estimates" : null].filter(Boolean).join("; ")),
    figure("Cached", row.cached === null ? none : share(row.cached, row.prompt), row.cached === null ? "not recorded" : `${count(row.cached)} prompt tokens`),
    figure("Cost", money(row.cost), row.cost === null ? "not recorded" : row.cost_is_list_price ? "at list prices" : "by the source"),
    figure("Calls", count(row.calls), `${count(row.tools)} tool calls`),
    figure("Errors", count(row.errors), visible(row.status), row.errors ? "bad" : null),
    figure("Content grade", gradeOf(row), points === null ? "not judged" : points.toFixed(0) + " of 100", look));
}

async function spanPanel(panel, id, i, detail) {
  const found = await api(`runs/${id}/spans/${i}`);
  const { spans } = detail;
  const facts = [["kind", NAMES[spans.kind[i]]], ["starts", seconds(spans.start[i])], ["takes", seconds(spans.end[i] - spans.start[i])],
    ["first token", spans.first[i] === null ? null : "after " + seconds(spans.first[i] - spans.start[i])], ["model", found.model], ["role", found.role],
    ["prompt", found.tokens.prompt === null ? null : count(found.tokens.prompt) + " tokens"], ["cached", found.tokens.cached === null ? null : count(found.tokens.cached) + " tokens"],
    ["answer", found.tokens.completion === null ? null : count(found.tokens.completion) + " tokens" + (found.tokens.estimated ? " (estimated)" : "")],
    ["reasoning", found.tokens.reasoning === null ? null : count(found.tokens.reasoning) + " tokens"], ["cost", found.cost === null ? null : money(found.cost) + " by the source"],
    ["folded", found.folded ? count(found.folded) + " further spans tell of it" : null], ["waits for", found.inputs && found.inputs.length ? found.inputs.join(", ") : null]];
  const said = (shown) => [el("h3", {}, visible(shown.who || (shown.wrote ? "answer" : "prompt")), el("span", { class: "soft" }, ` ${shown.wrote ? "written" : "read"}, ${count(shown.chars)} characters`)),
    el("pre", { tabindex: 0 }, visible(shown.text), shown.text.length < shown.chars ? el("span", { class: "soft" }, "\n\u2026 the rest is in the trace") : null)];
  const attributes = Object.entries(found.attributes);
  fill(panel, el("h2", {}, visible(found.label)),
    found.error ? el("p", { class: "banner error" }, visible(found.error)) : null,
    el("dl", {}, facts.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([key, value]) => [el("dt", {}, key), el("dd", {}, visible(value))])),
    ...found.shown.flatMap(said),
    found.shown.length ? null : el("p", { class: "soft" }, detail.row.form === "own trace" && spans.kind[i] === 2 ? "No journal with this answer lies beside the trace. Lacon does not keep prompts." : "The trace holds no text of this span."),
    attributes.length ? el("details", {}, el("summary", {}, `${attributes.length} attributes`), el("dl", {}, attributes.map(([key, value]) =>
      [el("dt", {}, visible(key)), el("dd", {}, visible(typeof value === "string" ? value : JSON.stringify(value)))]))) : null);
}

async function runView(main, id) {
  let detail = await api("runs/" + id);
  const panel = el("aside", { class: "panel", hidden: true, "aria-label": "Span", "aria-live": "polite" });
  let fall;
  const show = () => {
    const { row } = detail;
    document.title = visible(row.title) + ": lacon";
    const split = el("div", { class: "split" });
    const before = fall && fall.shows;
    fall = waterfall(detail, { onpick: (i) => {
      panel.hidden = false;
      split.classList.add("open");
      spanPanel(panel, id, i, detail).catch((error) => fill(panel, el("p", { class: "banner error" }, error.message)));
      fall.draw();
    } });
    if (before && before.picked !== null) fall.shows.picked = before.picked;
    split.append(fall.fall, panel);
    const search = el("input", { type: "search", placeholder: "Search spans", "aria-label": "Search spans", oninput: (event) => fall.search(event.target.value) });
    const details = el("label", { class: "soft" }, el("input", { type: "checkbox", checked: fall.shows.own, onchange: (event) => fall.details(event.target.checked) }), " attempts and own work");
    fill(main, el("p", { class: "soft" }, visible(row.form), row.file ? " \u00b7 " + visible(row.file) : "", row.began ? " \u00b7 " + moment(row.began) : ""),
      el("h1", {}, row.live ? el("span", { class: "live" }) : null, visible(row.title)),
      row.simulated ? el("p", { class: "banner" }, "The language model of this run is simulated.") : null,
      Object.keys(detail.inputs).length ? el("p", { class: "soft" }, Object.entries(detail.inputs).slice(0, 8).map(([key, value]) => `${visible(key)}: ${visible(value).slice(0, 160)}`).join(" \u00b7 ")) : null,
      runFigures(row, detail),
      el("div", { class: "tools" }, search, el("button", { onclick: () => fall.zoom(0.5), "aria-label": "Zoom in" }, "+"), el("button", { onclick: () => fall.zoom(2), "aria-label": "Zoom out" }, "\u2212"), el("button", { onclick: () => fall.reset() }, "Whole run"),
        fall.hasDetails ? details : null, DATA ? null : el("a", { class: "button", href: `/export/${id}.html?token=${encodeURIComponent(TOKEN)}`, download: "run.html" }, "Save as one file"),
        el("span", { class: "soft" }, "Arrow keys move; + \u2212 0 or Ctrl with the wheel zoom; drag on the time axis to choose a part.")),
      split, legend(), ...findings(detail));
    requestAnimationFrame(fall.draw);
  };
  show();
  const again = async () => {
    if (!detail.row.live) return;
    detail = await api("runs/" + id);
    show();
  };
  return { runs: again, resize: () => fall.draw(), theme: () => fall.draw() };
}

function findings(detail) {
  const { content } = detail;
  const rewriteCells = (r) => [visible(r.node ?? r.at ?? none), visible(r.pass ?? none), count(r.tokens_before), count(r.tokens_after),
    r.before !== undefined && r.after !== undefined ? el("details", {}, el("summary", {}, "texts"), el("h3", {}, "before"), el("pre", {}, visible(r.before).slice(0, 20000)), el("h3", {}, "after"), el("pre", {}, visible(r.after).slice(0, 20000))) : visible(JSON.stringify(r.left_out ?? "")).slice(0, 300)];
  return [
    detail.problems.length ? section("Problems of the file", table([{ name: "Problem", left: true }, "Times", { name: "Example", left: true, wrap: true }], detail.problems.map((p) => [p.code, count(p.count), visible(p.example)]), "Problems of the file")) : null,
    section("Where the time went", partsBar(detail.parts),
      table([{ name: "Critical path", left: true }, "Starts", "Takes", "Gap before", "Share"], detail.path.map((step) => [visible(step.node), seconds(step.start_s), seconds(step.end_s - step.start_s), seconds(step.gap_s), (100 * step.share).toFixed(1) + " %"]), "Critical path")),
    detail.advice.length ? section("Advice", table([{ name: "What", left: true, wrap: true }, "Seconds", "Tokens"], detail.advice.map((a) => [visible(a.what), a.seconds === null ? none : seconds(a.seconds), count(a.tokens)]), "Advice")) : null,
    detail.nodes.length ? section(detail.n_nodes > detail.nodes.length ? `Nodes (the first ${count(detail.nodes.length)} of ${count(detail.n_nodes)})` : "Nodes",
      table([{ name: "Node", left: true }, "Starts", "Takes", "Slack", "Waits at barriers", "Calls", "Prompt", "Answers"], detail.nodes.slice(0, 500).map((n) =>
        [[n.critical ? el("b", {}, visible(n.node)) : visible(n.node), n.error ? el("span", { class: "bad" }, " failed") : null], seconds(n.start_s), seconds(n.seconds), seconds(n.slack_s), seconds(n.barrier_s), count(n.n_calls), (n.estimated ? "~" : "") + count(n.prompt), (n.estimated ? "~" : "") + count(n.completion)]), "Nodes")) : null,
    detail.repeated.length ? section("Texts in several prompts", table([{ name: "Text", left: true, wrap: true }, "Tokens", "Prompts", "Sent again"], detail.repeated.slice(0, 50).map((r) => [visible(r.text), count(r.tokens), count(r.times), count(r.wasted)]), "Texts in several prompts")) : null,
    detail.rewrites.length ? section("Rewrites", table([{ name: "Node", left: true }, { name: "Pass", left: true }, "Tokens before", "After", { name: "Left out", left: true, wrap: true }], detail.rewrites.slice(0, 300).map(rewriteCells), "Rewrites")) : null,
    content.reasons.length || content.not_judged.length ? section("Grade", el("ul", {}, content.reasons.map((r) => el("li", {}, visible(typeof r === "string" ? r : `${r.code}: \u2212${r.points} points. ${r.evidence ?? r.why ?? r.example ?? ""}`)))),
      content.not_judged.length ? el("p", { class: "soft" }, "Not judged: " + content.not_judged.map(visible).join("; ")) : null) : null,
  ];
}
