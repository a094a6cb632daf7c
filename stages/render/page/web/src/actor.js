// One animated model: sampled at a time, drawn as itself or as a ghost, with its skeleton over it.

import {
  AnimationMixer, Box3, Color, ConeGeometry, DoubleSide, Group, InstancedMesh, Matrix4, MeshBasicMaterial, MeshStandardMaterial, Quaternion, SphereGeometry, Vector3,
} from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
import { Cloud } from "./splats.js";

const UP = new Vector3(0, 1, 0);

export class Actor {
  static async load(motion, bytes, joints) {
    const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    const gltf = await new GLTFLoader().parseAsync(buffer, "");
    return new Actor(motion, gltf, joints);
  }

  constructor(motion, gltf, joints) {
    this.motion = motion;
    this.parents = joints.map((joint) => joint.parent);
    this.group = new Group().add(gltf.scene);
    this.meshes = [];
    gltf.scene.traverse((node) => node.isMesh && this.meshes.push(node));
    for (const mesh of this.meshes) {
      mesh.castShadow = true;
      mesh.material.shadowSide = DoubleSide; // soles reach into the ground: their upper sides must darken it too
      mesh.frustumCulled = false; // the bounds of the rest pose say nothing about this one
      mesh.material.metalness = 0; // a metal shows its surroundings, and there are none: it would be black
    }
    this.solid = this.meshes.map((mesh) => mesh.material);
    // joints in the order of the rig: the skin keeps it, names would be rewritten by the loader
    this.rig = this.meshes.find((mesh) => mesh.isSkinnedMesh).skeleton;
    this.bones = this.rig.bones;
    this.mixer = new AnimationMixer(gltf.scene);
    this.duration = gltf.animations[0].duration;
    this.action = this.mixer.clipAction(gltf.animations[0]);
    this.action.play();
    this.places = this.bones.map(() => new Vector3());
    this.sample(0);
    this.box = new Box3();
    for (const mesh of this.meshes) {
      mesh.computeBoundingBox();
      this.box.union(mesh.boundingBox);
    }
    this.path = smooth(this.middles(), motion.fps);
    this.outline = this.posed();
    this.sample(0);
    this.build();
  }

  sample(time) {
    this.action.time = Math.min(Math.max(time, 0), this.duration * (1 - 1e-6));
    this.mixer.update(0);
    this.group.updateMatrixWorld(true);
    const back = new Matrix4().copy(this.group.parent?.matrixWorld ?? new Matrix4()).invert();
    this.bones.forEach((bone, i) => this.places[i].setFromMatrixPosition(bone.matrixWorld).applyMatrix4(back));
    if (this.bars) this.pose();
    this.cloud?.pose(this.bones.map((bone, i) => new Matrix4().multiplyMatrices(back, bone.matrixWorld).multiply(this.rig.boneInverses[i])));
  }

  // Where the vertices (every `step`th) are at a time, x y z after x y z. [m]
  vertices(time, mesh = this.meshes[0], step = 1) {
    this.sample(time);
    const point = new Vector3();
    const back = new Matrix4().copy(this.group.matrixWorld).invert();
    return Array.from({ length: Math.ceil(mesh.geometry.attributes.position.count / step) }, (_, index) => {
      mesh.getVertexPosition(step * index, point);
      return point.applyMatrix4(mesh.matrixWorld).applyMatrix4(back).toArray();
    }).flat();
  }

  // Up to 25 times of the motion and some 200 vertices at each, for a camera to look for its place.
  posed() {
    const count = Math.min(this.motion.frames, 25);
    return Array.from({ length: count }, (_, part) => {
      const time = (part / Math.max(count - 1, 1)) * this.duration;
      const points = this.meshes.flatMap((mesh) => this.vertices(time, mesh, Math.ceil(mesh.geometry.attributes.position.count / 200)));
      return { time, points };
    });
  }

  // The middle of the joints on the ground, frame by frame: the root may be at one end of the body.
  middles() {
    return Array.from({ length: this.motion.frames }, (_, frame) => {
      this.sample(frame / this.motion.fps);
      const box = new Box3().setFromPoints(this.places);
      return [(box.min.x + box.max.x) / 2, (box.min.z + box.max.z) / 2];
    });
  }

