// Keeps the table alive: asks the API every two seconds and changes only what has changed.
// Texts from outside go into textContent and attributes, never into markup.
"use strict";

const EVERY_MS = 2000;
const ANSWER_WITHIN_MS = 5000;
const SHORT_ID = 8;
const UNKNOWN = "\u2013";
const SCOPES = { rlimit: "ulimit", cgroup: "cgroup", host: "machine" };
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

const body = document.body;
const staleAfter = Number(body.dataset.staleAfter);
const table = document.getElementById("kernels");
const rows = table.tBodies[0];
const blank = document.getElementById("row").content.firstElementChild;

// ---- numbers in words: the twin of serve/words.py ----

function number(value) {
  return String(value >= 100 ? Math.floor(value + 0.5) : Math.floor(value * 10 + 0.5) / 10);
}

function size(count) {
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const text = unit >= UNITS.indexOf("GiB") ? number(value) : String(Math.floor(value + 0.5));
  return `${text} ${UNITS[unit]}`;
}

function cores(value) {
  return value === null ? UNKNOWN : number(value);
}

function duration(seconds) {
  const minutes = Math.max(0, Math.floor(seconds / 60));
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(minutes / 1440);
  if (minutes < 1) return `${Math.max(0, Math.floor(seconds))} s`;
  if (hours < 1) return `${minutes} min`;
  if (days < 1) return `${hours} h ${minutes % 60} min`;
  return `${days} d ${hours % 24} h`;
}

// ---- a kernel in words: the twin of serve/page.py ----

function memoryOf(kernel) {
  return kernel.memory_rss_bytes + kernel.children_memory_rss_bytes;
}

function tightestOf(kernel) {
  return kernel.limits.reduce(
    (least, limit) => (least === null || limit.headroom_bytes < least.headroom_bytes ? limit : least),
    null,
  );
}

function levelOf(limit) {
  if (limit === null) return "";
  if (limit.headroom_bytes < limit.limit_bytes / 10) return "full";
  return limit.headroom_bytes < limit.limit_bytes / 5 ? "tight" : "";
}

function percent(share) {
  return `${Math.floor(share * 1000 + 0.5) / 10}%`;
}

function sharesOf(ownBytes, limit) {
  if (limit === null || limit.limit_bytes <= 0) return ["0%", "0%"];
  const used = Math.max(0, limit.limit_bytes - limit.headroom_bytes);
  const own = Math.min(ownBytes, limit.limit_bytes);
  return [percent(own / limit.limit_bytes), percent(Math.max(0, used - own) / limit.limit_bytes)];
}

function inWords(kernel, takenAt) {
  const tightest = tightestOf(kernel);
  const [own, others] = sharesOf(memoryOf(kernel), tightest);
  return {
    id: kernel.kernel_id.slice(0, SHORT_ID),
    person: kernel.username,
    notebook: kernel.notebook || UNKNOWN,
    kernel: kernel.kernel_name || UNKNOWN,
    state: kernel.state,
    memory: size(memoryOf(kernel)),
    limit: tightest === null ? "" : `of ${size(tightest.limit_bytes)}`,
    left: tightest === null
      ? "no limit known"
      : `${size(tightest.headroom_bytes)} left, ${SCOPES[tightest.scope]}`,
    level: levelOf(tightest),
    own,
    others,
    cpu: cores(kernel.cpu_cores),
    children: String(kernel.children),
    up: duration(takenAt - kernel.start_time_seconds),
    where: kernel.container,
  };
}

function summaryOf(kernels) {
  return {
    kernels: String(kernels.length),
    people: String(new Set(kernels.map((kernel) => kernel.username)).size),
    memory: size(kernels.reduce((sum, kernel) => sum + memoryOf(kernel), 0)),
    cpu: cores(kernels.reduce((sum, kernel) => sum + (kernel.cpu_cores ?? 0), 0)),
    full: String(kernels.filter((kernel) => levelOf(tightestOf(kernel)) === "full").length),
  };
}

// ---- the document ----

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

