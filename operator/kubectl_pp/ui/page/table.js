// The table: rows are kept and changed in place, so that focus and scroll stay where they are.

import { byId, command, el, foreign, setText, shape } from "./dom.js";
import { fragment, go, read } from "./filters.js";
import { count, moment } from "./words.js";

const PAGE = 50;
const [NAMESPACE, NAME, FILE, STEP, STATUS, LOOK, SINCE, RETRIES, NEXT, WHY] = Array(10).keys();
const LABELS = ["File", "Step", "Status", "Since", "Retries", "Next", "Why"];
const known = new Map();
let everywhere = false;

/** Whether the uploads are of all namespaces: then each row names its own. */
export function ofAllNamespaces(yes) {
  everywhere = yes;
}

/** Rows that are new or changed, as the server sends them: a number, then the fields. */
export function put(rows) {
  for (const [number, ...fields] of rows) {
    const before = known.get(number);
    const row = {
      fields,
      element: before?.element ?? el("tr", { role: "row" }),
      text: JSON.stringify(fields),
    };
    known.set(number, row);
    if (row.text !== before?.text) draw(row);
  }
}

function draw({ fields, element }) {
  const name = fields[FILE] || fields[NAME];
  const open = `${fields[NAMESPACE]}/${fields[NAME]}`;
  const cells = [
    el(
      "a",
      { href: fragment({ ...read(), open }), "data-open": open, title: fields[NAME] },
      everywhere ? el("span", { class: "muted" }, foreign(fields[NAMESPACE]), " / ") : null,
      foreign(name),
    ),
    foreign(fields[STEP] || "–"),
    el("span", { class: "state" }, shape(fields[LOOK]), foreign(fields[STATUS])),
    moment(fields[SINCE], "ago"),
    fields[RETRIES],
    fields[NEXT] === null ? "–" : moment(fields[NEXT], "in"),
    foreign(fields[WHY]),
  ];
  const held = element.contains(document.activeElement);
  element.replaceChildren(
    ...cells.map((cell, at) => el("td", { role: "cell", "data-label": LABELS[at] }, cell)),
  );
  element.className = fields[LOOK].endsWith("bad") ? "bad-row" : "";
  if (held) link(element)?.focus({ preventScroll: true });
}

const link = (row) => row.querySelector("a");

/** Which rows there are in which order; and the buttons for those before and after. */
export function arrange({ order, start, total, commands }) {
  const body = byId("rows");
  const focused = document.activeElement?.closest?.("#rows tr");
  const wanted = order.map((number) => known.get(number)?.element).filter(Boolean);
  wanted.forEach((row, at) => {
    if (body.children[at] !== row) body.insertBefore(row, body.children[at] ?? null);
  });
  while (body.childElementCount > wanted.length) body.lastElementChild.remove();
  if (focused?.isConnected && !focused.contains(document.activeElement))
    link(focused).focus({ preventScroll: true });
  const kept = new Set(order);
  for (const number of known.keys()) if (!kept.has(number)) known.delete(number);
  byId("table").hidden = total === 0;
  byId("pager").hidden = total <= PAGE && start === 0;
  setText(
    byId("range"),
    `${count(Math.min(start + 1, total))} to ${count(start + order.length)} of ${count(total)}`,
  );
  byId("before").disabled = start === 0;
  byId("after").disabled = start + PAGE >= total;
  byId("commands").replaceChildren(
    ...commands.map(({ text, command: line }) =>
      el("div", { class: "hint" }, el("p", {}, text), command(line)),
    ),
  );
}

/** Move the focus by rows. */
export function move(by) {
  const rows = [...byId("rows").children];
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = rows[at < 0 ? 0 : Math.min(Math.max(at + by, 0), rows.length - 1)];
  if (next) link(next).focus();
}

/** Focus on an upload, where it is on the page. */
export function focusOn(open) {
  const found = [...byId("rows").querySelectorAll("a")].find((each) => each.dataset.open === open);
  found?.focus();
}

/** Buttons that change the page. */
export function listen() {
  byId("before").addEventListener("click", () => turn(-PAGE));
  byId("after").addEventListener("click", () => turn(PAGE));
  byId("rows").addEventListener("click", (event) => {
    const anchor = event.target.closest("a");
    if (!anchor || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go({ open: anchor.dataset.open });
  });
}

function turn(by) {
  const start = Number(read().start) + by;
  go({ start: start > 0 ? start : "" });
  byId("list-title").scrollIntoView();
}