  // The smoothed middle at a time: what a camera follows without swaying.
  place(time) {
    const at = Math.min(Math.max(time * this.motion.fps, 0), this.path.length - 1);
    const [from, to] = [this.path[Math.floor(at)], this.path[Math.ceil(at)]];
    const share = at - Math.floor(at);
    return [from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1])];
  }

  build() {
    const size = this.box.getSize(new Vector3()).length();
    const paint = (color, opacity) => new MeshBasicMaterial({ color, opacity, transparent: true, depthTest: false, depthWrite: false, fog: false });
    this.thick = 0.011 * size;
    // light bars with a dark rim are seen on any coat
    const bar = new ConeGeometry(1, 1, 6).translate(0, 0.5, 0);
    this.rims = new InstancedMesh(bar, paint("#10161d", 0.7), this.bones.length);
    this.bars = new InstancedMesh(bar, paint("#ffffff", 0.9), this.bones.length);
    this.rims.renderOrder = 9;
    this.knobs = new InstancedMesh(new SphereGeometry(1, 12, 8), paint("#ffffff", 1), this.bones.length);
    this.bars.renderOrder = 10;
    this.knobs.renderOrder = 11;
    this.skeleton = new Group().add(this.rims, this.bars, this.knobs);
    this.skeleton.visible = false;
    for (const part of this.skeleton.children) part.frustumCulled = false;
    this.group.add(this.skeleton);
    this.select(0);
    this.pose();
  }

  pose() {
    const [matrix, turn, along, scale] = [new Matrix4(), new Quaternion(), new Vector3(), new Vector3()];
    this.places.forEach((place, joint) => {
      const parent = this.parents[joint];
      const from = parent < 0 ? place : this.places[parent];
      along.subVectors(place, from);
      const length = along.length();
      if (length > 1e-9) turn.setFromUnitVectors(UP, along.divideScalar(length));
      for (const [part, wide] of [[this.rims, 1.1], [this.bars, 0.6]]) {
        scale.set(wide * this.thick, length, wide * this.thick);
        part.setMatrixAt(joint, matrix.compose(from, turn, length > 1e-9 ? scale : scale.setScalar(0)));
      }
      const knob = this.thick * (joint === this.selected ? 1.7 : 0.85);
      this.knobs.setMatrixAt(joint, matrix.makeScale(knob, knob, knob).setPosition(place));
    });
    for (const part of this.skeleton.children) part.instanceMatrix.needsUpdate = true;
  }

  select(joint) {
    this.selected = joint;
    const [plain, chosen] = [new Color(this.motion.color), new Color("#f0e442")]; // yellow, of the same palette
    this.bones.forEach((_, i) => this.knobs.setColorAt(i, i === joint ? chosen : plain));
    this.knobs.instanceColor.needsUpdate = true;
  }

  carry(kernels) {
    this.cloud = new Cloud(kernels, this.bones.length);
    this.group.add(this.cloud.mesh);
  }

  // "solid": as it is; "ghost": a translucent figure in the motion's colour, to be told from the one it overlaps;
  // "splats": its Gaussians, and the mesh for its shadow alone.
  dress(look) {
    // set back by a few hundredths of the body's size: where the two agree the solid one shows
    const back = { polygonOffset: true, polygonOffsetFactor: 2, polygonOffsetUnits: 3000 };
    this.veil ??= new MeshStandardMaterial({ color: this.motion.color, roughness: 0.8, transparent: true, opacity: 0.55, ...back });
    this.unseen ??= new MeshBasicMaterial({ colorWrite: false, depthWrite: false, shadowSide: DoubleSide });
    this.meshes.forEach((mesh, i) => {
      mesh.material = look === "ghost" ? this.veil : look === "splats" ? this.unseen : this.solid[i];
      mesh.castShadow = look !== "ghost";
      mesh.renderOrder = look === "ghost" ? 5 : 0;
    });
    if (this.cloud) this.cloud.mesh.visible = look === "splats";
  }
}

// Mean over 0.8 s of a path on the ground. [m, F x 2]
function smooth(path, fps) {
  const half = Math.max(Math.round(0.4 * fps), 1);
  const count = path.length;
  return Array.from({ length: count }, (_, frame) => {
    // as many frames on either side: otherwise the ends would be pulled inwards
    const reach = Math.min(half, frame, count - 1 - frame);
    let [x, z] = [0, 0];
    for (let other = frame - reach; other <= frame + reach; other++) {
      x += path[other][0];
      z += path[other][1];
    }
    return [x / (2 * reach + 1), z / (2 * reach + 1)];
  });
}
