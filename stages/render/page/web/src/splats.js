// The asset's Gaussians, carried by the skeleton: one instanced quad a kernel, posed and projected on the GPU, sorted here.
//
// As the film draws them: blended joint maps carry mean and covariance, the projection is linear at the centre, kernels
// are 0.3 px² wider and end where they are fainter than 1/255; colours are blended as sRGB, back to front.

import { BufferAttribute, CustomBlending, DataTexture, FloatType, GLSL3, InstancedBufferAttribute, InstancedBufferGeometry, Mesh, Matrix4, OneFactor, OneMinusSrcAlphaFactor, Quaternion, RGBAFormat, ShaderMaterial, Vector2, Vector4 } from "three";

const WIDE = 1024; // texels of a row of the kernels' texture
const EACH = 7; // texels a kernel: mean opacity | xx xy xz yy | yz zz colour - | 2 of joints | 2 of weights
const BUCKETS = 65536;

const VERTEX = `
uniform highp sampler2D kernels, bones;
uniform vec2 viewport; // px
in float kernel;
out vec2 place;
out vec4 paint;

vec4 number(int part) {
  int at = int(kernel) * ${EACH} + part;
  return texelFetch(kernels, ivec2(at % ${WIDE}, at / ${WIDE}), 0);
}

void main() {
  vec4 head = number(0), a = number(1), b = number(2);
  // rows of the blended map
  vec4 rows[3] = vec4[3](vec4(0.), vec4(0.), vec4(0.));
  for (int half_ = 0; half_ < 2; half_++) {
    vec4 joints = number(3 + half_), weights = number(5 + half_);
    for (int k = 0; k < 4; k++)
      for (int row = 0; row < 3; row++) rows[row] += weights[k] * texelFetch(bones, ivec2(row, int(joints[k])), 0);
  }
  vec4 mean = vec4(head.xyz, 1.);
  vec3 posed = vec3(dot(rows[0], mean), dot(rows[1], mean), dot(rows[2], mean));
  mat3 linear = transpose(mat3(rows[0].xyz, rows[1].xyz, rows[2].xyz));
  vec4 seen = modelViewMatrix * vec4(posed, 1.);
  float depth = -seen.z;
  gl_Position = vec4(0., 0., 2., 1.);
  place = vec2(0.);
  paint = vec4(0.);
  if (posed.y < 0. || depth < 0.01 || head.w < 1. / 255.) return;

  float focal = 0.5 * projectionMatrix[1][1] * viewport.y;
  vec2 limit = 0.65 * viewport / focal; // slopes are held a little beyond the edges of the picture
  vec2 slope = clamp(seen.xy / depth, -limit, limit);
  mat3 carry = mat3(modelViewMatrix) * linear;
  mat3 sigma = carry * mat3(a.x, a.y, a.z, a.y, a.w, b.x, a.z, b.x, b.y) * transpose(carry);
  vec3 across = focal / depth * vec3(1., 0., slope.x), upward = focal / depth * vec3(0., 1., slope.y);
  vec3 wide = sigma * across, tall = sigma * upward;
  float xx = dot(across, wide) + 0.3, xy = dot(across, tall), yy = dot(upward, tall) + 0.3;

  float middle = 0.5 * (xx + yy), reach = length(vec2(0.5 * (xx - yy), xy));
  vec2 axis = reach < 1e-6 ? vec2(1., 0.) : xx >= yy ? normalize(vec2(middle + reach - yy, xy)) : normalize(vec2(xy, middle + reach - xx));
  float sigmas = min(sqrt(2. * log(255. * head.w)), 3.33);
  place = sigmas * position.xy;
  vec2 offset = place.x * sqrt(middle + reach) * axis + place.y * sqrt(max(middle - reach, 1e-9)) * vec2(-axis.y, axis.x);
  vec4 clip = projectionMatrix * seen;
  gl_Position = vec4(clip.xy + 2. * offset / viewport * clip.w, clip.zw);
  float color = b.z;
  paint = vec4(mod(floor(color / 65536.), 256.) / 255., mod(floor(color / 256.), 256.) / 255., mod(color, 256.) / 255., head.w);
}`;

const FRAGMENT = `
in vec2 place;
in vec4 paint;
out vec4 result;

void main() {
  float alpha = min(paint.a * exp(-0.5 * dot(place, place)), 0.999);
  if (alpha < 1. / 255.) discard;
  result = vec4(paint.rgb * alpha, alpha);
}`;

// Kernels from the page, ready to be drawn by any number of clouds.
export class Kernels {
  static async load(facts, bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Kernels(facts, await new Response(stream).arrayBuffer());
  }

