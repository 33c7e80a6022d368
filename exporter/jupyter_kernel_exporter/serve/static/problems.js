// Sources that give less than they should, named.

import { setText } from "./dom.js";

export function showProblems(problems) {
  const section = document.getElementById("problems");
  const list = section.querySelector("ul");
  section.hidden = problems.length === 0;
  while (list.children.length > problems.length) list.lastElementChild.remove();
  problems.forEach(({ source, problem }, at) => {
    if (list.children.length <= at) {
      const item = document.createElement("li");
      item.append(document.createElement("b"), " ", document.createElement("span"));
      list.append(item);
    }
    const item = list.children[at];
    setText(item.firstElementChild, source);
    setText(item.lastElementChild, problem);
  });
}

export function ofSources(sources) {
  return sources.filter((source) => source.problem !== "" && !source.minor);
}
