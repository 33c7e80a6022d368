// What is known of one kernel, as pairs of words; what is not known is left out.

import { SCOPES, memoryOf } from "./rows.js";
import { duration, fine, moment, size, times } from "./words.js";

const bytes = (count) => (count === null ? null : size(count));
const count = (value) => (value === null ? null : String(value));

function children(kernel) {
  if (kernel.children === 0) return "none";
  return `${kernel.children}, with ${size(kernel.children_memory_rss_bytes)}`;
}

function io({ read, write }) {
  const parts = [
    read === null ? "" : `${size(read)} read`,
    write === null ? "" : `${size(write)} written`,
  ].filter(Boolean);
  return parts.join(", ") || null;
}

function errors({ memory_error: memory, other }) {
  if (memory === null || other === null) return null;
  if (memory + other === 0) return "none heard";
  return [memory ? `MemoryError ${times(memory)}` : "", other ? `others ${times(other)}` : ""]
    .filter(Boolean).join(", ");
}

function restarts({ automatic, requested }) {
  if (automatic + requested === 0) return "none seen";
  return `${automatic} by itself, ${requested} asked for`;
}

export function factsOf(kernel, now) {
  const processor = kernel.cpu_seconds_total.user + kernel.cpu_seconds_total.system;
  const gpus = Object.entries(kernel.gpu_memory_bytes)
    .map(([gpu, used]) => `${size(used)} on GPU ${gpu}`).join(", ");
  return [
    ["State", kernel.state],
    ["Last active", kernel.last_activity_timestamp_seconds === null
      ? null : `${duration(now - kernel.last_activity_timestamp_seconds)} ago`],
    ["Busy in all", kernel.busy_seconds_total === null ? null : duration(kernel.busy_seconds_total)],
    ["Memory", `${size(memoryOf(kernel))}, of it ${size(kernel.memory_rss_bytes)} its own`],
    ["Children", children(kernel)],
    ["Peak of its process", bytes(kernel.memory_peak_rss_bytes)],
    ["Swapped out", bytes(kernel.memory_swap_bytes)],
    ["Proportional share (PSS)", bytes(kernel.memory_pss_bytes)],
    ...kernel.limits.map((limit) => [
      `Limit of the ${SCOPES[limit.scope]}`,
      `${size(limit.limit_bytes)}, ${size(limit.headroom_bytes)} left`,
    ]),
    ["Promised memory", kernel.memory_promised_bytes === null
      ? null : `${size(kernel.memory_promised_bytes)} (MEM_LIMIT), which nothing is seen to enforce`],
    ["GPU memory", gpus || null],
    ["Processor time", kernel.cpu_cores === null
      ? duration(processor) : `${duration(processor)}, now ${fine(kernel.cpu_cores)} cores`],
    ["Storage", io(kernel.io_bytes_total)],
    ["Waited for storage", kernel.io_wait_seconds_total === null ? null : duration(kernel.io_wait_seconds_total)],
    ["Major page faults", count(kernel.major_page_faults_total)],
    ["Threads", count(kernel.threads)],
    ["Open files", count(kernel.open_fds)],
    ["OOM score", count(kernel.oom_score)],
    ["Restarts", restarts(kernel.restarts_total)],
    ["Errors in cells", errors(kernel.errors_total)],
    ["Process", `${kernel.pid}, since ${moment(kernel.start_time_seconds)}`],
    ["Runs in", kernel.container || null],
    ["Jupyter server", kernel.server || null],
    ["Kernel id", kernel.kernel_id],
  ].filter(([, text]) => text !== null);
}
