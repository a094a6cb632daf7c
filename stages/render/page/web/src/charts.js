// Line charts and contact strips as SVG, redrawn at the width they get, with a cursor that follows the time.

import { el, svg } from "./dom.js";

const LEFT = 46;
const RIGHT = 8;

function ticks(low, high, count) {
  const raw = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const steps = [0.2, 0.5, 1, 2, 5, 10].map((m) => m * power);
  const at = (step) => {
    const found = [];
    for (let value = Math.ceil(low / step) * step; value <= high + 1e-9 * step; value += step) found.push(Math.abs(value) < 1e-9 * step ? 0 : value);
    return found;
  };
  const wanted = steps.findIndex((step) => step >= raw);
  const found = at(steps[wanted]);
  return found.length > 1 ? found : at(steps[wanted - 1]); // one alone tells no scale
}

// Powers of ten, and 2 and 5 times them where there is room. [logarithms]
function powers(low, high) {
  const wanted = high - low < 1.2 ? [1, 2, 5] : [1];
  const whole = Array.from({ length: Math.ceil(high) - Math.floor(low) + 1 }, (_, i) => Math.floor(low) + i);
  return whole.flatMap((power) => wanted.map((m) => power + Math.log10(m))).filter((value) => value > low && value < high);
}

function short(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.01 || size >= 1e5)) return value.toExponential(0).replace("e+", "e");
  return String(Number(value.toPrecision(3)));
}

// Draws again whenever the host's width changes; `draw(width)` returns the SVG.
function responsive(host, draw) {
  let width = 0;
  const again = () => {
    width = Math.max(Math.floor(host.clientWidth), 160);
    host.replaceChildren(draw(width));
  };
  new ResizeObserver(() => Math.floor(host.clientWidth) !== width && again()).observe(host);
  again();
  return again;
}

function seeker(root, scale, onSeek) {
  if (!onSeek) return;
  const seek = (event) => onSeek(scale.invert(event.clientX - root.getBoundingClientRect().left));
  root.style.cursor = "col-resize";
  root.style.touchAction = "pan-y";
  root.addEventListener("pointerdown", (event) => {
    root.setPointerCapture(event.pointerId);
    seek(event);
  });
  root.addEventListener("pointermove", (event) => root.hasPointerCapture(event.pointerId) && seek(event));
}

function axis(low, high, from, to) {
  const span = high - low || 1;
  const scale = (value) => from + ((value - low) / span) * (to - from);
  scale.invert = (place) => Math.min(Math.max(low + ((place - from) / (to - from)) * span, low), high);
  return scale;
}

// series: [{x, y, color, dash, name}]; band: [low, high] or null; log: y axis in powers of ten.
export function lineChart(host, { series, x: [x0, x1], unit = "", xUnit = "", height = 110, band = null, log = false, least = 0, title = "", onSeek = null }) {
  let cursor = null;
  let scale = null;
  let now = x0;
  const move = (value) => {
    now = value;
    cursor?.setAttribute("transform", `translate(${scale(now)} 0)`);
  };
  const map = log ? (v) => Math.log10(Math.max(v, 1e-12)) : (v) => v;
  const values = series.flatMap((one) => Array.from(one.y, map)).filter(Number.isFinite);
  let [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
  const room = Math.max(high - low, least, 1e-6);
  const middle = (low + high) / 2;
  [low, high] = [middle - 0.56 * room, middle + 0.56 * room];

  const draw = (width) => {
    const bottom = height - (xUnit ? 26 : 8);
    const x = (scale = axis(x0, x1, LEFT, width - RIGHT));
    const y = axis(low, high, bottom, 8);
    const root = svg("svg", { width, height, role: "img", "aria-label": title, class: "chart" });
    if (band) {
      const [top, foot] = [Math.min(band[1], high), Math.max(band[0], low)];
      if (top > foot) root.append(svg("rect", { x: LEFT, width: width - LEFT - RIGHT, y: y(top), height: y(foot) - y(top), class: "band" }));
      for (const edge of band) if (edge > low && edge < high) root.append(svg("line", { x1: LEFT, x2: width - RIGHT, y1: y(edge), y2: y(edge), class: "limit" }));
    }
    for (const value of log ? powers(low, high) : ticks(low, high, 3)) {
      root.append(svg("line", { x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value), class: "grid" }));
      root.append(svg("text", { x: LEFT - 6, y: y(value) + 4, class: "tick", "text-anchor": "end" }, (log ? short(10 ** value) : short(value)) + unit));
    }
    if (xUnit) {
      for (const value of ticks(x0, x1, width / 90)) {
        const anchor = x(value) > width - 30 ? "end" : "middle";
        root.append(svg("text", { x: x(value), y: height - 6, class: "tick", "text-anchor": anchor }, `${short(value)}${xUnit}`));
      }
    }
    for (const one of series) {
      const points = Array.from(one.y, (v, i) => `${x(one.x[i]).toFixed(1)},${y(map(v)).toFixed(1)}`).join(" ");
      root.append(svg("polyline", { points, class: "line", stroke: one.color, "stroke-dasharray": one.dash || null }, svg("title", {}, one.name)));
    }
    if (onSeek) {
      cursor = svg("g", {}, svg("line", { x1: 0, x2: 0, y1: 4, y2: bottom, class: "cursor" }));
      root.append(cursor);
      move(now);
    }
    seeker(root, x, onSeek);
    return root;
  };
  responsive(host, draw);
  return { move };
}

