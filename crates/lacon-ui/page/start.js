"use strict";
// Which part of the page is shown, and what changes it.

const app = document.getElementById("app");
const main = el("main", { id: "main", tabindex: -1 });
const TABS = DATA ? [] : [["#/", "Runs"], ["#/shapes", "Shapes"], ["#/live", "Live"]];
const tabs = el("nav", { "aria-label": "Views" }, TABS.map(([hash, text]) => el("a", { href: address(hash) }, text)));
app.append(el("a", { class: "skip", href: "#main", onclick: (event) => { event.preventDefault(); main.focus(); } }, "Skip to the content"),
  el("header", { class: "bar" }, el("b", {}, "lacon"), tabs, el("span", { class: "where" })), main);
let view = {};
let turn = 0;

async function route() {
  const mine = ++turn;
  const hash = DATA ? "#/run/run" : location.hash || "#/";
  const parts = hash.slice(2).split("/").map(decodeURIComponent);
  [...tabs.children].forEach((tab, i) => (TABS[i][0] === hash ? tab.setAttribute("aria-current", "page") : tab.removeAttribute("aria-current")));
  document.title = { "": "Runs", shapes: "Shapes", live: "Live", compare: "Two runs" }[parts[0]] ? { "": "Runs", shapes: "Shapes", live: "Live", compare: "Two runs" }[parts[0]] + ": lacon" : document.title;
  view = {};
  const place = el("div");
  fill(main, place);
  try {
    const made = await (parts[0] === "run" ? runView(place, parts[1]) : parts[0] === "compare" ? compareView(place, parts[1], parts[2]) : parts[0] === "shapes" ? shapesView(place) : parts[0] === "live" ? liveView(place) : listView(place));
    if (mine === turn) view = made || {};
  } catch (error) {
    fill(place, el("h1", {}, "This cannot be shown"), el("p", { class: "banner error" }, visible(error.message)), DATA ? null : el("p", {}, el("a", { href: address("#/") }, "Back to the runs")));
  }
  window.scrollTo(0, 0);
}

/** Lets the view take in a change; of many changes in a row the first and the last. */
const due = {};
function tell(what) {
  if (due[what]) { due[what] = 2; return; }
  due[what] = 1;
  setTimeout(() => { const again = due[what] === 2; due[what] = 0; if (again) tell(what); }, what === "resize" ? 50 : 400);
  const act = view[what];
  if (act) Promise.resolve(act()).catch(() => {});
}

/** Reads the events of the server. The token goes in a header, so that it stays out of logs. */
async function listen() {
  let pause = 500;
  for (;;) {
    try {
      const answer = await fetch("/api/events", { headers: { "x-lacon-token": TOKEN } });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      document.body.classList.remove("lost");
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        pause = 500;
        text += value;
        const events = text.split("\n\n");
        text = events.pop();
        for (const event of events) {
          const kind = (/^event: (.*)$/m.exec(event) || [])[1];
          if (kind === "proxy") { proxyFigures(JSON.parse(/^data: (.*)$/m.exec(event)[1])); tell("proxy"); }
          if (kind === "runs") tell("runs");
        }
      }
    } catch (error) { /* the server was stopped; it may come again */ }
    await new Promise((done) => setTimeout(done, pause));
    pause = Math.min(10000, pause * 2);
  }
}

window.addEventListener("hashchange", route);
window.addEventListener("resize", () => tell("resize"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => tell("theme"));
route();
if (!DATA) listen();
