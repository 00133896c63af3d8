"use strict";
// What every part of the page uses. Texts of traces reach the page as text alone, never as markup.

const NAMES = ["run", "node", "model", "attempt", "own", "tool", "echo", "other"];
const inside = document.getElementById("data");
const DATA = inside ? JSON.parse(inside.textContent) : null;
const TOKEN = new URLSearchParams(location.search).get("token") || "";

/** Makes an element; strings become text. */
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(node.style, value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Puts children in the place of those that are there. */
const fill = (node, ...children) => node.replaceChildren(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));

/** Makes characters visible that would move or hide text. */
function visible(text) {
  return String(text).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g,
    (c) => "\u27e8" + c.codePointAt(0).toString(16).padStart(4, "0") + "\u27e9");
}

async function api(path) {
  if (DATA) return fromFile(path);
  const answer = await fetch("/api/" + path, { headers: { "x-lacon-token": TOKEN } });
  const value = await answer.json();
  if (!answer.ok) throw new Error(value.error || answer.statusText);
  return value;
}

/** The file that holds its run answers for itself. */
function fromFile(path) {
  const span = /^runs\/run\/spans\/(\d+)$/.exec(path);
  if (span) {
    const found = DATA.spans[Number(span[1])];
    if (!found) throw new Error("the texts of this span are not in the file");
    return found;
  }
  if (path === "runs/run") return DATA.detail;
  return { folder: "", runs: DATA.runs, groups: [], unread: [] };
}

const number = new Intl.NumberFormat("en-US");
const none = "\u2013";
const count = (n) => (n === null || n === undefined ? none : number.format(n));
const seconds = (s) => s === null || s === undefined ? none : s === 0 ? "0 s" : s >= 100 ? number.format(Math.round(s)) + " s" : s >= 1 ? s.toFixed(2) + " s" : (s * 1000).toFixed(s >= 0.1 ? 0 : 1) + " ms";
const money = (usd) => usd === null || usd === undefined ? none : usd >= 1 ? "$" + number.format(Number(usd.toFixed(2))) : usd > 0 && usd < 0.00005 ? "<$0.0001" : "$" + usd.toFixed(4);
const tokensOf = (row) => (row.tokens_estimated && row.tokens !== null ? "~" : "") + count(row.tokens);
const gradeOf = (row) => (row.grade && row.grade !== "-" ? row.grade : none);
const share = (part, whole) => whole > 0 ? (100 * part / whole).toFixed(0) + " %" : none;
const signed = (n, text) => (n > 0 ? "+" : n < 0 ? "\u2212" : "\u00b1") + text(Math.abs(n));
function moment(unix) {
  if (!unix) return none;
  const two = (n) => String(n).padStart(2, "0");
  const d = new Date(unix * 1000);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}`;
}

function figure(name, value, note, look) {
  return el("div", {}, el("dt", {}, name), el("dd", { class: look }, value), note ? el("dd", { class: "note" }, note) : null);
}

function table(heads, rows, caption) {
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    el("table", {},
      el("thead", {}, el("tr", {}, heads.map((h) => el("th", { scope: "col", class: h.left ? "l" : null }, h.name || h)))),
      el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell, i) =>
        el("td", { class: heads[i].wrap ? "wrap" : heads[i].left ? "l" : null }, cell)))))));
}

const section = (title, ...body) => el("section", {}, el("h2", {}, title), ...body);
const go = (hash) => { location.hash = hash; };
const address = (hash) => (DATA ? "" : location.pathname + location.search) + hash;
