// Steps, and what the operator reports.

import { byId, el, foreign, setText, shape, svg } from "./dom.js";
import { go, read } from "./filters.js";
import { count, length, moment } from "./words.js";

const STORAGE = "finished";

/** One card for each step. */
export function showSteps(steps) {
  const focused = document.activeElement?.dataset?.stepName;
  const shown = steps.filter((step) => step.name !== STORAGE || total(step));
  byId("steps").replaceChildren(...shown.map(card));
  if (focused !== undefined) {
    [...byId("steps").querySelectorAll("button")]
      .find((each) => each.dataset.stepName === focused)
      ?.focus({ preventScroll: true });
  }
}

const total = ({ running, queued, retrying, stuck }) => running + queued + retrying + stuck;

function card(step) {
  const storage = step.name === STORAGE;
  const chosen = read().step === step.name;
  const name = el(
    "button",
    {
      type: "button",
      class: "name",
      "data-step-name": step.name,
      "aria-pressed": String(chosen),
      title: "Show the uploads of this step",
      onclick: () => go({ step: chosen ? "" : step.name, view: "" }),
    },
    foreign(storage ? "waiting for the storage" : step.name),
  );
  const facts = [
    fact(step.queued, "queued", "waiting faint"),
    fact(step.retrying, "backing off", "retrying waiting"),
    fact(step.stuck, "stalled or held", "held bad"),
  ].filter(Boolean);
  const pace = [];
  if (step.median !== null)
    pace.push(`half within ${length(step.median)}, slowest tenth over ${length(step.slow)}`);
  if (!storage) pace.push(`${count(step.answers)} answers in the last minute`);
  return el(
    "li",
    { class: step.unwell ? "card unwell" : "card" },
    el("div", { class: "head" }, name, el("span", {}, running(step))),
    slots(step),
    facts.length ? el("p", { class: "facts" }, ...facts) : null,
    step.oldest ? el("p", {}, "longest there ", moment(step.oldest, "ago")) : null,
    el("p", { class: "muted" }, pace.join("; ")),
    step.open
      ? el(
          "p",
          { class: "bad" },
          shape("held bad"),
          " not well for ",
          moment(step.open, "ago"),
          "; uploads continue when a probe gets a good answer",
        )
      : step.unwell
      ? el(
          "p",
          { class: "bad" },
          shape("held bad"),
          " this step does not answer; is a service for it running?",
        )
      : null,
  );
}

function running(step) {
  const most = step.slots ? ` of ${count(step.slots)} slots` : "";
  return step.slots ? `${count(step.used ?? step.running)}${most}` : `${count(step.running)} running`;
}

function fact(number, words, look) {
  return number ? el("span", { class: "fact" }, shape(look), ` ${count(number)} ${words}`) : null;
}

/** A bar: how many of the slots are taken. */
function slots(step) {
  if (!step.slots) return null;
  const used = Math.min((step.used ?? step.running) / step.slots, 1);
  return svg(
    "svg",
    { class: "slots", viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "track", width: 100, height: 4 }),
    svg("rect", { class: used < 1 ? "busy" : "waiting", width: 100 * used, height: 4 }),
  );
}

/** What is wrong stands on top; all of it is at the end of the page. */
export function showOperator(findings) {
  const bad = findings.filter((each) => each.bad);
  byId("trouble").hidden = bad.length === 0;
  byId("trouble").replaceChildren(...bad.map(finding));
  byId("operator").hidden = findings.length === 0;
  byId("findings").replaceChildren(...findings.map((each) => el("li", {}, finding(each))));
}

function finding({ look, text, remedy }) {
  return el(
    "div",
    { class: "finding" },
    shape(look),
    el("p", {}, foreign(text), remedy ? el("span", { class: "muted" }, " Try: ", foreign(remedy)) : null),
  );
}

/** Whether what is shown is current. */
export function showPulse(text) {
  setText(byId("pulse"), text);
}
