// What stands beside the 3D view: joint angles, feet, figures, losses, parameters, downloads.

import { legend, lineChart, stripChart } from "./charts.js";
import { byId, el } from "./dom.js";

const DEGREES = 180 / Math.PI;
const AXES = ["1st axis", "2nd axis", "3rd axis"];
const ROOT = ["sideways (x)", "height (y)", "ahead (z)"];

export const style = (motion) => ({ color: motion.color, dash: motion.dash });

export function header(data) {
  byId("prompt").textContent = data.prompt;
  const facts = data.facts.map((fact) => el("li", {}, fact));
  byId("facts").replaceChildren(...facts);
}

function seconds(motion) {
  return Array.from({ length: motion.frames }, (_, frame) => frame / motion.fps);
}

// Curves of one joint, one chart an axis; redrawn when another joint is chosen.
export class Curves {
  constructor(data, onSeek, onSelect) {
    Object.assign(this, { data, onSeek, charts: [] });
    this.end = Math.max(...data.motions.map((motion) => (motion.frames - 1) / motion.fps));
    this.select = byId("joint");
    this.select.append(...data.joints.map((joint, index) => el("option", { value: index }, joint.name + (joint.role && joint.role !== joint.name.replaceAll("_", " ") ? ` (${joint.role})` : ""))));
    this.select.addEventListener("change", () => onSelect(Number(this.select.value)));
    byId("curves-legend").replaceChildren(legend(data.motions.map((motion) => ({ name: motion.label, ...style(motion) }))));
  }

  show(joint, time) {
    this.select.value = joint;
    const root = joint === 0;
    const host = byId("curves");
    const places = AXES.map((name, axis) => el("figure", {}, el("figcaption", {}, root ? `position ${ROOT[axis]}` : name), el("div", { "data-axis": axis })));
    host.replaceChildren(...places);
    this.charts = places.map((place, axis) => {
      const series = this.data.motions.map((motion) => {
        const y = seconds(motion).map((_, frame) => (root ? motion.root[3 * frame + axis] : motion.angles[joint][3 * frame + axis] * DEGREES));
        return { x: seconds(motion), y, name: motion.label, ...style(motion) };
      });
      const limits = this.data.joints[joint].limits[axis].map((value) => value * DEGREES);
      return lineChart(place.lastChild, {
        series, x: [0, this.end], unit: root ? " m" : "°", xUnit: axis === 2 ? " s" : "", height: axis === 2 ? 108 : 88,
        band: root ? null : limits, least: root ? 0.02 : 6, title: `${this.data.joints[joint].name}, ${root ? ROOT[axis] : AXES[axis]}`, onSeek: this.onSeek,
      });
    });
    byId("curves-note").textContent = root ? "Where the root joint is. Its turn is in the model." : "Turn from rest about the joint's own axes. The shade is what its limits allow.";
    this.move(time);
  }

  move(time) {
    for (const chart of this.charts) chart.move(time);
  }
}

export function feet(data, onSeek) {
  const names = data.motions[0].feet.map((foot) => foot.name);
  if (!names.length) {
    byId("feet-card").hidden = true;
    return { move() {} };
  }
  const two = !names.some((name) => name.includes("fore")); // who has only hind legs has legs
  const rows = names.map((name, index) => ({
    name: (two ? name.replace("_hind", "") : name).replaceAll("_", " "),
    strips: data.motions.map((motion) => ({ color: motion.color, runs: motion.feet[index].runs, name: motion.label })),
  }));
  byId("feet-legend").replaceChildren(legend(data.motions.map((motion) => ({ name: motion.label, color: motion.color }))));
  return stripChart(byId("feet"), { rows, end: Math.max(...data.motions.map((motion) => (motion.frames - 1) / motion.fps)), onSeek });
}

