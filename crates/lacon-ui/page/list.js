"use strict";
// The list of runs: filter, sort, pick two. Only the lines that are seen are in the document.

const LINE = 34;
const list = { runs: [], sort: "began", down: true, text: "", status: "", model: "", picked: [] };

const COLUMNS = [
  { key: "title", name: "Run", left: true }, { key: "began", name: "Began" }, { key: "wall_s", name: "Time" },
  { key: "tokens", name: "Tokens" }, { key: "cost", name: "Cost" }, { key: "calls", name: "Calls" },
  { key: "errors", name: "Errors" }, { key: "grade", name: "Grade" }, { key: "status", name: "Status, model", left: true },
];

function shownRuns() {
  const words = list.text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = list.runs.filter((run) => {
    const text = `${run.title} ${run.file} ${run.models.join(" ")} ${run.status} ${run.form}`.toLowerCase();
    return words.every((word) => text.includes(word))
      && (!list.status || (list.status === "failed" ? run.errors > 0 || run.passed === false : list.status === "live" ? run.live : run.errors === 0 && run.passed !== false && !run.live))
      && (!list.model || run.models.includes(list.model));
  });
  const key = list.sort;
  // What is not recorded stands last in both orders.
  const rank = (run) => (run[key] === null || run[key] === undefined || run[key] === "" ? null : run[key]);
  found.sort((a, b) => {
    const [x, y] = [rank(a), rank(b)];
    if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1;
    const order = typeof x === "number" ? x - y : String(x).localeCompare(String(y));
    return list.down ? -order : order;
  });
  return found;
}

async function listView(main) {
  const draw = () => {
    const found = shownRuns();
    told.textContent = `${count(found.length)} of ${count(list.runs.length)} runs`;
    both.disabled = list.picked.length !== 2;
    body.style.height = found.length * LINE + "px";
    grid.setAttribute("aria-rowcount", found.length + 1);
    const from = Math.max(0, Math.floor(grid.scrollTop / LINE) - 6);
    const to = Math.min(found.length, from + Math.ceil((grid.clientHeight || 700) / LINE) + 12);
    body.replaceChildren(...found.slice(from, to).map((run, i) => line(run, from + i)));
    body.append(...(found.length ? [] : [el("div", { class: "empty" }, list.runs.length ? "No run matches." : "No trace in this folder yet. Runs appear here by themselves.")]));
    if (!found.length) body.style.height = "auto";
    for (const [i, head] of [...heads.children].slice(1).entries()) {
      head.setAttribute("aria-sort", COLUMNS[i].key === list.sort ? (list.down ? "descending" : "ascending") : "none");
    }
  };
  const line = (run, i) => {
    const picked = list.picked.includes(run.id);
    const grade = run.passed === false ? "bad" : run.passed ? "good" : null;
    const cell = (text, look, title) => el("div", { role: "cell", class: look, title }, text);
    return el("div", { class: picked ? "line picked" : "line", role: "row", "aria-rowindex": i + 2, style: { top: i * LINE + "px" } },
      el("div", { role: "cell" }, el("input", { type: "checkbox", "aria-label": "compare " + visible(run.title), checked: picked, onchange: (event) => {
        list.picked = event.target.checked ? [...list.picked, run.id].slice(-2) : list.picked.filter((id) => id !== run.id);
        draw();
      } })),
      el("div", { role: "cell", class: "l", title: visible(run.file) }, el("a", { href: address("#/run/" + run.id) }, visible(run.title))),
      cell(moment(run.began)), cell(seconds(run.wall_s)), cell(tokensOf(run)), cell(money(run.cost), null, run.cost_is_list_price ? "at list prices" : "by the source"),
      cell(count(run.calls)), cell(count(run.errors), run.errors ? "bad" : null), cell(gradeOf(run), grade),
      cell([run.live ? el("span", { class: "live" }) : null, visible(run.status), " ", el("span", { class: "soft" }, visible(run.models.join(", ")))], "l", visible(run.models.join(", "))));
  };
  const search = el("input", { type: "search", placeholder: "Search runs, models, files", "aria-label": "Search runs", oninput: (event) => { list.text = event.target.value; grid.scrollTop = 0; draw(); } });
  search.value = list.text;
  const option = (value, name, now) => el("option", { value, selected: value === now }, name);
  const models = el("select", { "aria-label": "Model", onchange: (event) => { list.model = event.target.value; draw(); } });
  const status = el("select", { "aria-label": "Status", onchange: (event) => { list.status = event.target.value; draw(); } },
    option("", "every status", list.status), option("good", "without errors", list.status), option("failed", "with errors", list.status), option("live", "running now", list.status));
  const both = el("button", { disabled: true, onclick: () => go(`#/compare/${list.picked[0]}/${list.picked[1]}`) }, "Compare two");
  const told = el("span", { class: "soft", role: "status" });
  const heads = el("div", { class: "head", role: "row" }, el("div", { role: "columnheader" }, el("span", { class: "skip" }, "pick")),
    COLUMNS.map((column) => el("div", { role: "columnheader", class: column.left ? "l" : null }, el("button", { onclick: () => {
      list.down = list.sort === column.key ? !list.down : column.key !== "title";
      list.sort = column.key;
      draw();
    } }, column.name))));
  const body = el("div", { class: "body", role: "rowgroup" });
  const grid = el("div", { class: "grid", role: "table", "aria-label": "Runs", tabindex: 0, style: { maxHeight: "calc(100vh - 15rem)" }, onscroll: () => requestAnimationFrame(draw) },
    el("div", { role: "rowgroup" }, heads), body);
  const unread = el("div");
  fill(main, el("h1", {}, "Runs"), el("div", { class: "tools" }, search, status, models, both, told), grid, unread);
  const load = async () => {
    const found = await api("runs");
    list.runs = found.runs;
    list.picked = list.picked.filter((id) => found.runs.some((run) => run.id === id));
    document.querySelector(".where").textContent = visible(found.folder);
    const names = [...new Set(found.runs.flatMap((run) => run.models))].sort();
    fill(models, option("", "every model", list.model), ...names.map((name) => option(name, visible(name), list.model)));
    fill(unread, ...(found.unread.length ? [el("details", {}, el("summary", { class: "soft" }, `Files that were not read: ${count(found.unread.length)}`),
      table([{ name: "File", left: true, wrap: true }, { name: "Why", left: true, wrap: true }], found.unread.slice(0, 500).map((file) => [visible(file.file), visible(file.why)]), "Files that were not read"))] : []));
    draw();
  };
  await load();
  return { runs: load, resize: draw };
}

