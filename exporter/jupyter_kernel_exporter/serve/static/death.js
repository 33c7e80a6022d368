// A death as a card.

import { cloneOf, fieldsOf, putInOrder, setAttribute, setText } from "./dom.js";
import { factsOf, writeFacts } from "./evidence.js";
import { now } from "./status.js";
import { duration, moment, size } from "./words.js";

const SHORT_ID = 8;

// Whether nobody had asked for it.
export function isNews(death) {
  return !death.asked_for;
}

export function titleOf(death) {
  return death.notebook || death.kernel_name || death.kernel_id.slice(0, SHORT_ID);
}

export function doubtOf(death) {
  return death.certain ? "" : "probably: ";
}

export function keyOf(death) {
  return `${death.kernel_id} ${death.pid} ${death.end_time_seconds}`;
}

function whoOf(death) {
  const lived = death.start_time_seconds === null
    ? "" : `lived ${duration(death.end_time_seconds - death.start_time_seconds)}`;
  const limit = death.limit_bytes === null ? "" : ` of ${size(death.limit_bytes)}`;
  const memory = death.memory_bytes === null ? "" : `last memory ${size(death.memory_bytes)}${limit}`;
  return [
    death.username, death.kernel_name, death.status ?? "ended in a way that nobody could tell",
    lived, memory, death.container,
  ].filter(Boolean).join(" · ");
}

const cards = new Map();

function cardOf(death, root) {
  const card = cloneOf("death");
  const fields = fieldsOf(card);
  card.dataset.kind = death.asked_for ? "asked" : "news";
  setText(fields.reason, death.reason);
  setAttribute(fields.reason, "data-reason", death.reason);
  setText(fields.notebook, titleOf(death));
  setAttribute(fields.notebook, "href", `${root}kernels/${encodeURIComponent(death.kernel_id)}`);
  setAttribute(fields.notebook, "title", death.kernel_id);
  setAttribute(fields.when, "datetime", new Date(death.end_time_seconds * 1000).toISOString());
  const because = `${doubtOf(death)}${death.because}`;
  setText(fields.because, because.charAt(0).toUpperCase() + because.slice(1));
  setText(fields.who, whoOf(death));
  setText(fields.meaning, death.meaning);
  setText(fields.advice, death.advice);
  setText(fields.doubt, death.missing.length ? `, and what was missing (${death.missing.length})` : "");
  writeFacts(fields.evidence, factsOf(death));
  fields.missing.hidden = death.missing.length === 0;
  fields.missing.querySelector("ul").replaceChildren(...death.missing.map(missingItem));
  return { card, when: fields.when };
}

function missingItem(source) {
  const words = document.getElementById("source-words").content
    .querySelector(`[data-source="${CSS.escape(source)}"]`);
  const item = document.createElement("li");
  const name = document.createElement("b");
  setText(name, source);
  item.append(name, words === null ? "" : `: ${words.textContent}`);
  return item;
}

// Shows these deaths in a part of the page; a card that is there stays as it is, opened or not.
export function showDeaths(part, deaths, root) {
  const shown = deaths.map((death) => {
    const key = keyOf(death);
    if (!cards.has(key)) cards.set(key, cardOf(death, root));
    const { card, when } = cards.get(key);
    const ago = duration(now() - death.end_time_seconds);
    setText(when, `${ago} ago, ${moment(death.end_time_seconds)}`);
    return card;
  });
  putInOrder(part, shown);
}

// Forgets the cards of deaths that are not told of any more.
export function forgetAllBut(deaths) {
  const told = new Set(deaths.map(keyOf));
  for (const key of cards.keys()) {
    if (!told.has(key)) cards.delete(key);
  }
}
