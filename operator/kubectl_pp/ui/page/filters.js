// The filters: they live in the fragment of the address, so that a link, the back button and a reload keep them.

import { byId, el, foreign, setText } from "./dom.js";
import { count, uploads } from "./words.js";

export const GROUPS = [
  ["", "in flight", "busy"],
  ["attention", "need attention", "bad"],
  ["retrying", "backing off", "waiting"],
  ["long", "waiting long", "waiting"],
  ["failed", "failed", "bad"],
  ["succeeded", "succeeded", "good"],
  ["all", "in all", "faint"],
];
const FILTERS = ["view", "status", "step", "user", "text", "retries", "older"];
const ALL = [...FILTERS, "start", "open"];
const EMPTY = {
  "": "Nothing is in postprocessing. An upload appears here as soon as the operator has received it; those that have ended are under succeeded and failed.",
  attention:
    "Nothing needs attention. Uploads that are stalled or held, at a step without a service, or queued for a step that does not answer, would be here.",
  retrying:
    "Nothing is backing off. Uploads would be here while they wait for the next attempt of a step that has failed.",
  long: "Nothing waits long. Uploads that are in one stage for more than 5 minutes would be here.",
  failed:
    "Nothing has failed. Uploads that ended without being released stay here until their time to live expires.",
  succeeded: "Nothing has ended yet. Released uploads stay here until their time to live expires.",
  all: "There are no uploads.",
};

/** What the address asks for. */
export function read() {
  const params = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(ALL.map((name) => [name, params.get(name) ?? ""]));
}

/** The fragment for some values; what is empty is left out. */
export function fragment(values) {
  const params = new URLSearchParams(
    ALL.filter((name) => values[name]).map((name) => [name, String(values[name])]),
  );
  return `#${params}`;
}

/** Go to the same page with some values changed. A changed filter begins with the first row. */
export function go(changes, { replace = false } = {}) {
  const values = { ...read(), ...("start" in changes || "open" in changes ? {} : { start: "" }), ...changes };
  history[replace ? "replaceState" : "pushState"](null, "", fragment(values));
  dispatchEvent(new Event("filters"));
}

export const query = (values) =>
  new URLSearchParams(Object.entries(values).filter(([, value]) => value)).toString();

/** The tiles above the list. */
export function showGroups(counts) {
  const box = byId("groups");
  if (!box.childElementCount) {
    box.append(
      ...GROUPS.map(([name, words, tone]) =>
        el(
          "button",
          {
            type: "button",
            class: `tile ${tone}`,
            "data-view": name,
            onclick: () => go({ view: name, status: "" }),
          },
          el("b"),
          " ",
          el("span", {}, words),
        ),
      ),
    );
  }
  for (const tile of box.children) {
    const number = counts.groups[tile.dataset.view] ?? 0;
    setText(tile.firstElementChild, count(number));
    tile.classList.toggle("none", number === 0);
  }
  showPressed(read());
}

/** Which tile is chosen. A status alone looks among all uploads, those that have ended too. */
function showPressed({ view, status }) {
  const shown = view || (status ? "all" : "");
  for (const tile of byId("groups").children)
    tile.setAttribute("aria-pressed", String(tile.dataset.view === shown));
}

/** The choices that there are, with how many uploads each has. */
export function showChoices(counts, steps) {
  if (counts)
    choices(
      byId("status"),
      "any",
      counts.states.map(([name, number]) => [name, `${name} (${count(number)})`]),
    );
  if (steps)
    choices(
      byId("step"),
      "any",
      steps.map(({ name }) => [name, name]),
    );
}

function choices(select, none, pairs) {
  const chosen = read()[select.id];
  const wanted = [["", none], ...pairs];
  if (chosen && !pairs.some(([value]) => value === chosen)) wanted.push([chosen, chosen]);
  wanted.forEach(([value, words], at) => {
    const option = select.options[at] ?? select.appendChild(el("option"));
    if (option.getAttribute("value") !== value) option.setAttribute("value", value);
    setText(option, words);
  });
  while (select.options.length > wanted.length) select.lastElementChild.remove();
  if (select.value !== chosen) select.value = chosen;
}

/** Fields and chips as the address says. */
export function showFilters() {
  const values = read();
  for (const name of ["text", "retries", "step", "status"]) {
    const field = byId(name);
    if (document.activeElement !== field || field.tagName === "SELECT") field.value = values[name];
  }
  const chips = FILTERS.filter((name) => values[name]).map((name) =>
    el(
      "li",
      {},
      el(
        "button",
        { type: "button", class: "chip", title: "Take this filter away", onclick: () => clear(name) },
        words(name, values[name]),
        " ×",
      ),
    ),
  );
  if (chips.length > 1)
    chips.push(el("li", {}, el("button", { type: "button", class: "chip", onclick: clearAll }, "all ×")));
  byId("chips").replaceChildren(...chips);
  showPressed(values);
}

function words(name, value) {
  const label = { view: "", text: "text ", retries: "retries ≥ ", older: "longer than " }[name] ?? `${name} `;
  const group = GROUPS.find(([view]) => view === value);
  return el(
    "span",
    {},
    label,
    name === "view" && group ? group[1] : foreign(name === "older" ? `${value} s` : value),
  );
}

function clear(name) {
  byId(name)?.blur();
  if (byId(name)) byId(name).value = "";
  go({ [name]: "" });
}

function clearAll() {
  go(Object.fromEntries(FILTERS.map((name) => [name, ""])));
}

/** How many there are; and where there are none, why. */
export function showFound(page, loaded, selected) {
  setText(byId("found"), loaded ? `${uploads(page.total)} found` : "Reading the uploads…");
  const empty = byId("empty");
  empty.hidden = !loaded || page.total > 0;
  if (empty.hidden) return;
  const values = read();
  const others = FILTERS.filter((name) => name !== "view" && values[name]);
  const parts = others.length
    ? [
        "No upload matches all of these filters. ",
        el("button", { type: "button", onclick: clearAll }, "Take them away"),
      ]
    : [EMPTY[values.view] ?? EMPTY[""]];
  if (selected) parts.push(" The command line has a selector: other uploads are not read at all.");
  empty.replaceChildren(...parts);
}

/** Fields that change the address. */
export function listen() {
  let waiting = 0;
  byId("text").addEventListener("input", ({ target }) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => go({ text: target.value.trim() }, { replace: true }), 150);
  });
  byId("retries").addEventListener("input", ({ target }) =>
    go({ retries: Number(target.value) > 0 ? target.value : "" }, { replace: true }),
  );
  for (const name of ["step", "status"]) {
    byId(name).addEventListener("change", ({ target }) => go({ [name]: target.value }));
  }
}
