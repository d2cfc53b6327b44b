// The viewer protocol in the browser: the mirror of protocols/viewer.py, where the bytes are described.

const HEADER_BYTES = 24;
const FRAME_BYTES = 12;
const MAGIC = 0x465356; // "FSV"
const VERSION = 1;

export const JPEG = 1;
export const JPEG_MASK = 2;
export const WEBP = 3;

const MIME = { [JPEG]: "image/jpeg", [JPEG_MASK]: "image/jpeg", [WEBP]: "image/webp" };

// ArrayBuffer -> {sequence, captureMs, codec, key, width, height, frames: [{offsetMs, picture: Blob, mask: Blob|null}]}
// Throws an Error for anything that breaks the rules.
export function decodeChunk(buffer) {
  if (buffer.byteLength < HEADER_BYTES) throw new Error("chunk is shorter than its header");
  const view = new DataView(buffer);
  if (view.getUint32(0) >>> 8 !== MAGIC) throw new Error("not a chunk");
  if (view.getUint8(3) !== VERSION) throw new Error(`chunk has version ${view.getUint8(3)}, this page speaks ${VERSION}`);
  const codec = view.getUint8(4);
  const flags = view.getUint8(5);
  const count = view.getUint16(6);
  const chunk = {
    codec,
    key: (flags & 1) === 1,
    sequence: view.getUint32(8),
    width: view.getUint16(12),
    height: view.getUint16(14),
    captureMs: Number(view.getBigUint64(16)) / 1e6,
    frames: [],
  };
  if (!MIME[codec]) throw new Error(`chunk has unknown codec ${codec}`);
  if (flags & ~1) throw new Error("chunk has unknown flags");
  if (count < 1 || count > 64) throw new Error(`chunk has ${count} frames`);
  if (!chunk.width || !chunk.height) throw new Error("chunk has no size");

  let at = HEADER_BYTES;
  for (let i = 0; i < count; i++) {
    if (buffer.byteLength - at < FRAME_BYTES) throw new Error("chunk ends inside a frame's header");
    const offsetMs = view.getUint32(at) / 1e3;
    const pictureBytes = view.getUint32(at + 4);
    const maskBytes = view.getUint32(at + 8);
    at += FRAME_BYTES;
    if (!pictureBytes || maskBytes > 0 !== (codec === JPEG_MASK)) throw new Error("frame lacks a picture or its mask");
    if (buffer.byteLength - at < pictureBytes + maskBytes) throw new Error("chunk ends inside a frame");
    const picture = new Blob([new Uint8Array(buffer, at, pictureBytes)], { type: MIME[codec] });
    at += pictureBytes;
    const mask = maskBytes ? new Blob([new Uint8Array(buffer, at, maskBytes)], { type: "image/png" }) : null;
    at += maskBytes;
    chunk.frames.push({ offsetMs, picture, mask });
  }
  if (at !== buffer.byteLength) throw new Error("chunk has bytes after its last frame");
  return chunk;
}

export function ack(sequence) {
  return JSON.stringify({ type: "ack", sequence });
}

export function visible(on) {
  return JSON.stringify({ type: "visible", on });
}
