// A kernel in words: the twin of serve/page/rows.py.

import { UNKNOWN, cores, duration, growth, pace, size } from "./words.js";

const SHORT_ID = 8;
export const SCOPES = { rlimit: "ulimit", cgroup: "cgroup", host: "machine" };
export const FULL_SECONDS = 300;
export const TIGHT_SECONDS = 1800;

export function memoryOf(kernel) {
  return kernel.memory_rss_bytes + kernel.children_memory_rss_bytes;
}

export function restartsOf(kernel) {
  return kernel.restarts_total.automatic + kernel.restarts_total.requested;
}

export function tightestOf(kernel) {
  return kernel.limits.reduce(
    (least, limit) => (least === null || limit.headroom_bytes < least.headroom_bytes ? limit : least),
    null,
  );
}

export function levelOf(kernel) {
  const limit = tightestOf(kernel);
  const seconds = kernel.memory_exhaustion_seconds ?? Infinity;
  const share = limit !== null && limit.limit_bytes > 0 ? limit.headroom_bytes / limit.limit_bytes : 1;
  if (share < 0.1 || seconds < FULL_SECONDS) return "full";
  return share < 0.2 || seconds < TIGHT_SECONDS ? "tight" : "";
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

export function leftBelow(limit) {
  if (limit === null) return "no limit known";
  return `${size(limit.headroom_bytes)} left, ${SCOPES[limit.scope]}`;
}

export function inWords(kernel, takenAt) {
  const tightest = tightestOf(kernel);
  const [own, others] = sharesOf(memoryOf(kernel), tightest);
  const seconds = kernel.memory_exhaustion_seconds;
  return {
    level: levelOf(kernel),
    own,
    others,
    state: kernel.state,
    texts: {
      id: kernel.kernel_id.slice(0, SHORT_ID),
      person: kernel.username,
      notebook: kernel.notebook || UNKNOWN,
      kernel: kernel.kernel_name || UNKNOWN,
      state: kernel.state,
      memory: size(memoryOf(kernel)),
      limit: tightest === null ? "" : `of ${size(tightest.limit_bytes)}`,
      left: leftBelow(tightest),
      growth: growth(kernel.memory_growth_bytes_per_second),
      pace: pace(kernel.memory_growth_bytes_per_second, tightest === null ? null : tightest.headroom_bytes),
      exhaustion: seconds === null ? UNKNOWN : duration(seconds),
      cpu: cores(kernel.cpu_cores),
      restarts: String(restartsOf(kernel)),
      up: duration(takenAt - kernel.start_time_seconds),
    },
  };
}

export function summaryOf(kernels) {
  return {
    kernels: String(kernels.length),
    people: String(new Set(kernels.map((kernel) => kernel.username)).size),
    memory: size(kernels.reduce((sum, kernel) => sum + memoryOf(kernel), 0)),
    cpu: cores(kernels.reduce((sum, kernel) => sum + (kernel.cpu_cores ?? 0), 0)),
    full: String(kernels.filter((kernel) => levelOf(kernel) === "full").length),
  };
}
