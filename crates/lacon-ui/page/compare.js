"use strict";
// Two runs side by side, and the live figures of a proxy.

function deltaBar(value, most, look) {
  const half = 50 * Math.min(1, Math.abs(value) / (most || 1));
  return el("span", { class: "delta", "aria-hidden": "true" }, el("i", { class: look, style: { left: (value < 0 ? 50 - half : 50) + "%", width: half + "%", background: value > 0 ? "var(--bad)" : "var(--good)" } }));
}

async function compareView(main, a, b) {
  const [found, one, two] = await Promise.all([api(`compare?a=${a}&b=${b}`), api("runs/" + a), api("runs/" + b)]);
  const words = (cause) => (typeof cause === "string" ? cause : JSON.stringify(cause)).replace(/_/g, " ");
  const wall = Math.max(one.row.wall_s, two.row.wall_s, 1e-6);
  const falls = [waterfall(one, { wall }), waterfall(two, { wall })];
  falls.forEach((fall) => fall.details(false));
  const rows = (list, text) => {
    const kept = list.filter(([, value]) => Math.abs(value) > 1e-9);
    const most = Math.max(...kept.map(([, value]) => Math.abs(value)), 0);
    return kept.map(([cause, value]) => [words(cause), signed(value, text), deltaBar(value, most)]);
  };
  const tokens = found.delta_tokens === null ? none : signed(found.delta_tokens, count);
  const grades = `${gradeOf(one.row)} \u2192 ${gradeOf(two.row)}`;
  const side = (letter, detail, fall) => el("div", {}, el("h3", {}, letter, " ", el("a", { href: address("#/run/" + detail.row.id) }, visible(detail.row.title))),
    el("p", { class: "soft" }, `${seconds(detail.row.wall_s)}, ${tokensOf(detail.row)} tokens, ${money(detail.row.cost)}, ${visible(detail.row.models.join(", ")) || "no model recorded"}`), fall.fall);
  fill(main, el("h1", {}, "Two runs"),
    el("dl", { class: "figures" }, figure("Time, B less A", signed(found.delta_s, seconds), share(Math.abs(found.delta_s), one.row.wall_s) + " of A"),
      figure("Tokens, B less A", tokens), figure("Cost, B less A", one.row.cost === null || two.row.cost === null ? none : signed(two.row.cost - one.row.cost, money)), figure("Content grade", grades)),
    found.confounded ? el("p", { class: "banner" }, "This pair cannot separate its causes: " + found.confounded_by.map(visible).join(", ") + " changed together.") : null,
    found.findings.length ? section("What changed", el("ul", {}, found.findings.map((text) => el("li", {}, visible(text))))) : null,
    el("div", { class: "tools" }, el("a", { class: "button", href: address(`#/compare/${b}/${a}`) }, "Swap A and B")),
    el("div", { class: "pair" }, side("A", one, falls[0]), side("B", two, falls[1])), legend(),
    el("div", { class: "pair" },
      section("Added time by cause", table([{ name: "Cause", left: true }, "B less A", "As a bar"], rows(found.time.by_cause, seconds), "Added time by cause")),
      section("Added tokens by cause", table([{ name: "Cause", left: true }, "B less A", "As a bar"], rows(found.tokens.by_cause, count), "Added tokens by cause"), found.tokens.by_cause.some(([, n]) => n) ? null : el("p", { class: "soft" }, "No difference."))));
  const draw = () => falls.forEach((fall) => fall.draw());
  requestAnimationFrame(draw);
  return { resize: draw, theme: draw };
}

const proxy = { last: null, past: [] };

/** Takes in what the proxy's metrics say; rates come from two looks. */
function proxyFigures(state) {
  if (state.error) { proxy.last = state; return; }
  const entries = Object.entries(state.metrics);
  const sum = (start) => entries.filter(([key]) => key.startsWith(start)).reduce((all, [, value]) => all + value, 0);
  const labelled = entries.map(([key, value]) => [/^([a-z0-9_]+)\{[a-z]+="((?:[^"\\]|\\.)*)"\}/.exec(key), value]).filter(([m]) => m);
  const of = (name) => labelled.filter(([m]) => m[1] === name).map(([m, value]) => [m[2].replace(/\\(.)/g, "$1"), value]);
  const quantiles = (name) => {
    const buckets = of(name + "_bucket").map(([le, value]) => [le === "+Inf" ? Infinity : Number(le), value]).sort((x, y) => x[0] - y[0]);
    const all = buckets.length ? buckets[buckets.length - 1][1] : 0;
    const at = (q) => (all ? (buckets.find(([, n]) => n >= q * all) || [null])[0] : null);
    return { p50: at(0.5), p99: at(0.99) };
  };
  const left = new Map(of("lacon_shared_left_micro_usd"));
  const now = { at: Date.now() / 1000, requests: sum("lacon_proxy_requests_total"), before: sum("lacon_proxy_tokens_before_total"), after: sum("lacon_proxy_tokens_after_total"), unreachable: sum("lacon_proxy_unreachable_total"), cut: sum("lacon_proxy_cut_total"), failed: sum("lacon_proxy_failed_total"),
    prompt: sum("lacon_proxy_prompt_tokens_total"), cached: sum("lacon_proxy_cached_tokens_total"), cost: sum("lacon_proxy_cost_micro_usd_total") / 1e6, unpriced: sum("lacon_proxy_without_price_total"), silent: sum("lacon_proxy_without_usage_total"),
    overhead: quantiles("lacon_proxy_overhead_seconds"), first: quantiles("lacon_proxy_first_byte_seconds"), routes: of("lacon_proxy_requests_total"),
    budgets: of("lacon_shared_budget_micro_usd").map(([team, all]) => [team, all / 1e6, left.has(team) ? left.get(team) / 1e6 : null]) };
  proxy.past.push(now);
  proxy.past.splice(0, proxy.past.length - 180);
  proxy.last = { now };
}

