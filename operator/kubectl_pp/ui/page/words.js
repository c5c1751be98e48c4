// Times in words, as kubectl writes ages. The server's clock counts: it made the times.

import { el, setText } from "./dom.js";

const FORMS = [
  // below this many seconds: unit and smaller unit, both in seconds
  [120, 1, "s", 1, ""],
  [600, 60, "m", 1, "s"],
  [10800, 60, "m", 1, ""],
  [28800, 3600, "h", 60, "m"],
  [172800, 3600, "h", 1, ""],
  [691200, 86400, "d", 3600, "h"],
  [Infinity, 86400, "d", 1, ""],
];
let ahead = 0;

/** Learn what the server's clock shows now. */
export function setClock(seconds) {
  ahead = seconds - Date.now() / 1000;
}

export const now = () => Date.now() / 1000 + ahead;

/** A length of time in at most two units. */
export function length(seconds) {
  const positive = Math.max(seconds, 0);
  if (positive < 1) return `${Math.round(positive * 1000)}ms`;
  if (positive < 10) return `${positive.toFixed(1).replace(/\.0$/, "")}s`;
  const whole = Math.floor(positive);
  const [, size, unit, smallSize, small] = FORMS.find(([limit]) => whole < limit);
  const rest = small ? Math.floor((whole % size) / smallSize) : 0;
  return `${Math.floor(whole / size)}${unit}${rest ? `${rest}${small}` : ""}`;
}

/** Like length, in whole seconds, so that the eye can rest. */
const calm = (seconds) => (seconds < 1 ? "0s" : length(Math.floor(seconds)));

/** The local time of day; of another day with its date. */
export function clock(at) {
  const moment = new Date(at * 1000);
  const time = moment.toLocaleTimeString("en-GB");
  return moment.toDateString() === new Date().toDateString()
    ? time
    : `${moment.toLocaleDateString("sv")} ${time}`;
}

const SAY = {
  ago: (at) => calm(now() - at),
  in: (at) => (at > now() ? `in ${calm(at - now())}` : "due"),
  until: (at, start) => calm(at - start),
};

/** A moment that is updated automatically: `ago` or `in`. The absolute time is in its title. */
export function moment(at, form) {
  return el(
    "time",
    { datetime: new Date(at * 1000).toISOString(), title: clock(at), "data-at": at, "data-form": form },
    SAY[form](at),
  );
}

/** Let all moments on the page show what they are now. */
export function tick() {
  for (const each of document.querySelectorAll("time[data-at]")) {
    setText(each, SAY[each.dataset.form](Number(each.dataset.at)));
  }
}

export const count = (number) => number.toLocaleString("en");

/** 1 upload, 2 uploads. */
export const uploads = (number) => `${count(number)} ${number === 1 ? "upload" : "uploads"}`;
