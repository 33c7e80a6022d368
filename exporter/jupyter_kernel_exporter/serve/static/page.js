// The table of kernels: sorted and filtered as asked for, and kept alive.

import { get, keepLooking } from "./ask.js";
import { doubtOf, titleOf } from "./death.js";
import { cloneOf, fieldsOf, ordering, putInOrder, setAttribute, setText, writeAddress } from "./dom.js";
import { arrange } from "./order.js";
import { ofSources, showProblems } from "./problems.js";
import { inWords, summaryOf } from "./rows.js";
import { now } from "./status.js";
import { duration } from "./words.js";

const BREATH_MS = 20;
const LATELY_SECONDS = 3600;
const LATELY_SHOWN = 3;
const USUAL = "trouble";

const table = document.getElementById("kernels");
const tbody = table.tBodies[0];
const query = document.getElementById("query");
const sort = document.getElementById("sort");
const turn = document.getElementById("turn");
const sums = Object.fromEntries(
  Array.from(document.querySelectorAll("[data-sum]"), (sum) => [sum.dataset.sum, sum]),
);

// ---- rows ----

const known = new Map(); // kernel id -> { row, fields, written }

function entryOf(id) {
  if (!known.has(id)) {
    const row = cloneOf("row");
    row.dataset.id = id;
    meet(row);
  }
  return known.get(id);
}

function meet(row) {
  known.set(row.dataset.id, { row, fields: fieldsOf(row), written: null });
}

function fill({ row, fields }, kernel, words) {
  setAttribute(row, "data-level", words.level);
  for (const [name, text] of Object.entries(words.texts)) setText(fields[name], text);
  setAttribute(fields.notebook, "title", words.texts.notebook);
  setAttribute(fields.notebook, "href", `kernels/${encodeURIComponent(kernel.kernel_id)}`);
  setAttribute(fields.id, "title", kernel.kernel_id);
  setAttribute(fields.state, "data-state", words.state);
  setAttribute(fields.own, "width", words.own);
  setAttribute(fields.others, "x", words.own);
  setAttribute(fields.others, "width", words.others);
}

// Takes steps until there are no more, and lets the browser draw and answer its user in between.
// False if what the steps are for is out of date before they are done.
async function walk(steps, wanted) {
  let began = performance.now();
  for (const _ of steps) {
    if (performance.now() - began < BREATH_MS) continue;
    await breath();
    if (!wanted()) return false;
    began = performance.now();
  }
  return true;
}

function breath() {
  return new Promise((resume) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resume();
    };
    port2.postMessage(null);
  });
}

// ---- what is asked for ----

function view() {
  return { query: query.value, sort: sort.value, falls: turn.dataset.falls === "true" };
}

function usuallyFalls() {
  return sort.selectedOptions[0].dataset.falls === "true";
}

function showView() {
  const { falls } = view();
  for (const header of table.tHead.rows[0].cells) {
    if (header.dataset.sort === sort.value) {
      setAttribute(header, "aria-sort", falls ? "descending" : "ascending");
    } else {
      header.removeAttribute("aria-sort");
    }
  }
  writeAddress({
    q: query.value.trim(),
    sort: sort.value === USUAL ? "" : sort.value,
    order: falls === usuallyFalls() ? "" : falls ? "desc" : "asc",
  });
}

function sortBy(name) {
  const same = sort.value === name;
  sort.value = name;
  turn.dataset.falls = String(same ? !view().falls : usuallyFalls());
  changed();
}

function changed() {
  showView();
  if (answer !== null) show();
}

// ---- all of it ----

let answer = null;
let shows = 0;

async function show() {
  const mine = (shows += 1);
  const { kernels, taken_at: takenAt } = answer;
  const shown = arrange(kernels, view());
  showSums(kernels, shown.length);
  const rows = [];
  const newest = () => mine === shows;
  if (!await walk(filling(shown, takenAt, rows), newest)) return;
  if (!await walk(ordering(tbody, rows), newest)) return;
  const alive = new Set(kernels.map((kernel) => kernel.kernel_id));
  for (const id of known.keys()) {
    if (!alive.has(id)) known.delete(id);
  }
}

function* filling(kernels, takenAt, rows) {
  for (const kernel of kernels) {
    const entry = entryOf(kernel.kernel_id);
    const words = inWords(kernel, takenAt);
    const written = JSON.stringify(words);
    if (entry.written !== written) {
      fill(entry, kernel, words);
      entry.written = written;
    }
    rows.push(entry.row);
    yield;
  }
}

function showSums(kernels, shown) {
  const some = kernels.length > 0;
  document.getElementById("kernels-part").hidden = !some;
  document.getElementById("empty").hidden = some;
  document.getElementById("none").hidden = shown > 0;
  setText(document.getElementById("count"), `${shown} of ${kernels.length}`);
  const summary = summaryOf(kernels);
  for (const [name, text] of Object.entries(summary)) setText(sums[name], text);
  setAttribute(sums.full.parentElement, "data-alarm", String(summary.full !== "0"));
}

// ---- who died lately ----

function showLately(deaths) {
  const news = deaths.filter((death) => now() - death.end_time_seconds <= LATELY_SECONDS);
  setText(document.getElementById("died"), String(news.length));
  document.getElementById("lately").hidden = news.length === 0;
  const list = document.querySelector("#lately ul");
  const items = news.slice(0, LATELY_SHOWN).map((death, at) => {
    const item = list.children[at] ?? document.createElement("li");
    if (item.childElementCount === 0) {
      const parts = ["b", "a", "span", "span"].map((name) => document.createElement(name));
      parts[3].className = "sub";
      item.replaceChildren(...parts.flatMap((part) => [part, " "]));
    }
    const [reason, notebook, because, ago] = item.children;
    setText(reason, death.reason);
    setAttribute(reason, "data-reason", death.reason);
    reason.className = "reason";
    setText(notebook, `${titleOf(death)} (${death.username})`);
    setAttribute(notebook, "href", `kernels/${encodeURIComponent(death.kernel_id)}`);
    setText(because, `${doubtOf(death)}${death.because}`);
    setText(ago, `${duration(now() - death.end_time_seconds)} ago`);
    return item;
  });
  putInOrder(list, items);
}

async function look() {
  const since = now() - LATELY_SECONDS;
  const [kernels, ends] = await Promise.all([
    get("api/v1/kernels"),
    get(`api/v1/deaths?limit=1000&asked_for=false&since=${since}`),
  ]);
  answer = kernels;
  showLately(ends.deaths);
  const history = { source: "history", problem: ends.problem };
  showProblems(ofSources([...kernels.sources, history]));
  await show();
  return kernels.taken_at;
}

for (const row of tbody.rows) meet(row);
showView();
query.addEventListener("input", changed);
sort.addEventListener("change", () => {
  turn.dataset.falls = String(usuallyFalls());
  changed();
});
turn.addEventListener("click", () => sortBy(sort.value));
for (const header of table.tHead.rows[0].cells) {
  header.firstElementChild.addEventListener("click", () => sortBy(header.dataset.sort));
}
keepLooking(look);
