// One upload: where it stands, why, what to do, its steps, Events and YAML.

import { byId, command, el, foreign, shape, svg } from "./dom.js";
import { go } from "./filters.js";
import { clock, length, moment, now } from "./words.js";

let shown = "";
let version = null;
let asked = 0;

/** The version of what is shown; null while nothing is, and empty when the upload could not be read. */
export const stamp = () => version;

/** Fetch an upload and show it; `back` is what leaves it. */
export async function show(open, back) {
  asked += 1;
  const mine = asked;
  const box = byId("detail");
  let found;
  try {
    const answer = await fetch(`upload?${new URLSearchParams({ open })}`);
    found = await answer.json();
  } catch {
    found = { error: "the page's server does not answer", remedy: "is kubectl pp ui still running?" };
  }
  const text = `${open} ${JSON.stringify(found)}`;
  if (mine !== asked) return;
  version = found.stamp ?? "";
  if (text === shown) return;
  const again = shown.startsWith(`${open} `);
  shown = text;
  const focused = again ? document.activeElement?.dataset?.copy : undefined;
  const opened = new Set(again ? [...box.querySelectorAll("details[open]")].map((each) => each.id) : []);
  box.replaceChildren(
    el("button", { type: "button", id: "back", onclick: back }, "← Uploads"),
    ...(found.error ? problem(found) : page(found)),
  );
  for (const each of box.querySelectorAll("details"))
    each.open = opened.has(each.id) || (!again && each.id === "events");
  const copy =
    focused === undefined
      ? null
      : [...box.querySelectorAll("[data-copy]")].find((each) => each.dataset.copy === focused);
  if (copy) copy.focus({ preventScroll: true });
  else if (!again || document.activeElement === document.body) box.focus({ preventScroll: true });
}

/** Forget it: the next one is drawn from nothing. */
export function forget() {
  asked += 1;
  shown = "";
  version = null;
  byId("detail").replaceChildren();
}

function problem({ error, remedy }) {
  return [
    el("h2", {}, "This upload cannot be shown"),
    el("p", {}, foreign(error)),
    remedy ? el("p", { class: "muted" }, "Try: ", foreign(remedy)) : null,
  ].filter(Boolean);
}

function page(upload) {
  return [
    el("h2", { class: "file" }, foreign(upload.file || upload.name)),
    el("p", { class: "muted ids" }, foreign(upload.name), " in ", foreign(upload.namespace)),
    standing(upload),
    ...timeline(upload),
    ...advice(upload),
    facts(upload),
    section("events", `Events (${upload.events?.length ?? 0})`, events(upload.events)),
    section("conditions", `Conditions (${upload.conditions.length})`, conditions(upload.conditions)),
    section("yaml", "YAML", el("pre", { tabindex: 0, role: "region", "aria-label": "YAML" }, upload.yaml)),
  ].filter(Boolean);
}

/** The state, why, and when it continues. */
function standing(upload) {
  const parts = [
    shape(upload.look),
    el("b", {}, foreign(upload.status)),
    " for ",
    moment(upload.since, "ago"),
  ];
  const next = [];
  if (upload.next !== null) {
    const word = upload.delaying ? "continues " : "retries ";
    next.push(
      el(
        "p",
        { id: "next" },
        word,
        moment(upload.next, "in"),
        `, at ${clock(upload.next)}`,
        failures(upload.left),
      ),
    );
  } else if (upload.left !== null) {
    next.push(el("p", { id: "next" }, failures(upload.left).replace(/^; /, "")));
  }
  return el(
    "section",
    { class: `standing ${upload.look.split(" ")[1]}`, "aria-label": "Where it stands" },
    el("p", { class: "state" }, ...parts),
    el("p", { id: "why" }, foreign(upload.why)),
    ...next,
  );
}

function failures(left) {
  if (left === null) return "";
  return left === 0
    ? "; no retries left: the next failure ends the step"
    : `; ${left} more ${left === 1 ? "failure" : "failures"} allowed at this step`;
}

