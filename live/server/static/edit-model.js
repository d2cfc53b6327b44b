// The landmarks under the user's hands: what they are, how they move together, and every step back.

const range = (first, last) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

// Left and right are the picture's. `curves` are drawn; a closed one ends where it begins.
export const PARTS = [
  { id: "face boundary", label: "Face edge", points: range(0, 16), curves: [{ points: range(0, 16) }] },
  { id: "image-left brow", label: "Left brow", points: range(17, 21), curves: [{ points: range(17, 21) }], twin: "image-right brow" },
  { id: "image-right brow", label: "Right brow", points: range(22, 26), curves: [{ points: range(22, 26) }], twin: "image-left brow" },
  { id: "image-left eye", label: "Left eye", points: [...range(36, 41), 68], curves: [{ points: range(36, 41), closed: true }], twin: "image-right eye" },
  { id: "image-right eye", label: "Right eye", points: [...range(42, 47), 69], curves: [{ points: range(42, 47), closed: true }], twin: "image-left eye" },
  { id: "nose", label: "Nose", points: range(27, 35), curves: [{ points: range(27, 30) }, { points: range(31, 35) }] },
  { id: "mouth", label: "Mouth", points: range(48, 67), curves: [{ points: range(48, 59), closed: true }, { points: range(60, 67), closed: true }] },
];
export const N_POINTS = 70;
export const partOf = (index) => PARTS.find((part) => part.points.includes(index));

export const MIRROR = [
  ...range(0, 16).reverse(), ...range(17, 26).reverse(), ...range(27, 30), 35, 34, 33, 32, 31,
  45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
  54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65, 69, 68,
];

// The image-left one of each mirrored pair.
const LEFT = [...range(0, 7), ...range(17, 21), 31, 32, ...range(36, 41), 48, 49, 50, 58, 59, 60, 61, 67, 68];

const SOFT_REACH = 1.3; // points along the curve
const HISTORY = 200;

export class Model {
  constructor() {
    this.points = [];
    this.visible = [];
    this.confidence = [];
    this.kind = "animal";
    this.matcher = "";
    this.square = null; // [left, top, side] that LivePortrait animates; null: around the face
    this.placed = false;
    this.mirror = false;
    this.soft = false;
    this.chosen = -1; // a point
    this.part = ""; // id of the part that is chosen
    this.saved = "";
    this.past = [];
    this.future = [];
    this.listeners = [];
  }

  // `what` is "points" (anything that is saved), "choice" or "options".
  onChange(listener) {
    this.listeners.push(listener);
  }

  tell(what) {
    for (const listener of this.listeners) listener(what);
  }

  load(document) {
    this.points = document.landmarks.map(([x, y]) => [x, y]);
    this.visible = [...document.visible];
    this.confidence = [...document.confidence];
    this.kind = document.kind;
    this.matcher = document.matcher;
    this.square = document.square;
    this.placed = document.placed;
    this.past = [];
    this.future = [];
    this.chosen = -1;
    this.part = "";
    this.saved = this.placed && !document.fresh ? this.print() : "";
    this.tell("points");
  }

  print() {
    return JSON.stringify([this.points.map(([x, y]) => [Math.round(x * 100), Math.round(y * 100)]), this.visible, this.kind, this.square?.map((v) => Math.round(v * 10))]);
  }

  get dirty() {
    return this.placed && this.print() !== this.saved;
  }

  // `print` is what was saved: a key may have moved a point since.
  markSaved(print) {
    this.saved = print;
    this.confidence = this.confidence.map(() => 1);
    this.tell("points");
  }

  // What the server wants to know.
  landmarks() {
    return { landmarks: this.points.map(([x, y]) => [Number(x.toFixed(2)), Number(y.toFixed(2))]), visible: this.visible, kind: this.kind, square: this.square };
  }

  // History: one step for one gesture. `begin` before the first change, everything until the next `begin` is one step.
  snapshot() {
    const { points, visible, confidence, kind, placed, matcher, square } = this;
    return { points: points.map((p) => [...p]), visible: [...visible], confidence: [...confidence], kind, placed, matcher, square };
  }

  begin() {
    this.past.push(this.snapshot());
    if (this.past.length > HISTORY) this.past.shift();
    this.future = [];
  }

  // A gesture that changed nothing leaves no step.
  abandon() {
    this.past.pop();
  }

  undo() {
    this.#step(this.past, this.future);
  }

  redo() {
    this.#step(this.future, this.past);
  }

