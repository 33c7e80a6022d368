// Changes to the document: only what is different is touched, and texts from outside go into
// textContent and attributes, never into markup.

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

// The parts of an element that are to be filled, by name.
export function fieldsOf(element) {
  const found = element.querySelectorAll("[data-field]");
  const fields = Object.fromEntries(Array.from(found, (part) => [part.dataset.field, part]));
  if (element.dataset.field) fields[element.dataset.field] = element;
  return fields;
}

export function cloneOf(templateId) {
  return document.getElementById(templateId).content.firstElementChild.cloneNode(true);
}

// Brings the children of a parent into this order; those that are not in it go. Whoever has the
// keyboard's focus keeps it.
export function putInOrder(parent, wanted) {
  const moves = ordering(parent, wanted);
  while (!moves.next().done);
}

// The same move by move, for those who have to stop in between.
export function* ordering(parent, wanted) {
  const staying = new Set(wanted);
  for (const child of Array.from(parent.children)) {
    if (!staying.has(child)) yield child.remove();
  }
  let next = parent.firstElementChild;
  for (const child of wanted) {
    if (child === next) {
      next = next.nextElementSibling;
    } else if (next !== null && next.nextElementSibling === child) {
      // One has moved down: it alone moves, not all that have moved up.
      yield move(next, () => parent.append(next));
      next = child.nextElementSibling;
    } else {
      yield move(child, () => parent.insertBefore(child, next));
    }
  }
}

function move(child, put) {
  const focused = child.contains(document.activeElement) ? document.activeElement : null;
  put();
  focused?.focus({ preventScroll: true });
}

// Puts the answers to what is asked in toolbars into the page's address, without what is usual.
export function writeAddress(parameters) {
  const address = new URL(location.href);
  for (const [name, value] of Object.entries(parameters)) {
    if (value) address.searchParams.set(name, value);
    else address.searchParams.delete(name);
  }
  if (address.href !== location.href) history.replaceState(null, "", address);
}
