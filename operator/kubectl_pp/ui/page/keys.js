// The keyboard.

import { byId } from "./dom.js";
import { read } from "./filters.js";
import { move } from "./table.js";

const TYPING = new Set(["INPUT", "SELECT", "TEXTAREA"]);

/** `back` leaves an open upload. */
export function listen(back) {
  byId("help-button").addEventListener("click", () => byId("help").showModal());
  byId("skip").addEventListener("click", () => move(0));
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
    if (event.key === "Escape") escape(event, back);
    else if (!TYPING.has(event.target.tagName)) press(event);
  });
}

function escape(event, back) {
  if (read().open) back();
  else if (TYPING.has(event.target.tagName)) event.target.blur();
}

function press(event) {
  const listed = !read().open;
  if (event.key === "?") byId("help").showModal();
  else if (event.key === "/" && listed) byId("text").focus();
  else if ((event.key === "j" || event.key === "k") && listed) move(event.key === "j" ? 1 : -1);
  else return;
  event.preventDefault();
}