  #step(from, to) {
    const state = from.pop();
    if (!state) return;
    to.push(this.snapshot());
    Object.assign(this, state);
    this.tell("points");
    this.tell("history");
  }

  choose(index, part = index >= 0 ? partOf(index).id : "") {
    if (index === this.chosen && part === this.part) return;
    this.chosen = index;
    this.part = part;
    this.tell("choice");
  }

  setOption(name, on) {
    this[name] = on;
    this.tell("options");
  }

  // All points at once, from a matcher; one step of history, or part of the last one.
  replace({ landmarks, visible, confidence, matcher }, { keepVisible = false, step = true } = {}) {
    if (step) this.begin();
    this.points = landmarks.map(([x, y]) => [x, y]);
    if (!keepVisible) this.visible = [...visible];
    this.confidence = [...confidence];
    this.matcher = matcher;
    this.placed = true;
    this.tell("points");
  }

  setKind(kind) {
    if (kind === this.kind) return;
    this.begin();
    this.kind = kind;
    this.tell("points");
  }

  // One gesture is one step: whoever calls it has begun one.
  setSquare(square) {
    this.square = square && square.map((v) => Math.round(v * 10) / 10);
    this.tell("points");
  }

  takeSquareAway() {
    if (!this.square) return;
    this.begin();
    this.setSquare(null);
  }

  setVisible(id, on) {
    this.begin();
    for (const i of PARTS.find((part) => part.id === id).points) this.visible[i] = on;
    this.tell("points");
  }

  hasPart(id) {
    return PARTS.find((part) => part.id === id).points.some((i) => this.visible[i]);
  }

  // The unit vector across the face, from the image-left to the image-right of each pair.
  across(points = this.points) {
    let x = 0;
    let y = 0;
    for (const i of LEFT) {
      x += points[MIRROR[i]][0] - points[i][0];
      y += points[MIRROR[i]][1] - points[i][1];
    }
    const length = Math.hypot(x, y);
    return length > 1e-6 ? [x / length, y / length] : [1, 0];
  }

  // Move a point from where it was when the gesture began: with its twin, and with its neighbours when asked.
  drag(index, from, dx, dy) {
    const moves = new Map([[index, 1]]);
    if (this.soft) {
      for (const { points, closed } of partOf(index).curves) {
        const at = points.indexOf(index);
        if (at < 0) continue;
        points.forEach((other, k) => {
          const apart = closed ? Math.min(Math.abs(k - at), points.length - Math.abs(k - at)) : Math.abs(k - at);
          const share = Math.exp(-0.5 * (apart / SOFT_REACH) ** 2);
          if (share > 0.02) moves.set(other, share);
        });
      }
    }
    this.#shift(moves, from, dx, dy);
  }

  #shift(moves, from, dx, dy) {
    const [ux, uy] = this.across(from);
    const along = 2 * (dx * ux + dy * uy);
    for (const [i, share] of moves) {
      this.#place(i, from[i][0] + share * dx, from[i][1] + share * dy);
      const twin = MIRROR[i];
      if (!this.mirror || moves.has(twin)) continue;
      this.#place(twin, from[twin][0] + share * (dx - along * ux), from[twin][1] + share * (dy - along * uy));
    }
    this.tell("points");
  }

  #place(i, x, y) {
    this.points[i] = [x, y];
    this.confidence[i] = 1; // a hand put it there
  }

  // Move, scale or turn a whole part: `change` maps a point to a point. The twin does the mirrored thing.
  transform(id, from, change) {
    const part = PARTS.find((one) => one.id === id);
    for (const i of part.points) this.#place(i, ...change(from[i]));
    if (this.mirror && part.twin) {
      const [ux, uy] = this.across(from);
      const flip = ([x, y]) => {
        const along = 2 * (x * ux + y * uy);
        return [x - along * ux, y - along * uy];
      };
      const middle = centre(part.points.map((i) => from[i]));
      const twin = PARTS.find((one) => one.id === part.twin);
      const other = centre(twin.points.map((i) => from[i]));
      // Flip the twin over to this side, do the same to it, and flip it back.
      for (const i of twin.points) {
        const over = flip([from[i][0], from[i][1]]);
        const base = flip(other);
        const here = [over[0] - base[0] + middle[0], over[1] - base[1] + middle[1]];
        const done = change(here);
        const back = flip([done[0] - middle[0], done[1] - middle[1]]);
        this.#place(i, back[0] + other[0], back[1] + other[1]);
      }
    }
    this.tell("points");
  }
}

export function centre(points) {
  const sum = points.reduce((a, p) => [a[0] + p[0], a[1] + p[1]], [0, 0]);
  return [sum[0] / points.length, sum[1] / points.length];
}

// Red is a guess, amber is doubtful, green is sure.
export function toneOf(confidence) {
  const hue = 355 + Math.min(Math.max((confidence - 0.25) / 0.6, 0), 1) * 160;
  return `hsl(${hue % 360} 78% 62%)`;
}
