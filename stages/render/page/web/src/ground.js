// The stage on which the models stand: checkerboard, fog towards the horizon, sun and shadow.

import {
  CanvasTexture, Color, DirectionalLight, Fog, Group, HemisphereLight, Mesh, MeshBasicMaterial, PCFShadowMap, PlaneGeometry, RepeatWrapping, ShadowMaterial, SRGBColorSpace,
} from "three";

export const LOOKS = {
  light: { sky: "#e9eef3", light: "#d9dcdd", dark: "#c3c8ca", shadow: 0.3 },
  dark: { sky: "#1b2027", light: "#343b45", dark: "#2a3038", shadow: 0.5 },
};

function checkers(look) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 256;
  const paint = canvas.getContext("2d");
  paint.fillStyle = look.light;
  paint.fillRect(0, 0, 256, 256);
  paint.fillStyle = look.dark;
  paint.fillRect(0, 0, 128, 128);
  paint.fillRect(128, 128, 128, 128);
  return canvas;
}

export class Ground {
  // size: of the model, in metres; the squares and the horizon scale with it
  constructor(scene, renderer, size) {
    this.scene = scene;
    this.size = size;
    this.cell = Math.max(Number((size / 3).toPrecision(1)), 0.02);
    const wide = 80 * size;
    this.texture = new CanvasTexture(document.createElement("canvas"));
    this.texture.wrapS = this.texture.wrapT = RepeatWrapping;
    this.texture.repeat.setScalar(wide / (2 * this.cell));
    this.texture.anisotropy = renderer.capabilities.getMaxAnisotropy();
    this.texture.colorSpace = SRGBColorSpace;
    const plane = new PlaneGeometry(wide, wide).rotateX(-Math.PI / 2);
    this.floor = new Mesh(plane, new MeshBasicMaterial({ map: this.texture, toneMapped: false }));
    this.shade = new Mesh(plane, new ShadowMaterial({ polygonOffset: true, polygonOffsetFactor: -2, polygonOffsetUnits: -2 }));
    this.shade.receiveShadow = true;
    this.shade.renderOrder = 1;
    this.group = new Group().add(this.floor, this.shade);
    scene.fog = new Fog(0xffffff, 7 * size, 26 * size);
    renderer.shadowMap.enabled = true;
    renderer.shadowMap.type = PCFShadowMap;
    // together a little more than pi: what faces the sun shows its own colour, and nothing has to be toned down
    this.sun = new DirectionalLight(0xffffff, 1.85);
    this.sun.castShadow = true;
    this.sun.shadow.mapSize.setScalar(2048);
    this.sun.shadow.radius = 6;
    this.sun.shadow.bias = -0.0002; // only the floor receives shadows, none can fall on what casts it
    const eye = this.sun.shadow.camera;
    [eye.left, eye.right, eye.top, eye.bottom, eye.near, eye.far] = [-1.3 * size, 1.3 * size, 1.3 * size, -1.3 * size, 0.1 * size, 6 * size];
    scene.add(this.sun, this.sun.target, new HemisphereLight(0xffffff, 0xa4a9b2, 1.4));
  }

  paint(name) {
    const look = LOOKS[name];
    this.texture.image = checkers(look);
    this.texture.dispose();
    this.texture.needsUpdate = true;
    this.scene.background = new Color(look.sky);
    this.scene.fog.color.set(look.sky);
    this.shade.material.opacity = look.shadow;
  }

  // The floor reaches as far wherever the model walks; it moves by whole squares, so that nobody sees it.
  follow(x, z) {
    const snap = (value) => 2 * this.cell * Math.round(value / (2 * this.cell));
    this.group.position.set(snap(x), 0, snap(z));
  }

  // The sun stands still relative to the model, so that its shadow map is always fine enough.
  light(x, z) {
    this.sun.target.position.set(x, 0.3 * this.size, z);
    this.sun.position.set(x + 1.0 * this.size, 2.4 * this.size, z + 0.9 * this.size);
  }
}
