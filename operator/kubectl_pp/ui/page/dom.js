// Elements. Foreign text only ever becomes a text node: nothing here parses markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; strings become text nodes, and nothing else is left out. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** Text from outside: its direction does not affect the text beside it. */
export const foreign = (text) => el("bdi", {}, String(text));

export const byId = (id) => document.getElementById(id);

/** Change a text only where it is another one, so that nothing is drawn or read out again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const SHAPES = {
  done: "M3 8.5 6.5 12 13 4.5",
  running: "M8 3a5 5 0 1 0 .01 0M8 6.2a1.8 1.8 0 1 0 .01 0",
  waiting: "M8 3a5 5 0 1 0 .01 0M8 5.2V8l2 1.6",
  retrying: "M12.5 8A4.5 4.5 0 1 1 11 4.6M11.4 2.2v2.9H8.6",
  held: "M8 2.4 14.4 13.4H1.6ZM8 6.4v3.4M8 11.2v.9",
  failed: "M4 4 12 12M12 4 4 12",
  skipped: "M3.5 8h9",
};
const TONES = new Set(["good", "busy", "waiting", "bad", "faint"]);

/** The shape of a state, in its colour. The words beside it say the same. */
export function shape(look) {
  const [name, tone] = look.split(" ");
  return svg(
    "svg",
    { class: `shape ${TONES.has(tone) ? tone : "faint"}`, viewBox: "0 0 16 16", "aria-hidden": "true" },
    svg("path", { d: SHAPES[name] ?? SHAPES.waiting }),
  );
}

/** A command, and a button that copies it. */
export function command(text) {
  const button = el(
    "button",
    { type: "button", class: "copy", "data-copy": text, "aria-label": `Copy: ${text}` },
    "Copy",
  );
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select it";
      getSelection().selectAllChildren(button.previousElementSibling);
    }
    setTimeout(() => setText(button, "Copy"), 2000);
  });
  return el("div", { class: "command" }, el("code", {}, text), button);
}
