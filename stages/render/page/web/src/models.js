// The animated models embedded in the page, as the bytes of .glb files.

const text = (id) => document.getElementById(id).textContent.trim();

function bytesOf(base64) {
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

export const data = JSON.parse(text("data"));

// A model's bytes: those it shares with the model before it (the mesh and its textures) are stored once.
export function modelBytes() {
  const found = {};
  let before = new Uint8Array(0);
  for (const { id, parts } of data.models) {
    const own = bytesOf(text(`model-${id}`));
    const pieces = parts.map(([source, start, length]) => (source === "own" ? own : before).subarray(start, start + length));
    const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
    let at = 0;
    for (const piece of pieces) {
      whole.set(piece, at);
      at += piece.length;
    }
    found[id] = before = whole;
  }
  return found;
}

// The asset's Gaussians, deflated; null where the page has none or the browser cannot inflate them.
export const kernelBytes = () => (data.splats && "DecompressionStream" in window ? bytesOf(text("splats-data")) : null);
