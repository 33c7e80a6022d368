// Asks the exporter again and again, and says how fresh its answers are.

import { answered, heard, refused, silent, waiting } from "./status.js";

const EVERY_MS = 2000;
const ANSWER_WITHIN_MS = 5000;
// This file is static/ask.js: addresses hold behind a proxy that puts a path before them.
const ROOT = new URL("..", import.meta.url);

class Unanswered extends Error {
  constructor(status, options) {
    super(`status ${status}`, options);
    this.status = status;
  }
}

// The answer to GET path, null for 404.
export async function get(path) {
  let answer;
  let content;
  try {
    answer = await fetch(new URL(path, ROOT), { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    content = answer.ok ? await answer.json() : null;
  } catch (error) {
    // A refused connection, a timeout, half an answer: the exporter is not there.
    throw new Unanswered(0, { cause: error });
  }
  if (!answer.ok && answer.status !== 404) throw new Unanswered(answer.status);
  if (content !== null) heard(content.taken_at);
  return content;
}

// Calls look() now and every two seconds while somebody looks. It asks, shows, and returns the
// moment of the sample that it has shown.
export function keepLooking(look) {
  let looking = false;

  async function once() {
    if (looking || document.hidden) return;
    looking = true;
    try {
      answered(await look());
    } catch (error) {
      if (!(error instanceof Unanswered)) throw error; // a fault of these scripts
      if (error.status === 503) waiting();
      else if (error.status === 401 || error.status === 403) refused();
      else silent();
    } finally {
      looking = false;
    }
  }

  once();
  setInterval(once, EVERY_MS);
  document.addEventListener("visibilitychange", once);
  return once;
}
