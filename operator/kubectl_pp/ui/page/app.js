// The page: what the address asks for goes to the server, what comes back goes to the parts of the page.

import { charts } from "./charts.js";
import * as detail from "./detail.js";
import { byId, setText } from "./dom.js";
import * as filters from "./filters.js";
import * as keys from "./keys.js";
import * as overview from "./overview.js";
import * as table from "./table.js";
import { clock, count, now, setClock, tick, uploads } from "./words.js";

const RETRY_MS = 2000;
const HIDDEN_MS = 60000;
const place = { namespace: "", context: "", demo: false, selected: false };
const known = { counts: null, steps: null, loaded: false };
let source = null;
let asked = "";
let cut = 0;
let opened = "";
let listScroll = 0;

/** Follow what the address asks for. A connection that is lost is made again and again. */
function connect(force = false) {
  const wanted = filters.query(filters.read());
  if (!force && source && wanted === asked) return;
  source?.close();
  asked = wanted;
  source = new EventSource(`live?${wanted}`);
  const mine = source;
  for (const [name, take] of Object.entries(TAKE)) {
    mine.addEventListener(name, ({ data }) => {
      if (mine === source) take(JSON.parse(data));
    });
  }
  mine.addEventListener("error", () => {
    if (mine !== source) return;
    cut ||= now();
    stale(cut, "the page's server does not answer; if kubectl pp ui has ended, start it again");
    if (mine.readyState === EventSource.CLOSED) setTimeout(() => mine === source && connect(true), RETRY_MS);
  });
}

const TAKE = {
  hello(said) {
    Object.assign(place, said);
    cut = 0;
    table.ofAllNamespaces(!said.namespace);
    setClock(said.now);
    const parts = [
      said.demo ? "made-up uploads" : "",
      said.context && `context ${said.context}`,
      said.namespace ? `namespace ${said.namespace}` : "all namespaces",
    ];
    setText(byId("place"), parts.filter(Boolean).join(" · "));
  },
  state({ lost, asOf, loaded }) {
    known.loaded = loaded;
    if (lost) stale(asOf, lost);
    else current();
  },
  counts(counts) {
    known.counts = counts;
    filters.showGroups(counts);
    filters.showChoices(counts, null);
    announce(counts.groups.attention ?? 0);
  },
  steps(steps) {
    known.steps = steps;
    overview.showSteps(steps);
    filters.showChoices(null, steps);
  },
  operator: overview.showOperator,
  hour: (numbers) => charts(byId("charts"), numbers),
  rows: table.put,
  page(page) {
    table.arrange(page);
    filters.showFound(page, known.loaded, place.selected);
  },
  opened(version) {
    if (opened && detail.stamp() !== version) detail.show(opened, back);
  },
};

function stale(asOf, why) {
  const bar = byId("stale");
  setText(bar, `As of ${clock(asOf)}, reconnecting: ${why}`);
  bar.hidden = false;
  document.body.classList.add("old");
  overview.showPulse("");
}

function current() {
  byId("stale").hidden = true;
  document.body.classList.remove("old");
  overview.showPulse("live");
}

/** Screen readers hear of attention alone; the title shows it in the row of tabs. */
function announce(number) {
  const words = number
    ? `${uploads(number)} ${number === 1 ? "needs" : "need"} attention`
    : "Nothing needs attention";
  setText(byId("announcement"), words);
  document.title = `${number ? `(${count(number)}) ` : ""}Uploads in postprocessing`;
}

/** Show what the address says. */
function follow() {
  const values = filters.read();
  const before = opened;
  opened = values.open;
  if (opened && !before) listScroll = scrollY;
  byId("overview").hidden = Boolean(opened);
  byId("detail").hidden = !opened;
  filters.showFilters();
  if (known.steps) overview.showSteps(known.steps);
  connect();
  if (opened && opened !== before) {
    detail.forget();
    detail.show(opened, back);
    scrollTo(0, 0);
  } else if (!opened && before) {
    detail.forget();
    scrollTo(0, listScroll);
    requestAnimationFrame(() => table.focusOn(before));
  }
}

function back() {
  if (opened) filters.go({ open: "" });
}

let sleeping = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(sleeping);
  if (!document.hidden) {
    if (!source) connect(true);
    return;
  }
  sleeping = setTimeout(() => {
    source?.close();
    source = null;
  }, HIDDEN_MS);
});
addEventListener("filters", follow);
addEventListener("popstate", follow);
filters.listen();
table.listen();
keys.listen(back);
setInterval(tick, 1000);
follow();
