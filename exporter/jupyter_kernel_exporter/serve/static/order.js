// Which kernels are shown, and in what order: the twin of serve/page/order.py.

import { TIGHT_SECONDS, levelOf, memoryOf, restartsOf } from "./rows.js";

// Each gives a list of numbers or texts that is compared part by part, upwards.
const KEYS = {
  trouble: (kernel) => {
    const seconds = kernel.memory_exhaustion_seconds;
    if (seconds !== null && seconds < TIGHT_SECONDS) return [0, seconds];
    return [{ full: 1, tight: 2 }[levelOf(kernel)] ?? 3, -memoryOf(kernel)];
  },
  notebook: (kernel) => [kernel.notebook.toLowerCase()],
  person: (kernel) => [kernel.username.toLowerCase()],
  kernel: (kernel) => [kernel.kernel_name.toLowerCase()],
  state: (kernel) => [kernel.state],
  memory: (kernel) => [memoryOf(kernel)],
  growth: (kernel) => [kernel.memory_growth_bytes_per_second ?? -Infinity],
  exhaustion: (kernel) => [kernel.memory_exhaustion_seconds ?? Infinity],
  cpu: (kernel) => [kernel.cpu_cores ?? -1],
  restarts: (kernel) => [restartsOf(kernel)],
};

function compare(one, other) {
  for (let at = 0; at < one.length; at += 1) {
    if (one[at] < other[at]) return -1;
    if (one[at] > other[at]) return 1;
  }
  return 0;
}

function textOf(kernel) {
  return [
    kernel.notebook,
    kernel.username,
    kernel.kernel_name,
    kernel.kernel_id,
    kernel.server,
    kernel.container,
    kernel.state,
  ].join("\n").toLowerCase();
}

// The kernels come from the API with the largest first: so do equal ones.
export function arrange(kernels, view) {
  const words = view.query.toLowerCase().split(/\s+/).filter(Boolean);
  const turn = view.falls ? -1 : 1;
  return kernels
    .filter((kernel) => {
      const text = words.length ? textOf(kernel) : "";
      return words.every((word) => text.includes(word));
    })
    .map((kernel) => [KEYS[view.sort](kernel), kernel])
    .sort(([one], [other]) => turn * compare(one, other))
    .map(([, kernel]) => kernel);
}
