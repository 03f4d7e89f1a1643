// Small things that all views make.

/** An element with this class, and these texts and elements in it. */
export function make(tag, className = "", ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content.filter((piece) => piece !== null && piece !== ""));
  return element;
}

/** Buttons of which one is pressed; `chosen(value)` is called when that changes. */
export function segments(group, chosen) {
  const buttons = [...group.querySelectorAll("button")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      chosen(button.dataset.value);
    });
  }
}

export function ms(value) {
  if (value == null) return "–";
  return value >= 9.95 || value < 0.05 ? String(Math.round(value)) : value.toFixed(1);
}

export function percent(part, whole) {
  return whole ? `${Math.round((100 * part) / whole)} %` : "–";
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** `at` is seconds since 1970, or an ISO time. */
export function clock(at) {
  return CLOCK.format(typeof at === "number" ? at * 1000 : new Date(at));
}

/** Brings a list to these items, in order; what is there already is kept, with its focus and what is open in it. */
export function list(parent, items, keyOf, makeRow) {
  const known = new Map([...parent.children].map((row) => [row.dataset.key, row]));
  let at = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    let row = known.get(key);
    known.delete(key);
    if (!row) {
      row = makeRow(item);
      row.dataset.key = key;
    }
    if (row === at) at = at.nextSibling;
    else parent.insertBefore(row, at);
  }
  for (const row of known.values()) row.remove();
}

/** A row that opens: `fill(panel)` is called each time it does. */
export function opening(summary, fill, label) {
  const panel = make("div", "detail");
  panel.hidden = true;
  const button = make("button", "row", ...summary);
  button.type = "button";
  button.setAttribute("aria-expanded", "false");
  if (label) button.setAttribute("aria-label", label);
  button.addEventListener("click", () => {
    panel.hidden = !panel.hidden;
    button.setAttribute("aria-expanded", String(!panel.hidden));
    if (panel.hidden) panel.replaceChildren();
    else fill(panel);
  });
  return make("li", "", button, panel);
}
