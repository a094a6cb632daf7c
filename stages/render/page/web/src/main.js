// The page of one motion: reads what is embedded, shows it, keeps one clock for all parts.

import { Actor } from "./actor.js";
import { byId, el } from "./dom.js";
import { data, kernelBytes, modelBytes } from "./models.js";
import { Curves, downloads, feet, header, losses, metrics, parameters, style } from "./panels.js";
import { Kernels } from "./splats.js";
import { Viewer } from "./viewer.js";

const SPEEDS = [0.1, 0.25, 0.5, 1, 2];
const end = Math.max(...data.motions.map((motion) => (motion.frames - 1) / motion.fps));
const step = Math.min(...data.motions.map((motion) => 1 / motion.fps));
const state = { time: 0, playing: true, speed: 1, loop: true, mode: data.motions.length > 1 ? "side" : data.motions[0].id, joint: 0, skeleton: false, splats: false, frames: 0 };
let viewer = null;

const curves = new Curves(data, seek, select);
const strips = feet(data, seek);

function shown() {
  byId("scrub").value = state.time;
  const frame = Math.round(state.time / step);
  byId("clock").textContent = `${state.time.toFixed(2)} / ${end.toFixed(2)} s`;
  byId("scrub").setAttribute("aria-valuetext", `${state.time.toFixed(2)} seconds, frame ${frame}`);
  curves.move(state.time);
  strips.move(state.time);
  if (viewer) Object.assign(viewer, { time: state.time, dirty: true });
}

function seek(time) {
  state.time = Math.min(Math.max(time, 0), end);
  play(false);
  shown();
}

function play(on) {
  if (on && state.time >= end - 1e-6) state.time = 0;
  state.playing = on;
  byId("play").setAttribute("aria-label", on ? "pause" : "play");
  byId("play").setAttribute("aria-pressed", on);
  byId("play").dataset.state = on ? "pause" : "play";
}

function select(joint) {
  state.joint = (joint + data.joints.length) % data.joints.length;
  curves.show(state.joint, state.time);
  viewer?.select(state.joint);
}

function speed(value) {
  state.speed = value;
  byId("speed").value = value;
}

function show(mode) {
  state.mode = mode;
  for (const button of byId("modes").children) button.setAttribute("aria-pressed", button.dataset.mode === mode);
  viewer?.show(mode);
  tags();
}

function toggle(name, on, apply) {
  state[name] = on;
  byId(name).setAttribute("aria-pressed", on);
  apply?.(on);
}

const toggles = {
  loop: () => toggle("loop", !state.loop),
  skeleton: () => toggle("skeleton", !state.skeleton, (on) => viewer?.skeleton(on)),
  splats: () => byId("splats").hidden || toggle("splats", !state.splats, (on) => Object.assign(viewer, { splats: on, dirty: true })),
  follow: () => toggle("follow", !viewer?.following, (on) => viewer?.follow(on)),
};

// Names of the motions over the parts of the view that show them.
function tags() {
  if (!viewer) return;
  const marks = viewer.panes().map((pane) =>
    el(
      "div",
      { class: "tag", style: { left: `${pane.x + 10}px`, top: `${pane.y + pane.height - 36}px` } },
      pane.actors.map(({ motion }) => el("span", {}, el("i", { style: { background: motion.color } }), motion.label)),
    ),
  );
  byId("tags").replaceChildren(...marks);
}

const keys = {
  " ": () => play(!state.playing),
  ArrowLeft: (event) => seek(state.time - (event.shiftKey ? 5 : 1) * step),
  ArrowRight: (event) => seek(state.time + (event.shiftKey ? 5 : 1) * step),
  ArrowUp: () => speed(SPEEDS[Math.min(SPEEDS.indexOf(state.speed) + 1, SPEEDS.length - 1)]),
  ArrowDown: () => speed(SPEEDS[Math.max(SPEEDS.indexOf(state.speed) - 1, 0)]),
  Home: () => seek(0),
  End: () => seek(end),
  l: toggles.loop,
  s: toggles.skeleton,
  f: toggles.follow,
  g: toggles.splats,
  r: () => viewer?.home(),
  j: () => select(state.joint + 1),
  k: () => select(state.joint - 1),
  "?": () => byId("keys").showModal(),
};

