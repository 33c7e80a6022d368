// The page of deaths: filtered as asked for, and kept alive. The exporter is asked for what is chosen,
// so that however many others cannot push it out; words are looked for here, in what it answers.

import { get, keepLooking } from "./ask.js";
import { forgetAllBut, isNews, showDeaths, titleOf } from "./death.js";
import { setAttribute, setText, writeAddress } from "./dom.js";
import { showProblems } from "./problems.js";

const LIMIT = 500;
const SHOWN = 100;
const ALL = "all";

const asked = new URL(location.href).searchParams;
const query = document.getElementById("query");
const reason = document.getElementById("reason");
const part = document.getElementById("deaths");
const oneKernel = document.getElementById("one-kernel");

let kernelId = asked.get("kernel") ?? "";
let deaths = null;
let told = null; // the question that they are the answer to

function question() {
  const parameters = new URLSearchParams({ limit: LIMIT });
  if (kernelId) parameters.set("kernel_id", kernelId);
  if (reason.value === "") parameters.set("asked_for", "false");
  else if (reason.value !== ALL) parameters.set("reason", reason.value);
  return `api/v1/deaths?${parameters}`;
}

function textOf(death) {
  return [
    death.notebook, death.username, death.kernel_name, death.kernel_id, death.server,
    death.container, death.reason, death.status ?? "", death.because,
  ].join("\n").toLowerCase();
}

function isChosen(death) {
  return reason.value === "" ? isNews(death) : [ALL, death.reason].includes(reason.value);
}

function show() {
  const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = deaths.filter((death) => {
    if (!isChosen(death)) return false; // of the last choice, until there is an answer to this one
    const text = words.length ? textOf(death) : "";
    return words.every((word) => text.includes(word));
  });
  showDeaths(part, found.slice(0, SHOWN), "");
  const cut = found.length > SHOWN ? `, the newest ${SHOWN} of them shown` : "";
  const all = deaths.length === LIMIT ? `the last ${LIMIT}` : String(deaths.length);
  const answered = told === question();
  setText(document.getElementById("count"), answered ? `${found.length} of ${all}${cut}` : "Asking\u2026");
  document.getElementById("empty").hidden = found.length > 0 || !answered;
  const [title, text] = whyNone(all);
  setText(document.querySelector("#empty h2"), title);
  setText(document.getElementById("empty-text"), text);
  oneKernel.hidden = kernelId === "";
  const link = oneKernel.querySelector("a");
  if (deaths.length) setText(link, `${titleOf(deaths[0])} (${deaths[0].username})`);
  else if (link.textContent === "") setText(link, kernelId);
  setAttribute(link, "href", `kernels/${encodeURIComponent(kernelId)}`);
}

function whyNone(all) {
  if (deaths.length > 0) {
    return ["None of these", `The filter hides ${deaths.length === 1 ? "one death" : `${all} deaths`}.`];
  }
  const soon = "When a kernel's process ends, this page says within seconds of what, without a reload.";
  if (reason.value === ALL) return ["No death is known", soon];
  const which = reason.value === "" ? "that nobody asked for" : "of this reason";
  return [`No death is known ${which}`, `${soon} Others, if there are any, are under All.`];
}

function changed() {
  writeAddress({ q: query.value.trim(), reason: reason.value, kernel: kernelId });
  if (deaths !== null) show();
}

function chosen() {
  changed();
  lookNow();
}

async function look() {
  let asking;
  let answer;
  do {
    asking = question();
    answer = await get(asking);
  } while (asking !== question());
  told = asking;
  deaths = answer.deaths;
  forgetAllBut(deaths);
  showProblems(answer.problem ? [{ source: "history", problem: answer.problem }] : []);
  show();
  return answer.taken_at;
}

query.value = asked.get("q") ?? "";
reason.value = asked.get("reason") ?? "";
if (reason.selectedIndex < 0) reason.value = ALL;
if (kernelId && !asked.has("reason")) reason.value = ALL;
query.addEventListener("input", changed);
reason.addEventListener("change", chosen);
const lookNow = keepLooking(look);
oneKernel.querySelector("button").addEventListener("click", () => {
  kernelId = "";
  oneKernel.hidden = true;
  chosen();
  query.focus();
});
