// Run by Node in the folder of the viewer's packages: node three.mjs MODEL TIME... -> {"vertices": T x V x 3, "root": T x 3} as three.js poses them.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const load = (path) => import(pathToFileURL(join(process.cwd(), "node_modules", "three", path)));
globalThis.self = globalThis;
const { AnimationMixer, Vector3 } = await load("build/three.module.js");
const { GLTFLoader } = await load("examples/jsm/loaders/GLTFLoader.js");

const [path, ...times] = process.argv.slice(2);
const file = readFileSync(path);
const gltf = await new GLTFLoader().parseAsync(file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength), "");
const mixer = new AnimationMixer(gltf.scene);
const action = mixer.clipAction(gltf.animations[0]).play();
const point = new Vector3();
const result = { vertices: [], root: [] };
for (const time of times.map(Number)) {
  action.time = Math.min(time, gltf.animations[0].duration * (1 - 1e-6));
  mixer.update(0);
  gltf.scene.updateMatrixWorld(true);
  const posed = [];
  gltf.scene.traverse((node) => {
    if (!node.isSkinnedMesh) return;
    for (let i = 0; i < node.geometry.attributes.position.count; i++) {
      node.getVertexPosition(i, point);
      posed.push(point.applyMatrix4(node.matrixWorld).toArray());
    }
  });
  result.vertices.push(posed);
  result.root.push(gltf.scene.getObjectByName("root").getWorldPosition(new Vector3()).toArray());
}
console.log(JSON.stringify(result));