  constructor({ count, low, high, scales: [least, most], influences }, buffer) {
    Object.assign(this, { count, influences });
    let at = 0;
    const planes = (Type, width) => {
      const size = count * Type.BYTES_PER_ELEMENT;
      return Array.from({ length: width }, () => new Type(buffer.slice(at, (at += size))));
    };
    const means = planes(Uint16Array, 3);
    const [rotations, scales, [opacities], colors] = [planes(Int8Array, 4), planes(Uint8Array, 3), planes(Uint8Array, 1), planes(Uint8Array, 3)];
    this.joints = planes(Uint16Array, influences);
    this.weights = planes(Uint8Array, influences);
    this.means = means.map((plane, k) => Float32Array.from(plane, (value) => low[k] + (value / 65535) * (high[k] - low[k])));
    const rows = Math.ceil((count * EACH) / WIDE);
    const data = new Float32Array(4 * WIDE * rows);
    const [turn, matrix] = [new Quaternion(), new Matrix4()];
    for (let n = 0; n < count; n++) {
      matrix.makeRotationFromQuaternion(turn.set(...rotations.map((plane) => plane[n])).normalize());
      const sigma = covariance(matrix.elements, scales.map((plane) => Math.exp(2 * (least + (plane[n] / 255) * (most - least)))));
      const color = (colors[0][n] * 256 + colors[1][n]) * 256 + colors[2][n];
      const head = [...this.means.map((plane) => plane[n]), opacities[n] / 255, ...sigma, color, 0];
      data.set([...head, ...this.joints.map((plane) => plane[n]), ...this.weights.map((plane) => plane[n] / 255)], 4 * EACH * n);
    }
    this.texture = floats(data, WIDE, rows);
  }
}

function floats(data, width, height) {
  const texture = new DataTexture(data, width, height, RGBAFormat, FloatType);
  texture.needsUpdate = true;
  return texture;
}

// xx xy xz yy yz zz of R diag(squares) R^T; the elements of R column by column, four a column.
function covariance(e, squares) {
  const entry = (i, j) => squares.reduce((sum, square, k) => sum + square * e[4 * k + i] * e[4 * k + j], 0);
  return [entry(0, 0), entry(0, 1), entry(0, 2), entry(1, 1), entry(1, 2), entry(2, 2)];
}

// The kernels in the pose of one skeleton.
export class Cloud {
  constructor(kernels, joints) {
    Object.assign(this, { kernels, joints });
    this.affine = new Float32Array(12 * joints);
    this.bones = floats(this.affine, 3, joints);
    this.order = new InstancedBufferAttribute(Float32Array.from({ length: kernels.count }, (_, n) => n), 1);
    this.depths = new Float32Array(kernels.count);
    this.keys = new Uint16Array(kernels.count);
    this.starts = new Uint32Array(BUCKETS + 1);
    const geometry = new InstancedBufferGeometry();
    geometry.setAttribute("position", new BufferAttribute(new Float32Array([-1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 1, 0]), 3));
    geometry.setAttribute("kernel", this.order);
    geometry.setIndex([0, 1, 2, 0, 2, 3]);
    geometry.instanceCount = kernels.count;
    const uniforms = { kernels: { value: kernels.texture }, bones: { value: this.bones }, viewport: { value: new Vector2() } };
    const material = new ShaderMaterial({
      glslVersion: GLSL3, vertexShader: VERTEX, fragmentShader: FRAGMENT, uniforms, transparent: true, depthTest: false, depthWrite: false,
      blending: CustomBlending, blendSrc: OneFactor, blendDst: OneMinusSrcAlphaFactor, premultipliedAlpha: true,
    });
    this.mesh = new Mesh(geometry, material);
    this.mesh.frustumCulled = false;
    this.mesh.renderOrder = 6; // after ground, shadow and ghost, before the skeleton
    const pixels = new Vector4();
    this.mesh.onBeforeRender = (renderer) => {
      renderer.getCurrentViewport(pixels);
      uniforms.viewport.value.set(pixels.z, pixels.w);
    };
  }

  // Where the bones have carried what was at rest. [Matrix4, J]
  pose(maps) {
    maps.forEach(({ elements: e }, joint) => this.affine.set([e[0], e[4], e[8], e[12], e[1], e[5], e[9], e[13], e[2], e[6], e[10], e[14]], 12 * joint));
    this.bones.needsUpdate = true;
  }

  // Farthest first, for a camera; a sort by counting on 16 bits of the depth.
  sort(camera) {
    const { kernels, depths, keys, starts } = this;
    const count = kernels.count;
    const [x, y, z] = kernels.means;
    this.mesh.updateWorldMatrix(true, false);
    const e = new Matrix4().multiplyMatrices(camera.matrixWorldInverse, this.mesh.matrixWorld).elements;
    // the camera's third axis seen from before each bone's map
    const rows = new Float32Array(4 * this.joints);
    for (let joint = 0; joint < this.joints; joint++)
      for (let k = 0; k < 4; k++)
        rows[4 * joint + k] = e[2] * this.affine[12 * joint + k] + e[6] * this.affine[12 * joint + 4 + k] + e[10] * this.affine[12 * joint + 8 + k];
    let [low, high] = [Infinity, -Infinity];
    for (let n = 0; n < count; n++) {
      let depth = 0;
      for (let k = 0; k < kernels.influences; k++) {
        const weight = kernels.weights[k][n];
        if (!weight) continue;
        const at = 4 * kernels.joints[k][n];
        depth += weight * (rows[at] * x[n] + rows[at + 1] * y[n] + rows[at + 2] * z[n] + rows[at + 3]);
      }
      depths[n] = depth;
      low = Math.min(low, depth);
      high = Math.max(high, depth);
    }
    const scale = (BUCKETS - 1) / Math.max(high - low, 1e-9);
    starts.fill(0);
    for (let n = 0; n < count; n++) {
      keys[n] = scale * (depths[n] - low);
      starts[keys[n] + 1]++;
    }
    for (let bucket = 0; bucket < BUCKETS; bucket++) starts[bucket + 1] += starts[bucket];
    for (let n = 0; n < count; n++) this.order.array[starts[keys[n]]++] = n;
    this.order.needsUpdate = true;
  }
}