/** An upper bound, as buckets give it. */
const atMost = (value) => (value === null ? none : value === Infinity ? "over the last bucket" : "\u2264 " + seconds(value));

/** What is missing from the sums. */
function unknown(now) {
  const parts = [];
  if (now.silent) parts.push(`${count(now.silent)} answers without usage`);
  if (now.unpriced) parts.push(`${count(now.unpriced)} without a price`);
  return parts.length ? parts.join(", ") + " left out" : null;
}

function spark(values, label) {
  if (values.length < 2) return null;
  const most = Math.max(...values, 1e-9);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of Object.entries({ class: "spark", viewBox: "0 0 180 64", preserveAspectRatio: "none", role: "img", "aria-label": label })) svg.setAttribute(key, value);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", values.map((value, i) => `${i ? "L" : "M"}${(180 * i / (values.length - 1)).toFixed(1)} ${(61 - 58 * value / most).toFixed(1)}`).join(""));
  svg.append(path);
  return svg;
}

async function liveView(main) {
  const draw = async () => {
    const { runs } = await api("runs");
    const going = runs.filter((run) => run.live);
    const parts = [el("h1", {}, "Live"), section("Runs that go on", going.length ? table([{ name: "Run", left: true }, "Time so far", "Calls", "Tokens", "Cost", "Errors"],
      going.map((run) => [[el("span", { class: "live" }), el("a", { href: address("#/run/" + run.id) }, visible(run.title))], seconds(run.wall_s), count(run.calls), count(run.tokens), money(run.cost), count(run.errors)]), "Runs that go on") : el("p", { class: "soft" }, "No run in this folder goes on now. One that starts appears here."))];
    if (!proxy.last) parts.push(section("Proxy", el("p", { class: "soft" }, "No proxy is watched. Start with ", el("code", {}, "lacon ui --proxy 127.0.0.1:8787"), " beside ", el("code", {}, "lacon serve"), ".")));
    else if (proxy.last.error) parts.push(section("Proxy", el("p", { class: "banner error", role: "status" }, visible(proxy.last.error))));
    else {
      const { now } = proxy.last;
      const errors = now.failed + now.unreachable + now.cut;
      const rates = proxy.past.slice(1).map((next, i) => Math.max(0, (next.requests - proxy.past[i].requests) / Math.max(0.2, next.at - proxy.past[i].at)));
      parts.push(section("Proxy", el("dl", { class: "figures" },
        figure("Requests", count(now.requests), now.routes.filter(([, n]) => n).map(([name, n]) => `${name} ${count(n)}`).join(", ")),
        figure("Requests a second", rates.length ? rates[rates.length - 1].toFixed(1) : none),
        figure("Tokens saved", count(now.before - now.after), now.before ? `${share(now.before - now.after, now.before)} of ${count(now.before)} that may change` : null),
        figure("Cache hits", now.prompt ? share(now.cached, now.prompt) : none, now.prompt ? `of ${count(now.prompt)} prompt tokens` : null),
        figure("Cost", now.prompt ? money(now.cost) : none, unknown(now)),
        figure("First byte", atMost(now.first.p50), now.first.p99 === null ? null : "p99 " + atMost(now.first.p99)),
        figure("Overhead", atMost(now.overhead.p50), now.overhead.p99 === null ? null : "p99 " + atMost(now.overhead.p99)),
        figure("Upstream errors", count(errors), `${count(now.failed)} refused, ${count(now.unreachable)} unreachable, ${count(now.cut)} cut`, errors ? "bad" : null)),
      now.budgets.length ? table([{ name: "Team", left: true }, "Budget a day", "Left when last asked"], now.budgets.map(([team, all, left]) => [visible(team), money(all), left === null ? none : money(left)]), "Budgets of teams") : null,
      spark(rates, "Requests a second in the last minutes")));
    }
    fill(main, ...parts);
  };
  await draw();
  return { runs: draw, proxy: draw };
}
