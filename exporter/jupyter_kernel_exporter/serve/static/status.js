// Is what the page shows the present? Only this browser's own stopwatch is used: its clock need
// not agree with the host's. The stopwatch may stand still while the computer sleeps, so that the
// time is set anew by what the exporter answers.

import { setAttribute, setText } from "./dom.js";
import { duration } from "./words.js";

const body = document.body;
const staleAfter = Number(body.dataset.staleAfter);
const loadedAt = performance.now();

let takenAt = Number(body.dataset.takenAt);
let changedAt = loadedAt - Number(body.dataset.age) * 1000;
let answeredAt = loadedAt;
let set = { now: Number(body.dataset.now), at: loadedAt };
let heardOf = takenAt;
let status = null; // until there was an answer, or none: what the server wrote stands

const STATUS = {
  live: () => ["Live", ""],
  waiting: () => ["Waiting for the first sample", ""],
  stale: () => ["Stale: the exporter has taken no new sample", howLong(changedAt)],
  silent: () => ["No answer from the exporter", howLong(answeredAt)],
  refused: () => ["The exporter refuses to answer: sign in again", ""],
};

function howLong(moment) {
  return `for ${duration((performance.now() - moment) / 1000)}`;
}

// The exporter's clock now, seconds since the epoch.
export function now() {
  return set.now + (performance.now() - set.at) / 1000;
}

// Every answer goes through here first: a sample that is new was taken just now.
export function heard(sampleTakenAt) {
  if (sampleTakenAt === null || sampleTakenAt === heardOf) return;
  heardOf = sampleTakenAt;
  const age = now() - sampleTakenAt;
  if (age < 0 || age > staleAfter) set = { now: sampleTakenAt, at: performance.now() };
}

export function answered(sampleTakenAt) {
  answeredAt = performance.now();
  if (sampleTakenAt === null) {
    status = "waiting";
  } else {
    if (sampleTakenAt !== takenAt || body.dataset.waiting === "true") {
      body.dataset.waiting = "false";
      takenAt = sampleTakenAt;
      changedAt = answeredAt;
    }
    status = "live";
  }
  showStatus();
}

export function waiting() {
  answeredAt = performance.now();
  status = "waiting";
  showStatus();
}

export function refused() {
  answeredAt = performance.now();
  status = "refused";
  showStatus();
}

export function silent() {
  status = "silent";
  showStatus();
}

function showStatus() {
  if (status === null) return;
  const late = performance.now() - changedAt > staleAfter * 1000;
  const shown = status === "live" && late ? "stale" : status;
  const [text, detail] = STATUS[shown]();
  setAttribute(document.getElementById("status"), "data-status", shown);
  setAttribute(body, "data-status", shown);
  setText(document.getElementById("status-text"), text);
  setText(document.getElementById("status-since"), detail);
}

setInterval(showStatus, 1000);