function listen() {
  byId("play").addEventListener("click", () => play(!state.playing));
  byId("scrub").addEventListener("input", (event) => seek(Number(event.target.value)));
  byId("speed").addEventListener("change", (event) => speed(Number(event.target.value)));
  for (const [name, act] of Object.entries(toggles)) byId(name).addEventListener("click", act);
  byId("home").addEventListener("click", () => viewer?.home());
  byId("help").addEventListener("click", () => byId("keys").showModal());
  byId("keys").addEventListener("click", (event) => event.target === byId("keys") && byId("keys").close());
  window.addEventListener("keydown", (event) => {
    const modes = [...byId("modes").children].map((button) => button.dataset.mode);
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key] ?? (modes[Number(event.key) - 1] && (() => show(modes[Number(event.key) - 1])));
    const typing = event.target.matches("select, summary, a") || (event.target.matches("button") && event.key === " ");
    if (!act || typing || event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
    event.preventDefault();
    act(event);
  });
}

function controls() {
  Object.assign(byId("scrub"), { max: end, step: "any" });
  byId("speed").append(...SPEEDS.map((value) => el("option", { value, selected: value === 1 }, `${value}×`)));
  const both = data.motions.length > 1 ? [["side", "Side by side"], ["over", "Overlaid"]] : [];
  byId("modes").append(...[...both, ...data.motions.map((motion) => [motion.id, motion.label])].map(([mode, name]) => el("button", { type: "button", "data-mode": mode, onclick: () => show(mode) }, name)));
  for (const motion of data.motions) document.documentElement.style.setProperty(`--${motion.id}`, style(motion).color);
}

function run() {
  let before = performance.now();
  const turn = (now) => {
    if (state.playing) {
      state.time += Math.min((now - before) / 1000, 0.25) * state.speed;
      if (state.time > end) {
        state.time = state.loop && end > 0 ? state.time % end : end;
        if (!state.loop || end <= 0) play(false);
      }
      shown();
    }
    before = now;
    if (viewer?.draw()) state.frames += 1;
    requestAnimationFrame(turn);
  };
  requestAnimationFrame(turn);
}

async function start() {
  header(data);
  controls();
  listen();
  metrics(data);
  losses(data);
  parameters(data);
  const models = modelBytes();
  try {
    const actors = [];
    for (const motion of data.motions) actors.push(await Actor.load(motion, models[motion.id], data.joints));
    const packed = kernelBytes();
    if (packed) {
      const kernels = await Kernels.load(data.splats, packed);
      for (const actor of actors) actor.carry(kernels);
    }
    viewer = new Viewer(byId("view"), actors, { onPick: select });
    byId("splats").hidden = !packed;
    new ResizeObserver(tags).observe(byId("view"));
  } catch (error) {
    // no WebGL, such as in a remote desktop: everything but the view still works
    byId("failure").hidden = false;
    byId("failure-why").textContent = error.message;
  }
  downloads(data, models, viewer && ((done) => (viewer.dirty = true, viewer.draw(), viewer.canvas.toBlob(done))));
  select(data.joint);
  show(state.mode);
  const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  play(!still);
  shown();
  run();
  document.documentElement.dataset.ready = viewer ? "yes" : "no-view";
}

// for whoever drives the page from outside
const vertices = (id, time) => viewer.actors.find((actor) => actor.motion.id === id).vertices(time);
window.akd = { state, seek, play, show, select, vertices, eye: () => viewer.eye(), picture: (hide) => viewer.picture(hide) };
start();