async function shapesView(main) {
  const load = async () => {
    const found = await api("runs");
    const byId = new Map(found.runs.map((run) => [run.id, run]));
    fill(main, el("h1", {}, "Shapes"), el("p", { class: "soft" }, "Runs with the same nodes, tools and models, those with the most seconds in all first."),
      ...found.groups.map((group) => {
        const runs = group.runs.map((id) => byId.get(id)).filter(Boolean);
        const slow = [...runs].sort((a, b) => b.wall_s - a.wall_s).slice(0, 5);
        const share = (x) => x === undefined || x === null ? none : `${Math.round(x * 100)} %`;
        const cells = (part) => [visible(part.name), count(part.n), seconds(part.p50_s), seconds(part.p90_s), count(part.p50_tokens), money(part.cost_usd), `${count(part.n_failed)} (${share(part.failed[0])} to ${share(part.failed[1])})`, share(part.variance)];
        const names = (what) => [{ name: what, left: true }, "Times", "p50", "p90", "Tokens p50", "Cost", "Failed (95 %)", "Of the variance"];
        return section(visible(group.models.join(", ") || "no model recorded"),
          el("p", { class: "soft" }, visible(group.shape.slice(0, 12).join(", ") + (group.shape.length > 12 ? ", \u2026" : ""))),
          el("dl", { class: "figures" }, figure("Runs", count(runs.length), group.failed ? count(group.failed) + " with errors" : "none with errors"), figure("Median time", seconds(group.median_s), "p90 " + seconds(group.p90_s)),
            figure("Median tokens", count(group.median_tokens)), figure("Cost of all", money(group.cost))),
          histogram(runs.map((run) => run.wall_s)),
          el("p", {}, "Slowest: ", slow.map((run, i) => [i ? ", " : "", el("a", { href: address("#/run/" + run.id) }, `${visible(run.title)} (${seconds(run.wall_s)})`)])),
          group.nodes.length ? el("details", { open: found.groups.length < 3 }, el("summary", {}, "Nodes"), table(names("Node"), group.nodes.map(cells), "Nodes of this shape"),
            group.calls.length ? table(names("Model"), group.calls.map(cells), "Calls of each model") : null) : null);
      }),
      found.groups.length ? null : el("div", { class: "empty" }, "No trace in this folder yet."));
  };
  await load();
  return { runs: load };
}

/** How many runs took how long. */
function histogram(values) {
  if (values.length < 3) return null;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const n = Math.min(30, Math.max(6, Math.ceil(Math.sqrt(values.length))));
  const bins = new Array(n).fill(0);
  for (const value of values) bins[Math.min(n - 1, Math.floor((value - low) / (high - low || 1) * n))] += 1;
  const most = Math.max(...bins);
  return el("div", {}, el("div", { class: "bins", role: "img", "aria-label": `Times of ${values.length} runs, from ${seconds(low)} to ${seconds(high)}`, style: { display: "flex", alignItems: "flex-end", height: "56px", gap: "2px" } },
    bins.map((value) => el("i", { class: "k-model", style: { flex: "1", height: (value ? 4 + 52 * value / most : 0) + "px", borderRadius: "2px 2px 0 0" } }))),
    el("div", { class: "soft", style: { display: "flex", justifyContent: "space-between" } }, el("span", {}, seconds(low)), el("span", {}, seconds(high))));
}