function fill(row, kernel, takenAt) {
  const words = inWords(kernel, takenAt);
  const field = (name) => row.querySelector(`[data-field="${name}"]`);
  setAttribute(row, "data-level", words.level);
  for (const name of ["id", "notebook", "kernel", "person", "state", "memory", "limit", "left",
    "cpu", "children", "up", "where"]) {
    setText(field(name), words[name]);
  }
  setAttribute(field("notebook"), "title", words.notebook);
  setAttribute(field("id"), "title", kernel.kernel_id);
  setAttribute(field("state"), "data-state", words.state);
  setAttribute(field("own"), "width", words.own);
  setAttribute(field("others"), "x", words.own);
  setAttribute(field("others"), "width", words.others);
}

function show(answer) {
  const known = new Map(Array.from(rows.rows, (row) => [row.dataset.id, row]));
  answer.kernels.forEach((kernel, at) => {
    const row = known.get(kernel.kernel_id) ?? blank.cloneNode(true);
    known.delete(kernel.kernel_id);
    row.dataset.id = kernel.kernel_id;
    fill(row, kernel, answer.taken_at);
    if (rows.rows[at] !== row) rows.insertBefore(row, rows.rows[at] ?? null);
  });
  for (const row of known.values()) row.remove();
  table.hidden = answer.kernels.length === 0;
  document.getElementById("empty").hidden = answer.kernels.length > 0;
  const summary = summaryOf(answer.kernels);
  for (const [name, text] of Object.entries(summary)) {
    setText(document.querySelector(`[data-sum="${name}"]`), text);
  }
  const alarm = document.querySelector('[data-sum="full"]').parentElement;
  setAttribute(alarm, "data-alarm", String(summary.full !== "0"));
  showProblems(answer.sources.filter((source) => source.problem !== ""));
}

function showProblems(sources) {
  const section = document.getElementById("problems");
  const list = section.querySelector("ul");
  section.hidden = sources.length === 0;
  while (list.children.length > sources.length) list.lastElementChild.remove();
  sources.forEach((source, at) => {
    if (list.children.length <= at) {
      const item = document.createElement("li");
      item.append(document.createElement("b"), " ", document.createElement("span"));
      list.append(item);
    }
    const item = list.children[at];
    setText(item.firstElementChild, source.source);
    setText(item.lastElementChild, source.problem);
  });
}

// ---- is what we show the present? ----
// Only this browser's own stopwatch is used: its clock need not agree with the host's.

let takenAt = Number(body.dataset.takenAt);
let changedAt = performance.now() - Number(body.dataset.age) * 1000;
let answeredAt = performance.now();
let status = body.dataset.waiting === "true" ? "waiting" : "live";

const STATUS = {
  live: () => ["Live", ""],
  waiting: () => ["Waiting for the first sample", ""],
  stale: () => ["Stale: the exporter has taken no new sample", howLong(changedAt)],
  silent: () => ["No answer from the exporter", howLong(answeredAt)],
};

function howLong(moment) {
  return `for ${duration((performance.now() - moment) / 1000)}`;
}

function showStatus() {
  const late = performance.now() - changedAt > staleAfter * 1000;
  const shown = status === "live" && late ? "stale" : status;
  const [text, detail] = STATUS[shown]();
  setAttribute(document.getElementById("status"), "data-status", shown);
  setAttribute(body, "data-status", shown);
  setText(document.getElementById("status-text"), text);
  setText(document.getElementById("status-since"), detail);
}

// ---- the loop ----

let asking = false;

async function ask() {
  if (asking || document.hidden) return;
  asking = true;
  try {
    const answer = await fetch("api/v1/kernels", { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    if (answer.ok) {
      const kernels = await answer.json();
      if (kernels.taken_at !== takenAt || status === "waiting") {
        takenAt = kernels.taken_at;
        changedAt = performance.now();
      }
      show(kernels);
      status = "live";
    } else {
      status = answer.status === 503 ? "waiting" : "silent";
    }
    if (status !== "silent") answeredAt = performance.now();
  } catch (error) {
    // A refused connection, a timeout or a broken answer: all mean that the exporter is not there.
    status = "silent";
  } finally {
    asking = false;
    showStatus();
  }
}

ask();
setInterval(ask, EVERY_MS);
setInterval(showStatus, 1000);
document.addEventListener("visibilitychange", ask);
