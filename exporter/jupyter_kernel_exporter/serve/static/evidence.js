// The facts about an end, in words. What could not be asked is not among them.

import { setText } from "./dom.js";
import { duration } from "./words.js";

// Times are seconds after the end, negative before it.
function after(seconds) {
  const amount = Math.abs(seconds) < 10 ? `${Math.abs(seconds).toFixed(2)} s` : duration(Math.abs(seconds));
  return seconds < 0 ? `${amount} before the end` : `${amount} after the end`;
}

const WIDE = 44;

const span = (seconds) => (seconds < 10 ? `${seconds.toFixed(2)} s` : duration(seconds));
const yesNo = (fact) => (fact ? "yes" : "no");
function rise({ kills, others }) {
  if (!others) return String(kills);
  return `${kills}, ${kills === others ? "" : `${others} `}of other processes`;
}

function records(list) {
  if (list.length === 0) return "none names it";
  return list.map(({ scope, cgroup }) => (
    scope === "host" ? "the machine ran out" : `limit of ${cgroup || "its cgroup"}`
  )).join("; ");
}

// In the order in which people ask. Those marked are not worth a word unless they are so. What is
// left out is for the rules only.
const FACTS = [
  ["status", "Ended with", String],
  ["wrapper_status", "The shell around it ended with", String],
  ["status_is_wrappers", "Status is of the shell around it only", yesNo, true],
  ["pending_signals", "Signals on their way to it", (list) => list.join(", ") || "none"],
  ["age_seconds", "Its process had lived", span],
  ["ready", "Had ever answered", yesNo],
  ["oom_records", "Linux' records of an OOM kill", records],
  ["cgroup_oom", "OOM kills in its cgroup around the end", rise],
  ["host_oom", "OOM kills on the machine around the end", rise],
  ["cpu_limit_reached", "Had used up its CPU time limit", yesNo],
  ["shutdown_reply", "It announced", (said) => (said === "none" ? "nothing" : `a ${said}`)],
  ["shutdown_request_seen", "Had been asked to shut down", yesNo],
  ["exit_cell", "exit() or quit() was its last cell", yesNo],
  ["cull_logged", "Its server's log says that it was culled", yesNo],
  ["file_deleted_seconds", "Connection file deleted", after],
  ["server_file_deleted_seconds", "Server's own file deleted", after],
  ["server_died_seconds", "Its Jupyter server died", after],
  ["parent_changed", "Had lost the process that started it", yesNo],
  ["reaped_seconds", "Status fetched by its parent", after],
  ["successor_seconds", "A new process in its place", after],
];

// Pairs of words about one death.
export function factsOf(death) {
  const evidence = death.evidence;
  const told = FACTS.filter(([name]) => name in evidence && evidence[name] !== false)
    .map(([name, title, words]) => [title, words(evidence[name])]);
  const denied = FACTS.filter(([name, , , exception]) => evidence[name] === false && !exception)
    .map(([, title]) => title.replace(/^[A-Z]/, (letter) => letter.toLowerCase()));
  return [
    ...told,
    ...(denied.length ? [["Looked for, and not so", denied.join("; ")]] : []),
    ["Rule", death.rule],
    ["Kernel", death.kernel_id],
    ["Process", String(death.pid)],
    ...(death.server ? [["Jupyter server", death.server]] : []),
  ];
}

// Writes pairs of words into a <dl>.
export function writeFacts(list, facts) {
  const names = facts.map(([title]) => title).join("\n");
  if (list.dataset.names !== names) {
    list.replaceChildren(...facts.map(([title]) => {
      const pair = document.createElement("div");
      const term = document.createElement("dt");
      setText(term, title);
      pair.append(term, document.createElement("dd"));
      return pair;
    }));
    list.dataset.names = names;
  }
  facts.forEach(([, text], at) => {
    const pair = list.children[at];
    setText(pair.lastElementChild, text);
    pair.classList.toggle("wide", text.length > WIDE);
  });
}