export function metrics(data) {
  const head = el("tr", {}, el("th", { scope: "col" }, "figure"), data.motions.map((motion) => el("th", { scope: "col", class: `of-${motion.id}` }, motion.label)));
  const rows = data.metrics.map((row) => el("tr", { title: row.help }, el("th", { scope: "row" }, row.name, row.unit ? el("span", { class: "unit" }, ` ${row.unit}`) : null), row.values.map((value) => el("td", {}, value))));
  byId("metrics").replaceChildren(el("table", {}, el("thead", {}, head), el("tbody", {}, rows)));
  byId("summaries").replaceChildren(...data.motions.filter((motion) => motion.summary).map((motion) => el("p", { class: `said of-${motion.id}` }, el("b", {}, `${motion.label}: `), motion.summary)));
}

export function losses(data) {
  const host = byId("losses");
  const shown = data.motions.filter((motion) => motion.losses && motion.losses.rows.length > 1);
  if (!shown.length) return void (byId("losses-card").hidden = true);
  for (const motion of shown) {
    const { names, rows } = motion.losses;
    const wanted = ["loss", "score_rms"].find((name) => names.includes(name)) ?? names[1];
    const choice = el("select", { "aria-label": `which figure of ${motion.label}` }, names.slice(1).map((name) => el("option", { value: name, selected: name === wanted }, name.replaceAll("_", " "))));
    const place = el("div");
    const draw = () => {
      const column = names.indexOf(choice.value);
      const y = rows.map((row) => row[column]);
      const positive = y.every((value) => value > 0) && Math.max(...y) > 20 * Math.min(...y);
      const inner = el("div");
      place.replaceChildren(inner);
      lineChart(inner, { series: [{ x: rows.map((row) => row[0]), y, name: choice.value, color: motion.color }], x: [rows[0][0], rows[rows.length - 1][0]], xUnit: " ", log: positive, height: 130, title: `${motion.label}: ${choice.value}` });
    };
    choice.addEventListener("change", draw);
    host.append(el("figure", {}, el("figcaption", {}, el("b", {}, motion.label), " ", choice, el("span", { class: "unit" }, " by iteration")), place));
    draw();
  }
}

export function parameters(data) {
  byId("settings").replaceChildren(
    ...data.motions.map((motion, index) =>
      el(
        "details",
        { open: index === 0 && window.innerWidth > 800 },
        el("summary", {}, el("b", {}, motion.label), ` ${motion.made}`),
        el("div", { class: "long", tabindex: 0 }, el("table", {}, el("tbody", {}, motion.settings.map(([name, value, given]) => el("tr", { class: given ? "given" : null, title: given ? "given by hand" : null }, el("th", { scope: "row" }, name), el("td", {}, value)))))),
      ),
    ),
  );
}

function save(name, content, type) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function size(bytes) {
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.max(Math.round(bytes / 1e3), 1)} kB`;
}

export function downloads(data, models, picture) {
  const inside = Object.entries(models).map(([id, bytes]) =>
    el("button", { type: "button", id: `download-${id}`, onclick: () => save(`${data.slug}-${id}.glb`, bytes, "model/gltf-binary") }, `${id}.glb`, el("span", { class: "unit" }, ` ${size(bytes.length)}`)),
  );
  const figures = JSON.stringify({ prompt: data.prompt, motions: data.motions, joints: data.joints, metrics: data.metrics }, null, 1);
  inside.push(el("button", { type: "button", onclick: () => save(`${data.slug}.json`, figures, "application/json") }, "curves and figures", el("span", { class: "unit" }, " .json")));
  if (picture) inside.push(el("button", { type: "button", onclick: () => picture((blob) => save(`${data.slug}.png`, blob, "image/png")) }, "picture of the view", el("span", { class: "unit" }, " .png")));
  byId("downloads").replaceChildren(...inside);
  byId("beside").hidden = !data.files.length;
  byId("files").replaceChildren(...data.files.map((file) => el("li", {}, el("a", { href: `./${encodeURIComponent(file.name)}`, download: file.name }, file.name), el("span", { class: "unit" }, ` ${size(file.bytes)}`))));
}
