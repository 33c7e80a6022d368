// What a kernel's page makes of history and deaths: marks, lines, sentences, advice. Pure.

import { FULL_SECONDS, TIGHT_SECONDS, leftBelow, levelOf, memoryOf, tightestOf } from "./rows.js";
import { duration, fine, size, times } from "./words.js";

const SPAN_SECONDS = 7200;
const LEAST_SPAN_SECONDS = 300;
const IDLE_SECONDS = 3600;
const IDLE_BYTES = 2 ** 30;
const FAR = 4;
// Starts are counted from the boot of the machine, whose moment linux tells to the second.
const START_ERROR_SECONDS = 1.5;

// Ends, and starts of processes that came after them.
export function marksOf(deaths, kernel) {
  const ends = deaths.map((death) => ({
    at: death.end_time_seconds,
    kind: death.asked_for ? "asked" : "death",
    text: death.reason,
  }));
  const first = Math.min(...ends.map((end) => end.at));
  const starts = [kernel?.start_time_seconds, ...deaths.map((death) => death.start_time_seconds)]
    .filter((at) => typeof at === "number" && at >= first - START_ERROR_SECONDS)
    .map((at) => ({ at, kind: "start", text: "" }));
  return [...ends, ...starts].sort((one, other) => one.at - other.at);
}

// From when to when to draw.
export function spanOf(history, now) {
  const first = history.taken_at[0] ?? now;
  return [Math.max(now - SPAN_SECONDS, Math.min(first, now - LEAST_SPAN_SECONDS)), now];
}

// Columns with a break wherever nothing was seen or one process ended: a line across would be made
// up. In between, points come at a steady pace.
export function withGaps(columns, breaks) {
  const [moments] = columns;
  const steps = moments.slice(1).map((at, before) => at - moments[before]).sort((a, b) => a - b);
  const longest = 3 * (steps[Math.floor(steps.length / 2)] ?? Infinity);
  const out = columns.map(() => []);
  moments.forEach((at, index) => {
    const before = moments[index - 1];
    if (index > 0) {
      const broken = breaks.find((end) => end > before && end <= at);
      if (broken !== undefined || at - before > longest) {
        out[0].push(broken === undefined || broken >= at ? (before + at) / 2 : broken);
        out.slice(1).forEach((column) => column.push(null));
      }
    }
    columns.forEach((column, which) => out[which].push(column[index]));
  });
  return out;
}

// What memory could have grown to at each moment, as far as that is not out of sight.
export function ceilingOf(history) {
  const highest = Math.max(...history.memory_bytes);
  const ceiling = history.headroom_bytes.map((left, at) => (
    left === null ? null : history.memory_bytes[at] + left
  ));
  const known = ceiling.filter((value) => value !== null);
  const near = known.length > 0 && Math.min(...known) <= FAR * highest;
  return { values: near ? ceiling : ceiling.map(() => null), near, lowest: Math.min(...known) };
}

export function memorySentence(history, marks) {
  const { memory_bytes: memory, taken_at: moments } = history;
  if (memory.length < 2) return "Too few points as yet.";
  const span = duration(moments.at(-1) - moments[0]);
  const { near, lowest } = ceilingOf(history);
  const far = Number.isFinite(lowest) && !near ? ` It could grow to ${size(lowest)}, far above this chart.` : "";
  const deaths = marks.filter((mark) => mark.kind !== "start" && mark.at >= moments[0]).length;
  const died = deaths ? ` Its process ended ${times(deaths)}.` : "";
  return `From ${size(memory[0])} to ${size(memory.at(-1))} in ${span}, at most ${size(Math.max(...memory))}.${died}${far}`;
}

export function cpuSentence(history) {
  const known = history.cpu_cores.filter((value) => value !== null);
  if (known.length === 0) return "Too few points as yet.";
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
  return `On average ${fine(mean)}, at most ${fine(Math.max(...known))}.`;
}

// The parts of the advice that apply, and the words that go into them.
export function adviceOf(kernel, now) {
  const seconds = kernel.memory_exhaustion_seconds ?? Infinity;
  const limit = tightestOf(kernel);
  const idle = now - (kernel.last_activity_timestamp_seconds ?? now);
  const { automatic } = kernel.restarts_total;
  const memoryErrors = kernel.errors_total.memory_error ?? 0;
  const soon = seconds < TIGHT_SECONDS;
  const full = !soon && levelOf(kernel) === "full";
  return {
    level: seconds < FULL_SECONDS || full ? "full" : "tight",
    parts: {
      exhaustion: soon,
      full,
      rlimit: (soon || full) && limit?.scope === "rlimit",
      cgroup: (soon || full) && limit?.scope === "cgroup",
      host: (soon || full) && limit?.scope === "host",
      errors: memoryErrors > 0,
      restarts: automatic > 0,
      idle: kernel.state !== "busy" && idle > IDLE_SECONDS && memoryOf(kernel) > IDLE_BYTES,
    },
    words: {
      exhaustion: duration(seconds),
      left: leftBelow(limit),
      "memory-errors": times(memoryErrors),
      automatic: times(automatic),
      idle: duration(idle),
      memory: size(memoryOf(kernel)),
    },
  };
}
