// The 3D view: both motions side by side under one camera, over each other, or one alone.

import { Box3, Group, PerspectiveCamera, Scene, Vector3, WebGLRenderer } from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import { Ground } from "./ground.js";

const AZIMUTH = (55 * Math.PI) / 180; // from the character's front (+Z) towards its left (+X)
const ELEVATION = (13 * Math.PI) / 180;
const ROOM = 1.22; // how much wider than the body the picture is

export class Viewer {
  constructor(host, actors, { onPick }) {
    Object.assign(this, { host, actors, onPick, time: 0, mode: "side", following: true, splats: false, dirty: true });
    this.renderer = new WebGLRenderer({ antialias: true, preserveDrawingBuffer: true });
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio, 2));
    this.renderer.setScissorTest(true);
    this.canvas = this.renderer.domElement;
    this.canvas.tabIndex = -1;
    host.prepend(this.canvas);
    const box = actors.reduce((whole, actor) => whole.union(actor.box), new Box3());
    this.size = box.getSize(new Vector3()).length();
    this.middle = new Vector3(0, 0.5 * box.getSize(new Vector3()).y, 0);
    this.scene = new Scene();
    this.world = new Group();
    this.scene.add(this.world);
    this.ground = new Ground(this.scene, this.renderer, this.size);
    this.world.add(this.ground.group, ...actors.map((actor) => actor.group));
    this.camera = new PerspectiveCamera(30, 1, 0.02 * this.size, 60 * this.size);
    this.controls = new OrbitControls(this.camera, this.canvas);
    this.controls.enableDamping = true;
    this.controls.maxPolarAngle = 0.53 * Math.PI;
    this.controls.minDistance = 0.3 * this.size;
    this.controls.maxDistance = 12 * this.size;
    this.controls.addEventListener("change", () => (this.dirty = true));
    this.controls.addEventListener("start", () => (this.touched = true));
    this.listen();
    this.home();
  }

  listen() {
    new ResizeObserver(() => this.resize()).observe(this.host);
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    const paint = () => {
      this.ground.paint(dark.matches ? "dark" : "light");
      this.dirty = true;
    };
    dark.addEventListener("change", paint);
    paint();
    let down = null;
    this.canvas.addEventListener("pointerdown", (event) => (down = [event.clientX, event.clientY]));
    this.canvas.addEventListener("pointerup", (event) => {
      if (down && Math.hypot(event.clientX - down[0], event.clientY - down[1]) < 4) this.pick(event);
      down = null;
    });
  }

  // The camera where it stood at first: as near as it can be with the whole body in view at all times, whatever the shape
  // of the window.
  home() {
    this.touched = false;
    const [pane] = this.panes();
    const tall = Math.tan((this.camera.fov * Math.PI) / 360) / ROOM;
    const wide = (tall * pane.width) / pane.height;
    const back = new Vector3(Math.sin(AZIMUTH) * Math.cos(ELEVATION), Math.sin(ELEVATION), Math.cos(AZIMUTH) * Math.cos(ELEVATION));
    const right = new Vector3(0, 1, 0).cross(back).normalize();
    const up = new Vector3().crossVectors(back, right);
    const points = this.seen();
    const [target, point] = [this.middle.clone(), new Vector3()];
    let distance = 0;
    for (let round = 0; round < 4; round++) {
      const placed = points.map((one) => point.subVectors(one, target) && [point.dot(right), point.dot(up), point.dot(back)]);
      distance = Math.max(...placed.map(([x, y, z]) => z + Math.max(Math.abs(x) / wide, Math.abs(y) / tall)));
      const bounds = [0, 1].map((k) => placed.map((one) => one[k] / (distance - one[2])));
      const [x, y] = bounds.map((slopes) => 0.5 * distance * (Math.min(...slopes) + Math.max(...slopes)));
      target.addScaledVector(right, x).addScaledVector(up, y);
    }
    this.controls.target.copy(target);
    this.camera.position.copy(target).addScaledVector(back, distance);
    this.controls.update();
    this.dirty = true;
  }

  // Points of all that is to be seen, where they lie before the camera.
  seen() {
    return this.panes().flatMap(({ actors }) => {
      const leader = actors[actors.length - 1];
      return actors.flatMap((actor) =>
        actor.outline.flatMap(({ time, points }) => {
          const [x, z] = leader.place(this.following ? time : 0.5 * leader.duration);
          return Array.from({ length: points.length / 3 }, (_, i) => new Vector3(points[3 * i] - x, points[3 * i + 1], points[3 * i + 2] - z));
        }),
      );
    });
  }

  follow(on) {
    this.following = on;
    if (!this.touched) this.home();
    this.dirty = true;
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.host;
    if (!width || !height) return;
    this.renderer.setSize(width, height, false);
    if (!this.touched) this.home();
    this.dirty = true;
  }

  show(mode) {
    this.mode = mode;
    if (!this.touched) this.home();
    this.dirty = true;
  }

  // Rectangles of the canvas in CSS pixels from its top left, and the actors in each.
  panes() {
    const width = this.host.clientWidth || 1;
    const height = this.host.clientHeight || 1;
    const one = (actors) => [{ x: 0, y: 0, width, height, actors }];
    if (this.mode === "over" || this.actors.length === 1) return one(this.actors);
    if (this.mode !== "side") return one(this.actors.filter((actor) => actor.motion.id === this.mode));
    const beside = width > 1.05 * height;
    return this.actors.map((actor, index) => {
      const share = 1 / this.actors.length;
      return beside
        ? { x: index * width * share, y: 0, width: width * share, height, actors: [actor] }
        : { x: 0, y: index * height * share, width, height: height * share, actors: [actor] };
    });
  }

  // The world moves under a camera that stands still: so orbiting and following do not disturb each other.
  place(pane) {
    const leader = pane.actors[pane.actors.length - 1];
    const [x, z] = leader.place(this.time);
    const [fixedX, fixedZ] = leader.place(0.5 * leader.duration);
    this.world.position.set(-(this.following ? x : fixedX), 0, -(this.following ? z : fixedZ));
    this.ground.follow(this.following ? x : fixedX, this.following ? z : fixedZ);
    this.ground.light(x + this.world.position.x, z + this.world.position.z);
  }

  aim(pane) {
    this.camera.aspect = pane.width / pane.height;
    this.camera.updateProjectionMatrix();
    this.camera.updateMatrixWorld();
  }

  draw() {
    this.controls.update();
    if (!this.dirty) return false;
    this.dirty = false;
    const whole = this.host.clientHeight;
    for (const actor of this.actors) actor.sample(this.time);
    for (const pane of this.panes()) {
      const over = pane.actors.length > 1;
      for (const actor of this.actors) {
        actor.group.visible = pane.actors.includes(actor);
        actor.dress(over && actor !== pane.actors[pane.actors.length - 1] ? "ghost" : this.splats ? "splats" : "solid");
      }
      this.place(pane);
      this.aim(pane);
      if (this.splats) pane.actors[pane.actors.length - 1].cloud.sort(this.camera);
      const bottom = whole - pane.y - pane.height;
      this.renderer.setViewport(pane.x, bottom, pane.width, pane.height);
      this.renderer.setScissor(pane.x, bottom, pane.width, pane.height);
      this.renderer.render(this.scene, this.camera);
    }
    return true;
  }

  skeleton(on) {
    for (const actor of this.actors) actor.skeleton.visible = on;
    this.dirty = true;
  }

  select(joint) {
    for (const actor of this.actors) actor.select(joint);
    this.dirty = true;
  }

  // The camera of the first pane, before which the motion itself moves: world to camera column by column, focal length and size. [px]
  eye() {
    const [pane] = this.panes();
    this.place(pane);
    this.aim(pane);
    this.world.updateMatrixWorld();
    const view = this.camera.matrixWorldInverse.clone().multiply(this.world.matrixWorld).elements;
    const ratio = this.renderer.getPixelRatio();
    const [width, height] = [pane.width * ratio, pane.height * ratio];
    return { view: [...view], focal: (0.5 * height) / Math.tan((this.camera.fov * Math.PI) / 360), width, height };
  }

  // The canvas as it is now, as a data URL; with `hide` without the Gaussians.
  picture(hide = false) {
    for (const actor of this.actors) actor.cloud?.mesh.layers.set(hide ? 1 : 0);
    this.dirty = true;
    this.draw();
    for (const actor of this.actors) actor.cloud?.mesh.layers.set(0);
    this.dirty = true;
    return this.canvas.toDataURL();
  }

  // The joint nearest to a click, if one is near.
  pick(event) {
    const bounds = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - bounds.left, event.clientY - bounds.top];
    const pane = this.panes().find((one) => x >= one.x && x < one.x + one.width && y >= one.y && y < one.y + one.height);
    if (!pane) return;
    this.place(pane);
    this.aim(pane);
    const point = new Vector3();
    let [best, nearest] = [-1, 26];
    for (const actor of pane.actors) {
      actor.places.forEach((place, joint) => {
        point.copy(place).add(this.world.position).project(this.camera);
        const away = Math.hypot(pane.x + (0.5 + 0.5 * point.x) * pane.width - x, pane.y + (0.5 - 0.5 * point.y) * pane.height - y);
        if (away < nearest) [best, nearest] = [joint, away];
      });
    }
    if (best >= 0) this.onPick(best);
  }
}