// rows: [{name, strips: [{color, runs: [[start, end]], name}]}] over the time from 0 to `end`.
export function stripChart(host, { rows, end, onSeek }) {
  const [BAR, GAP, ROW] = [9, 3, 12];
  const label = Math.min(Math.max(...rows.map((row) => row.name.length), 4) * 6.6 + 10, 130);
  const each = (row) => row.strips.length * (BAR + GAP) + ROW - GAP;
  let cursor = null;
  let scale = null;
  let now = 0;
  const move = (value) => {
    now = value;
    cursor?.setAttribute("transform", `translate(${scale(now)} 0)`);
  };
  responsive(host, (width) => {
    const height = rows.reduce((sum, row) => sum + each(row), 0) + 26;
    const x = (scale = axis(0, end, label, width - RIGHT));
    const root = svg("svg", { width, height, role: "img", "aria-label": "When each foot is on the ground", class: "chart" });
    let y = 4;
    for (const row of rows) {
      const tall = each(row) - ROW + GAP;
      root.append(svg("text", { x: label - 8, y: y + tall / 2 + 3, class: "tick", "text-anchor": "end" }, row.name));
      row.strips.forEach((strip, index) => {
        const top = y + index * (BAR + GAP);
        root.append(svg("rect", { x: label, y: top, width: width - RIGHT - label, height: BAR, rx: 2, class: "track" }));
        for (const [start, stop] of strip.runs) {
          const title = svg("title", {}, `${row.name}, ${strip.name}: down from ${start.toFixed(2)} to ${stop.toFixed(2)} s`);
          root.append(svg("rect", { x: x(start), y: top, width: Math.max(x(stop) - x(start), 1), height: BAR, rx: 2, fill: strip.color }, title));
        }
      });
      y += each(row);
    }
    for (const value of ticks(0, end, width / 90)) {
      root.append(svg("text", { x: x(value), y: height - 6, class: "tick", "text-anchor": x(value) > width - 30 ? "end" : "middle" }, `${short(value)} s`));
    }
    cursor = svg("g", {}, svg("line", { x1: 0, x2: 0, y1: 0, y2: height - 22, class: "cursor" }));
    root.append(cursor);
    move(now);
    seeker(root, x, onSeek);
    return root;
  });
  return { move };
}

export function legend(entries) {
  return el(
    "div",
    { class: "legend" },
    entries.map(({ name, color, dash }) =>
      el(
        "span",
        {},
        svg("svg", { width: 26, height: 10, "aria-hidden": true }, svg("line", { x1: 1, x2: 25, y1: 5, y2: 5, stroke: color, "stroke-width": 3, "stroke-dasharray": dash || null })),
        name,
      ),
    ),
  );
}
