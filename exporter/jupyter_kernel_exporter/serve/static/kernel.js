// The page of one kernel: its charts, what is known of it, and what helps.

import { get, keepLooking } from "./ask.js";
import { makeChart } from "./chart.js";
import { doubtOf, showDeaths, titleOf } from "./death.js";
import { fieldsOf, setAttribute, setText } from "./dom.js";
import { writeFacts } from "./evidence.js";
import { factsOf } from "./facts.js";
import { ofSources, showProblems } from "./problems.js";
import { adviceOf, ceilingOf, cpuSentence, marksOf, memorySentence, spanOf, withGaps } from "./story.js";
import { UNKNOWN, duration, fine, size } from "./words.js";

const DEATHS = 100;
const DEATHS_SHOWN = 10;

const id = document.body.dataset.kernelId;
const path = encodeURIComponent(id);
const part = (name) => document.getElementById(name);
const host = document.querySelector(".host").textContent;

const drawMemory = makeChart(part("memory-chart"), {
  series: [
    { name: "memory", colour: "accent", fill: "area" },
    { name: "could grow to", colour: "ceiling", dash: [6, 4] },
  ],
  words: size,
  binary: true,
  least: 2 ** 20,
});
const drawCpu = makeChart(part("cpu-chart"), {
  series: [{ name: "cores", colour: "accent", fill: "area" }],
  words: fine,
  binary: false,
  least: 0.5,
});

function showCharts(history, marks, now) {
  const breaks = marks.filter((mark) => mark.kind !== "start").map((mark) => mark.at);
  const span = spanOf(history, now);
  const { taken_at: moments, memory_bytes: memory, cpu_cores: cpu } = history;
  const ceiling = ceilingOf(history);
  document.querySelector('[data-key="ceiling"]').hidden = !ceiling.near;
  drawMemory(withGaps([moments, memory, ceiling.values], breaks), marks, span);
  drawCpu(withGaps([moments, cpu], breaks), marks, span);
  setText(part("memory-said"), memorySentence(history, marks));
  setText(part("cpu-said"), cpuSentence(history));
}

function showAdvice(kernel, now) {
  const section = part("advice");
  if (kernel === null) {
    section.hidden = true;
    return;
  }
  const { level, parts, words } = adviceOf(kernel, now);
  for (const element of section.querySelectorAll("[data-advice]")) {
    element.hidden = !parts[element.dataset.advice];
  }
  const fields = fieldsOf(section);
  for (const [name, text] of Object.entries(words)) setText(fields[name], text);
  setAttribute(section, "data-level", level);
  section.hidden = !Object.values(parts).some(Boolean);
}

function showGone(kernel, deaths, now) {
  part("gone").hidden = kernel !== null;
  if (kernel !== null) return;
  const [last] = deaths;
  if (last === undefined) {
    setText(part("gone-title"), "Nothing is known of this kernel");
    setText(part("gone-text"), "It ended before anybody looked, or lives on another host, or its id is wrong.");
    setText(part("gone-advice"), "");
    return;
  }
  setText(part("gone-title"), "This kernel is gone");
  setAttribute(part("gone"), "data-kind", last.asked_for ? "asked" : "news");
  const ago = duration(now - last.end_time_seconds);
  setText(part("gone-text"), `It ended ${ago} ago (${last.reason}): ${doubtOf(last)}${last.because}. ${last.meaning}`);
  setText(part("gone-advice"), `What helps: ${last.advice}`);
}

function showHeading(kernel, deaths, takenAt) {
  const [last] = deaths;
  if (kernel === null && last === undefined) return;
  const heading = kernel === null ? titleOf(last) : kernel.notebook || kernel.kernel_name || id;
  setText(part("heading"), heading);
  document.title = `${heading} on ${host}`;
  const whose = kernel ?? last;
  const up = kernel === null ? "" : `up ${duration(takenAt - kernel.start_time_seconds)}`;
  const words = [whose.username, whose.kernel_name || UNKNOWN, kernel?.state, up];
  setText(part("whose"), words.filter(Boolean).join(" \u00b7 "));
}

async function look() {
  const [detail, answer] = await Promise.all([
    get(`api/v1/kernels/${path}`),
    get(`api/v1/deaths?limit=${DEATHS}&kernel_id=${path}`),
  ]);
  const { deaths, problem, taken_at: takenAt } = answer;
  const kernel = detail?.kernel ?? null;
  const empty = { taken_at: [], memory_bytes: [], cpu_cores: [], headroom_bytes: [] };
  const history = detail?.history ?? empty;
  const problems = ofSources([...(detail?.sources ?? []), { source: "history", problem }]);
  showProblems(problems);
  showHeading(kernel, deaths, takenAt);
  showGone(kernel, deaths, takenAt);
  showAdvice(kernel, takenAt);
  showCharts(history, marksOf(deaths, kernel), takenAt);
  part("charts-part").hidden = kernel === null && history.taken_at.length === 0;
  part("facts-part").hidden = kernel === null;
  if (kernel !== null) writeFacts(part("facts"), factsOf(kernel, takenAt));
  showDeaths(part("deaths"), deaths.slice(0, DEATHS_SHOWN), "../");
  part("no-deaths").hidden = deaths.length > 0;
  part("more-deaths").hidden = deaths.length <= DEATHS_SHOWN;
  return takenAt;
}

keepLooking(look);
