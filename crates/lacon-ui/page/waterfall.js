"use strict";
// The waterfall: names in the document, bars on a canvas. Only the rows that are seen are drawn, so a hundred thousand spans
// scroll as ten do.

const ROW = 22;
const KIND = { run: 0, node: 1, model: 2, attempt: 3, own: 4, tool: 5, echo: 6, other: 7 };
const LOOK = ["--node", "--node", "--model", "--queue", "--own", "--tool", "--free", "--free"];

/** Puts spans in the order of a tree: each below its parent, by start. */
function treeOrder(spans) {
  const n = spans.start.length;
  const below = new Map();
  for (let i = 0; i < n; i++) {
    const parent = spans.parent[i];
    const key = parent === null || parent === i ? -1 : parent;
    if (!below.has(key)) below.set(key, []);
    below.get(key).push(i);
  }
  const order = [], depth = new Int32Array(n), stack = [];
  const byStart = (a, b) => spans.start[b] - spans.start[a] || b - a;
  stack.push(...(below.get(-1) || []).sort(byStart));
  while (stack.length) {
    const i = stack.pop();
    order.push(i);
    const parts = below.get(i);
    if (!parts) continue;
    for (const part of parts) depth[part] = depth[i] + 1;
    stack.push(...parts.sort(byStart));
  }
  return { order, depth, below };
}

/** Spans whose node and times stand on the critical path. */
function criticalSpans(detail) {
  const { spans } = detail;
  const ends = new Map(detail.path.map((step) => [Math.round(step.end_s * 1e4) + step.node.split("#")[0], step]));
  const found = new Set();
  for (let i = 0; i < spans.start.length; i++) {
    const name = spans.names[spans.name[i]];
    const step = ends.get(Math.round(spans.end[i] * 1e4) + name);
    if (step && Math.abs(step.start_s - spans.start[i]) < 2e-3) found.add(i);
  }
  return found;
}

