// Small charts of the last hour, minute by minute.

import { el, svg } from "./dom.js";
import { count, length } from "./words.js";

const WIDTH = 240;
const HEIGHT = 44;

/** Bars, stacked; each series has a tone. */
function bars(series) {
  const sums = series[0].values.map((_, at) => series.reduce((sum, { values }) => sum + values[at], 0));
  const most = Math.max(...sums, 1);
  const each = WIDTH / sums.length;
  const base = sums.map(() => HEIGHT);
  const drawn = series.flatMap(({ values, tone }) =>
    values.map((value, at) => {
      const height = (value / most) * (HEIGHT - 2);
      base[at] -= height;
      return value
        ? svg("rect", { class: tone, x: at * each, y: base[at], width: each - 0.8, height })
        : null;
    }),
  );
  return drawn;
}

/** A line with what is below it. */
function area(values, tone) {
  const most = Math.max(...values, 1);
  const points = values.map(
    (value, at) => `${((at + 0.5) * WIDTH) / values.length},${HEIGHT - (value / most) * (HEIGHT - 3)}`,
  );
  return [
    svg("polygon", {
      class: `${tone} below`,
      points: `${WIDTH / values.length / 2},${HEIGHT} ${points.join(" ")} ${WIDTH - WIDTH / values.length / 2},${HEIGHT}`,
    }),
    svg("polyline", { class: tone, points: points.join(" ") }),
  ];
}

function chart(title, figure, label, drawn) {
  return el(
    "figure",
    {},
    el("figcaption", {}, el("span", {}, title), el("b", {}, figure)),
    svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
      ...drawn,
    ),
    el("p", { class: "axis", "aria-hidden": "true" }, el("span", {}, "60 min ago"), el("span", {}, "now")),
  );
}

/** The three charts. The minute that runs is not over, so the one before it stands for now. */
export function charts(box, { good, bad, flight, ages }) {
  const lastMinute = good.at(-2) + bad.at(-2);
  const most = Math.max(...good.map((value, at) => value + bad[at]));
  const ended = good.reduce((a, b) => a + b, 0);
  const failed = bad.reduce((a, b) => a + b, 0);
  const flying = flight.at(-1);
  const age = ages.at(-1);
  box.replaceChildren(
    chart(
      "Ended each minute",
      `${count(lastMinute)}`,
      `Uploads that ended each minute of the last hour: ${count(ended)} succeeded, ${count(failed)} failed; in the last full minute ${lastMinute}, at most ${most}.`,
      bars([
        { values: bad, tone: "bad" },
        { values: good, tone: "good" },
      ]),
    ),
    chart(
      "In flight",
      count(flying),
      `Uploads in flight over the last hour: now ${count(flying)}, at most ${count(Math.max(...flight))}.`,
      area(flight, "busy"),
    ),
    chart(
      "Age of the oldest in flight",
      age ? length(age) : "–",
      `Age of the oldest upload in flight over the last hour: now ${length(age)}, at most ${length(Math.max(...ages))}.`,
      area(ages, "waiting"),
    ),
  );
}