function facts({ facts: known, user, arrived, ended, removal }) {
  const only = user
    ? el(
        "button",
        {
          type: "button",
          class: "link",
          onclick: () => go({ user, open: "", view: "", step: "", status: "", text: "", retries: "" }),
        },
        "only this user",
      )
    : null;
  const pairs = [
    ["Size", known.size],
    ["Arrived", el("span", {}, clock(arrived), " (", moment(arrived, "ago"), " ago)")],
    ["Ended", ended ? el("span", {}, clock(ended), " (", moment(ended, "ago"), " ago)") : ""],
    ["Outcome", known.outcome],
    ["Wanted", known.wanted],
    ["Run", known.run],
    ["Removal", removal ? el("span", {}, moment(removal, "in"), `, at ${clock(removal)}`) : ""],
    ["User", user ? el("span", {}, foreign(user), " ", only) : ""],
    ["Space", known.space ? foreign(known.space) : ""],
    ["Upload id", known.id ? foreign(known.id) : ""],
  ];
  return el(
    "dl",
    { class: "pairs" },
    ...pairs
      .filter(([, value]) => value)
      .flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
  );
}

/** Steps in order, with real durations as bars on one axis. */
function timeline({ steps }) {
  if (!steps.length) return [el("h3", {}, "Steps"), el("p", {}, "None: the file is released at once.")];
  const begun = steps.filter(({ started }) => started !== null);
  const first = Math.min(...begun.map(({ started }) => started));
  const last = Math.max(
    ...begun.map(({ started, finished }) => finished ?? Math.max(now(), started)),
    first + 0.001,
  );
  return [
    el("h3", {}, "Steps"),
    el("ol", { class: "steps" }, ...steps.map((step) => line(step, first, last - first))),
  ];
}

function line(step, first, span) {
  const took =
    step.started === null
      ? null
      : (step.finished ?? null) === null
        ? moment(step.started, "ago")
        : length(step.finished - step.started);
  const tries =
    step.attempts > 1 || step.retries
      ? `attempt ${step.attempts}, ${step.retries} of ${step.most} retries used`
      : "";
  return el(
    "li",
    { class: step.current ? "current" : "", "aria-current": step.current ? "step" : null },
    el("span", { class: "step-name" }, shape(step.look), " ", foreign(step.name)),
    el("span", {}, foreign(step.words), step.reason ? el("span", {}, " (", foreign(step.reason), ")") : null),
    el(
      "span",
      { class: "took" },
      took ?? "",
      step.started === null ? "" : el("span", { class: "muted" }, ` from ${clock(step.started)}`),
    ),
    bar(step, first, span),
    tries ? el("span", { class: "muted wide" }, tries) : null,
    step.message ? el("q", { class: "wide" }, foreign(step.message)) : null,
  );
}

function bar(step, first, span) {
  const drawing = svg(
    "svg",
    { class: "span", viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "track", width: 100, height: 4 }),
  );
  if (step.started !== null) {
    const from = (100 * (step.started - first)) / span;
    const until = (100 * ((step.finished ?? now()) - first)) / span;
    const x = Math.min(from, 99);
    drawing.append(
      svg("rect", {
        class: step.look.split(" ")[1],
        x,
        width: Math.max(Math.min(until, 100) - x, 1),
        height: 4,
      }),
    );
  }
  return drawing;
}

function advice({ hints, same }) {
  const shownHints = hints.map(({ text, command: line }) =>
    el("div", { class: "hint" }, el("p", {}, foreign(text)), line ? command(line) : null),
  );
  return [
    el("h3", {}, "What to do"),
    ...shownHints,
    el("div", { class: "hint" }, el("p", { class: "muted" }, "The same in a terminal:"), command(same)),
  ];
}

const section = (id, title, content) => el("details", { id }, el("summary", {}, title), content);

function events(list) {
  if (list === null) return el("p", {}, "Not readable with your rights (list events).");
  if (!list.length) return el("p", {}, "None. Kubernetes keeps Events for an hour.");
  return el(
    "ul",
    { class: "events" },
    ...list.map(({ at, warning, reason, message, count }) =>
      el(
        "li",
        {},
        shape(warning ? "held waiting" : "running faint"),
        el("span", {}, moment(at, "ago"), " ago "),
        el("b", {}, foreign(reason)),
        " ",
        foreign(message),
        count > 1 ? ` (${count} times)` : "",
      ),
    ),
  );
}

function conditions(list) {
  return el(
    "ul",
    { class: "events" },
    ...list.map(({ type, status, reason, message, since }) =>
      el(
        "li",
        {},
        el("b", {}, foreign(type)),
        " ",
        foreign(status),
        " ",
        foreign(reason),
        " ",
        since ? el("span", { class: "muted" }, "for ", moment(since, "ago")) : null,
        message ? el("span", {}, ": ", foreign(message)) : null,
      ),
    ),
  );
}