function waterfall(detail, options) {
  const { spans } = detail;
  const { order, depth, below } = treeOrder(spans);
  const critical = criticalSpans(detail);
  const wall = options.wall || Math.max(detail.row.wall_s, 1e-6);
  const state = { from: 0, to: wall, text: "", own: order.length < 400, closed: new Set(), picked: null, rows: order };
  const name = (i) => spans.names[spans.name[i]];

  const ticks = el("div", { class: "ticks", "aria-hidden": "true" });
  const axis = el("div", { class: "axis" }, el("span", {}), ticks);
  const canvas = el("canvas", { "aria-hidden": "true" });
  const rows = el("div", { class: "rows", role: "rowgroup" });
  const view = el("div", { class: "view", role: "table", tabindex: 0, "aria-label": "Waterfall of the run's spans" }, rows, canvas);
  const fall = el("div", { class: "fall" }, axis, view);

  const choose = () => {
    const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
    const hidden = new Set();
    state.rows = order.filter((i) => {
      const parent = spans.parent[i];
      if (parent !== null && (hidden.has(parent) || state.closed.has(parent))) { hidden.add(i); if (!words.length) return false; }
      const kind = spans.kind[i];
      if (!state.own && (kind === KIND.own || kind === KIND.attempt || kind === KIND.echo)) return false;
      if (!words.length) return true;
      const text = `${name(i)} ${spans.model[i] === null ? "" : spans.names[spans.model[i]]} ${NAMES[kind]} ${spans.state[i] === 2 ? "error failed" : ""}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    view.setAttribute("aria-rowcount", state.rows.length);
  };

  const draw = () => {
    const from = Math.max(0, Math.floor(view.scrollTop / ROW) - 2);
    rows.style.height = Math.max(ROW, state.rows.length * ROW) + "px";
    const height = view.clientHeight || 400;
    const to = Math.min(state.rows.length, from + Math.ceil(height / ROW) + 4);
    // Rows are made anew; the one with the focus keeps it.
    const focused = rows.contains(document.activeElement) ? document.activeElement.dataset.span : null;
    rows.replaceChildren(...state.rows.slice(from, to).map((i, k) => row(i, from + k)));
    if (focused !== null) (rows.querySelector(`[data-span="${focused}"]`) || view).focus({ preventScroll: true });
    if (!state.rows.length) rows.append(el("div", { class: "soft", style: { padding: "3px 10px" } }, "No span matches."));
    bars(from, to, height);
    scale();
  };

  const row = (i, k) => {
    const has = below.has(i);
    const sign = has ? (state.closed.has(i) ? "\u25b8 " : "\u25be ") : "\u2002 ";
    const look = ["row", critical.has(i) && "critical", spans.kind[i] > 2 && spans.kind[i] !== KIND.tool && "dim", state.picked === i && "picked"].filter(Boolean).join(" ");
    return el("div", { class: look, role: "row", "aria-rowindex": k + 1, style: { top: k * ROW + "px" } },
      el("div", { role: "cell", style: { minWidth: 0, display: "grid" } }, el("button", {
        "data-span": i, style: { paddingLeft: Math.min(depth[i], 12) * 12 + 6 + "px" }, title: visible(name(i)), tabindex: state.picked === i || (state.picked === null && k === 0) ? 0 : -1,
        "aria-expanded": has ? String(!state.closed.has(i)) : null, onclick: () => pick(i),
        ondblclick: () => { if (has) { fold(i); } },
      }, sign, visible(name(i)), spans.state[i] === 2 ? el("span", { class: "bad" }, " failed") : spans.state[i] === 1 ? el("span", { class: "hold" }, " open") : null,
      el("span", { class: "skip" }, `, ${NAMES[spans.kind[i]]}, ${seconds(spans.end[i] - spans.start[i])}`))),
      el("div", { role: "cell", class: "skip" }, seconds(spans.end[i] - spans.start[i])));
  };

  const bars = (from, to, height) => {
    const width = Math.max(40, ticks.clientWidth);
    const dense = window.devicePixelRatio || 1;
    canvas.width = width * dense;
    canvas.height = height * dense;
    Object.assign(canvas.style, { width: width + "px", height: height + "px", top: view.scrollTop + "px" });
    const paint = canvas.getContext("2d");
    paint.scale(dense, dense);
    paint.clearRect(0, 0, width, height);
    const css = getComputedStyle(document.documentElement);
    const color = (key) => css.getPropertyValue(key).trim();
    const x = (s) => (s - state.from) / (state.to - state.from) * width;
    paint.font = "11px system-ui, sans-serif";
    for (let k = from; k < to; k++) {
      const i = state.rows[k];
      const top = k * ROW - view.scrollTop + 5;
      const [a, b] = [x(spans.start[i]), x(spans.end[i])];
      if (b < 0 || a > width) continue;
      const [left, right] = [Math.max(0, a), Math.min(width, Math.max(b, a + 1.5))];
      paint.fillStyle = color(LOOK[spans.kind[i]]);
      paint.fillRect(left, top, right - left, 12);
      if (spans.kind[i] === KIND.model && spans.first[i] !== null) {
        paint.fillStyle = color("--first");
        const end = Math.min(width, x(spans.first[i]));
        if (end > left) paint.fillRect(left, top, end - left, 12);
      }
      if (critical.has(i)) { paint.fillStyle = color("--path"); paint.fillRect(left, top + 12, right - left, 2); }
      if (spans.state[i] === 2) { paint.strokeStyle = color("--bad"); paint.strokeRect(left + .5, top + .5, right - left - 1, 11); }
      const text = seconds(spans.end[i] - spans.start[i]);
      paint.fillStyle = color("--soft");
      if (right + 46 < width) paint.fillText(text, right + 4, top + 10);
      else if (left > 52) paint.fillText(text, left - 6 - paint.measureText(text).width, top + 10);
    }
  };

  const scale = () => {
    const long = state.to - state.from;
    const step = [1, 2, 5, 10].map((m) => m * 10 ** Math.floor(Math.log10(long / 5))).find((s) => long / s <= 7) || long;
    const marks = [];
    for (let s = Math.ceil(state.from / step) * step; s < state.to; s += step) {
      marks.push(el("span", { style: { left: 100 * (s - state.from) / long + "%" } }, seconds(s)));
    }
    ticks.replaceChildren(...marks);
  };

  const zoom = (factor, at) => {
    const long = Math.min(wall, Math.max(wall / 1e5, (state.to - state.from) * factor));
    const middle = at === undefined ? (state.from + state.to) / 2 : state.from + at * (state.to - state.from);
    const place = at === undefined ? 0.5 : at;
    state.from = Math.max(0, Math.min(wall - long, middle - long * place));
    state.to = state.from + long;
    draw();
  };
  const move = (part) => {
    const long = state.to - state.from;
    state.from = Math.max(0, Math.min(wall - long, state.from + part * long));
    state.to = state.from + long;
    draw();
  };
  const fold = (i) => { state.closed.has(i) ? state.closed.delete(i) : state.closed.add(i); choose(); draw(); focusOn(i); };
  const focusOn = (i) => { const found = rows.querySelector(`[data-span="${i}"]`); if (found) found.focus({ preventScroll: true }); };
  const pick = (i) => {
    state.picked = i;
    const k = state.rows.indexOf(i);
    if (k >= 0 && (k * ROW < view.scrollTop || (k + 1) * ROW > view.scrollTop + view.clientHeight)) view.scrollTop = Math.max(0, k * ROW - view.clientHeight / 2);
    draw();
    focusOn(i);
    if (options.onpick) options.onpick(i);
  };

  view.addEventListener("scroll", () => requestAnimationFrame(draw));
  view.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      const box = ticks.getBoundingClientRect();
      zoom(event.deltaY < 0 ? 0.8 : 1.25, Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      move((event.deltaX || event.deltaY) / 800);
    }
  }, { passive: false });
  view.addEventListener("keydown", (event) => {
    const k = state.picked === null ? -1 : state.rows.indexOf(state.picked);
    const to = { ArrowDown: k + 1, ArrowUp: Math.max(0, k - 1), Home: 0, End: state.rows.length - 1, PageDown: k + 20, PageUp: Math.max(0, k - 20) }[event.key];
    if (to !== undefined && state.rows.length) { event.preventDefault(); pick(state.rows[Math.min(to, state.rows.length - 1)]); return; }
    const acts = { "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1.6), "0": () => { state.from = 0; state.to = wall; draw(); }, ArrowLeft: () => (event.altKey ? fold(state.picked) : move(-0.2)), ArrowRight: () => (event.altKey ? fold(state.picked) : move(0.2)) };
    if (acts[event.key] && !event.ctrlKey && !event.metaKey) { event.preventDefault(); acts[event.key](); }
  });
  // A drag on the axis chooses a time.
  ticks.style.cursor = "col-resize";
  ticks.addEventListener("pointerdown", (event) => {
    const box = ticks.getBoundingClientRect();
    const at = (e) => state.from + Math.min(1, Math.max(0, (e.clientX - box.left) / box.width)) * (state.to - state.from);
    const begin = at(event);
    ticks.setPointerCapture(event.pointerId);
    ticks.addEventListener("pointerup", (up) => {
      const end = at(up);
      if (Math.abs(end - begin) > wall / 1e5 && Math.abs(up.clientX - event.clientX) > 4) {
        [state.from, state.to] = [Math.min(begin, end), Math.max(begin, end)];
        draw();
      }
    }, { once: true });
  });

  choose();
  return {
    fall, draw, pick, zoom,
    reset: () => { state.from = 0; state.to = wall; draw(); },
    search: (text) => { state.text = text; choose(); view.scrollTop = 0; draw(); },
    details: (on) => { state.own = on; choose(); draw(); },
    hasDetails: spans.kind.some((kind) => kind === KIND.own || kind === KIND.attempt || kind === KIND.echo),
    shows: state,
  };
}

const legend = () => el("ul", { class: "keys" },
  [["k-node", "node"], ["k-model", "model call"], ["k-first", "until its first token"], ["k-tool", "tool"], ["k-queue", "attempt"], ["k-own", "Lacon's own work"], ["k-free", "other"], ["k-path", "critical path"]]
    .map(([look, text]) => el("li", {}, el("i", { class: look }), text)));
