// The page of deaths: filtered as asked for, and kept alive.

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

function textOf(death) {
  return [
    death.notebook, death.username, death.kernel_name, death.kernel_id, death.server,
    death.container, death.reason, death.status ?? "", death.because,
  ].join("\n").toLowerCase();
}

function show() {
  const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = deaths.filter((death) => {
    if (reason.value === "" ? !isNews(death) : ![ALL, death.reason].includes(reason.value)) return false;
    const text = words.length ? textOf(death) : "";
    return words.every((word) => text.includes(word));
  });
  showDeaths(part, found.slice(0, SHOWN), "");
  const hidden = deaths.length - found.length;
  const cut = found.length > SHOWN ? `, the newest ${SHOWN} of them shown` : "";
  const more = deaths.length === LIMIT ? `the last ${LIMIT}` : String(deaths.length);
  setText(document.getElementById("count"), `${found.length} of ${more}${cut}`);
  document.getElementById("empty").hidden = found.length > 0;
  setText(document.querySelector("#empty h2"), hidden ? "None of these" : "No death is known");
  setText(document.getElementById("empty-text"), hidden
    ? `The filter and the reason hide ${hidden === 1 ? "one death" : `${hidden} deaths`}.`
    : "When a kernel's process ends, this page says within seconds of what, without a reload.");
  oneKernel.hidden = kernelId === "";
  const link = oneKernel.querySelector("a");
  setText(link, deaths.length ? `${titleOf(deaths[0])} (${deaths[0].username})` : kernelId);
  setAttribute(link, "href", `kernels/${encodeURIComponent(kernelId)}`);
}

function changed() {
  writeAddress({ q: query.value.trim(), reason: reason.value, kernel: kernelId });
  if (deaths !== null) show();
}

async function look() {
  const only = kernelId ? `&kernel_id=${encodeURIComponent(kernelId)}` : "";
  const answer = await get(`api/v1/deaths?limit=${LIMIT}${only}`);
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
reason.addEventListener("change", changed);
const lookNow = keepLooking(look);
oneKernel.querySelector("button").addEventListener("click", () => {
  kernelId = "";
  oneKernel.hidden = true;
  changed();
  query.focus();
  lookNow();
});
