// The desk: the picture, the curves and points over it, and the way between screen and picture.

import { paintSquare } from "./edit-square.js";
import { MIRROR, N_POINTS, PARTS, centre, partOf, toneOf } from "./edit-model.js";

const ACCENT = "#8ea6ff";
const MAX_ZOOM = 40;
const LOUPE_ZOOM = 2.6;

export class Canvas {
  constructor(model, canvas, loupe) {
    this.model = model;
    this.canvas = canvas;
    this.loupe = loupe;
    this.picture = null; // ImageBitmap
    this.cut = null; // the picture with its background cut away
    this.zoom = 1; // screen pixels of a picture pixel
    this.x = 0; // picture coordinates of the desk's middle
    this.y = 0;
    this.tool = "points";
    this.marks = []; // of the guide: {name, x, y, active}
    this.hover = -1;
    this.magnified = null; // picture coordinates that the loupe shows
    this.scheduled = false;
    model.onChange(() => this.draw());
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    const { width, height } = this.canvas.getBoundingClientRect();
    const was = this.canvas.width;
    this.canvas.width = Math.max(1, Math.round(width * ratio));
    this.canvas.height = Math.max(1, Math.round(height * ratio));
    this.ratio = ratio;
    if (was <= 300 && this.picture) this.fit();
    this.draw();
  }

  get size() {
    return [this.canvas.width / this.ratio, this.canvas.height / this.ratio];
  }

  show(picture) {
    this.picture = picture;
    this.cut = null;
    this.fit();
  }

  // Screen (CSS pixels within the canvas) and picture.
  toScreen([x, y]) {
    const [w, h] = this.size;
    return [(x - this.x) * this.zoom + w / 2, (y - this.y) * this.zoom + h / 2];
  }

  toPicture([x, y]) {
    const [w, h] = this.size;
    return [(x - w / 2) / this.zoom + this.x, (y - h / 2) / this.zoom + this.y];
  }

  // The face fills the desk; asked again, the whole picture does.
  fit(points = null) {
    if (!this.picture) return;
    const [w, h] = this.size;
    const before = [this.zoom, this.x, this.y];
    const whole = [0, 0, this.picture.width, this.picture.height];
    const box = points ?? (this.model.placed ? this.model.points.filter((_, i) => this.model.visible[i]) : []);
    if (box.length > 2) this.#frame(bounds(box), points ? 0.55 : 0.74, w, h);
    else this.#frame(whole, 0.94, w, h);
    const same = Math.abs(before[0] / this.zoom - 1) < 0.01 && Math.hypot(before[1] - this.x, before[2] - this.y) * this.zoom < 2;
    if (same && !points) this.#frame(whole, 0.94, w, h);
    this.draw();
  }

  #frame([left, top, right, bottom], share, w, h) {
    this.zoom = Math.min((w * share) / Math.max(right - left, 8), (h * share) / Math.max(bottom - top, 8), MAX_ZOOM);
    this.x = (left + right) / 2;
    this.y = (top + bottom) / 2;
  }

  // Where a face with these eyes must be.
  lookAtFace([ax, ay], [bx, by]) {
    const [dx, dy] = [bx - ax, by - ay];
    const unit = Math.max(Math.hypot(dx, dy), 4);
    const [mx, my] = [(ax + bx) / 2 - dy * 0.6, (ay + by) / 2 + dx * 0.6];
    this.#frame([mx - 1.9 * unit, my - 1.9 * unit, mx + 1.9 * unit, my + 1.9 * unit], 0.94, ...this.size);
    this.draw();
  }

  zoomAt(factor, at = this.size.map((v) => v / 2)) {
    const [px, py] = this.toPicture(at);
    const least = 0.3 * Math.min(this.size[0] / (this.picture?.width ?? 1), this.size[1] / (this.picture?.height ?? 1));
    this.zoom = Math.min(Math.max(this.zoom * factor, least), MAX_ZOOM);
    const [nx, ny] = this.toPicture(at);
    this.x += px - nx;
    this.y += py - ny;
    this.draw();
  }

  pan(dx, dy) {
    this.x -= dx / this.zoom;
    this.y -= dy / this.zoom;
    this.draw();
  }

  // The point under the pointer; the part that is chosen wins where parts overlap.
  hit(at, reach) {
    let best = -1;
    let least = reach;
    for (let i = 0; i < N_POINTS; i++) {
      if (!this.model.visible[i]) continue;
      const [x, y] = this.toScreen(this.model.points[i]);
      const apart = Math.hypot(x - at[0], y - at[1]) - (partOf(i).id === this.model.part ? 4 : 0);
      if (apart < least) [least, best] = [apart, i];
    }
    return best;
  }

  hitPart(at) {
    const near = this.hit(at, 22);
    if (near >= 0) return partOf(near).id;
    const inside = PARTS.filter(({ id, points }) => {
      if (!this.model.hasPart(id)) return false;
      const [l, t, r, b] = bounds(points.map((i) => this.toScreen(this.model.points[i])));
      return at[0] > l && at[0] < r && at[1] > t && at[1] < b;
    });
    const area = ({ points }) => {
      const [l, t, r, b] = bounds(points.map((i) => this.model.points[i]));
      return (r - l) * (b - t);
    };
    return inside.sort((a, b) => area(a) - area(b))[0]?.id ?? "";
  }

  // The frame around the chosen part, along the face's own axes, in screen coordinates.
  frame() {
    const part = PARTS.find(({ id }) => id === this.model.part);
    if (!part || !this.model.placed) return null;
    const [ux, uy] = this.model.across();
    const middle = centre(part.points.map((i) => this.toScreen(this.model.points[i])));
    const local = part.points.map((i) => {
      const [x, y] = this.toScreen(this.model.points[i]);
      return [(x - middle[0]) * ux + (y - middle[1]) * uy, -(x - middle[0]) * uy + (y - middle[1]) * ux];
    });
    let [l, t, r, b] = bounds(local);
    const pad = 14;
    [l, t, r, b] = [l - pad, t - pad, r + pad, b + pad];
    const out = ([x, y]) => [middle[0] + x * ux - y * uy, middle[1] + x * uy + y * ux];
    const at = { nw: [l, t], ne: [r, t], se: [r, b], sw: [l, b], n: [(l + r) / 2, t], e: [r, (t + b) / 2], s: [(l + r) / 2, b], w: [l, (t + b) / 2] };
    const handles = Object.fromEntries(Object.entries(at).map(([name, p]) => [name, out(p)]));
    handles.turn = out([(l + r) / 2, t - 30]);
    return { handles, middle: out([(l + r) / 2, (t + b) / 2]), corners: [at.nw, at.ne, at.se, at.sw].map(out) };
  }

  draw() {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.#paint();
    });
  }

  #paint() {
    const g = this.canvas.getContext("2d");
    const [w, h] = this.size;
    g.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    g.clearRect(0, 0, w, h);
    if (!this.picture) return;
    this.canvas.dataset.view = [this.zoom, this.x, this.y].join(" "); // for tests and the curious
    this.#paintPicture(g);
    if (this.model.placed) {
      this.#paintCurves(g);
      this.#paintPoints(g);
      if (this.tool === "parts") this.#paintFrame(g);
    }
    if (this.tool === "guide") this.#paintMarks(g);
    if (this.tool === "square" && this.model.square) paintSquare(g, this, this.model.square, ACCENT);
    this.#paintLoupe();
  }

  #paintPicture(g) {
    const [x, y] = this.toScreen([0, 0]);
    const w = this.picture.width * this.zoom;
    const h = this.picture.height * this.zoom;
    if (this.cut) checker(g, x, y, w, h, this.size);
    else {
      g.fillStyle = "#2a2d36"; // behind a picture that is transparent itself
      g.fillRect(x, y, w, h);
    }
    g.imageSmoothingEnabled = this.zoom < 5;
    g.imageSmoothingQuality = "high";
    g.drawImage(this.cut ?? this.picture, x, y, w, h);
    if (this.tool === "guide") return;
    g.fillStyle = "rgb(9 10 13 / .12)"; // the points stand out a little
    g.fillRect(x, y, w, h);
  }

  #paintCurves(g) {
    g.lineJoin = g.lineCap = "round";
    for (const part of PARTS) {
      const there = this.model.hasPart(part.id);
      if (!there && this.model.part !== part.id) continue;
      const chosen = this.model.part === part.id;
      g.setLineDash(there ? [] : [4, 5]);
      for (const { points, closed } of part.curves) {
        const path = spline(points.map((i) => this.toScreen(this.model.points[i])), closed);
        g.strokeStyle = "rgb(0 0 0 / .45)";
        g.lineWidth = chosen ? 4.5 : 3.5;
        g.stroke(path);
        g.strokeStyle = chosen ? ACCENT : "rgb(255 255 255 / .72)";
        g.lineWidth = chosen ? 2 : 1.3;
        g.stroke(path);
      }
    }
    g.setLineDash([]);
  }

  // Small where points are crowded, so that the mouth of a whole body is still legible.
  #radius() {
    const { points } = this.model;
    const unit = Math.hypot(points[45][0] - points[36][0], points[45][1] - points[36][1]) * this.zoom;
    return Math.min(Math.max(unit / 75, 1.5), this.tool === "guide" ? 2.2 : 4.2);
  }

  #paintPoints(g) {
    const radius = this.#radius();
    const { points, visible, confidence, chosen, mirror } = this.model;
    for (let i = 0; i < N_POINTS; i++) {
      if (!visible[i]) continue;
      const [x, y] = this.toScreen(points[i]);
      g.beginPath();
      g.arc(x, y, radius + (i === this.hover ? 2 : 0), 0, 7);
      g.fillStyle = toneOf(confidence[i]);
      g.fill();
      g.lineWidth = 1.2;
      g.strokeStyle = "rgb(0 0 0 / .75)";
      g.stroke();
    }
    const ring = (i, colour) => {
      const [x, y] = this.toScreen(points[i]);
      g.beginPath();
      g.arc(x, y, radius + 5, 0, 7);
      g.lineWidth = 2.5;
      g.strokeStyle = colour;
      g.stroke();
    };
    if (chosen >= 0 && this.tool === "points") {
      ring(chosen, "#fff");
      if (mirror && MIRROR[chosen] !== chosen) ring(MIRROR[chosen], ACCENT);
    }
  }

  #paintFrame(g) {
    const frame = this.frame();
    if (!frame) return;
    g.strokeStyle = ACCENT;
    g.lineWidth = 1.5;
    g.beginPath();
    frame.corners.forEach(([x, y], i) => (i ? g.lineTo(x, y) : g.moveTo(x, y)));
    g.closePath();
    g.moveTo(...frame.handles.n);
    g.lineTo(...frame.handles.turn);
    g.stroke();
    for (const [name, [x, y]] of Object.entries(frame.handles)) {
      g.beginPath();
      if (name === "turn") g.arc(x, y, 7, 0, 7);
      else g.rect(x - 5, y - 5, 10, 10);
      g.fillStyle = "#fff";
      g.fill();
      g.strokeStyle = ACCENT;
      g.lineWidth = 2;
      g.stroke();
    }
  }

  // Open rings: what is under a mark must stay visible.
  #paintMarks(g) {
    this.marks.forEach(({ x, y, active }, i) => {
      const [sx, sy] = this.toScreen([x, y]);
      const colour = active ? ACCENT : "#fff";
      for (const [width, style] of [[4.5, "rgb(0 0 0 / .6)"], [2, colour]]) {
        g.lineWidth = width;
        g.strokeStyle = style;
        g.beginPath();
        g.arc(sx, sy, 8, 0, 7);
        g.moveTo(sx + 0.5, sy);
        g.arc(sx, sy, 0.5, 0, 7);
        g.stroke();
      }
      g.beginPath();
      g.arc(sx + 12, sy - 12, 8, 0, 7);
      g.fillStyle = active ? ACCENT : "rgb(255 255 255 / .94)";
      g.fill();
      g.fillStyle = "#10131c";
      g.font = "700 10.5px system-ui, sans-serif";
      g.textAlign = "center";
      g.textBaseline = "middle";
      g.fillText(String(i + 1), sx + 12, sy - 11.5);
    });
  }

  // What a finger covers is shown beside it.
  #paintLoupe() {
    this.loupe.classList.toggle("on", Boolean(this.magnified));
    if (!this.magnified) return;
    const g = this.loupe.getContext("2d");
    const side = this.loupe.width;
    const zoom = Math.min(Math.max(this.zoom * LOUPE_ZOOM, 3), MAX_ZOOM) * 2; // drawn at two device pixels
    const [x, y] = this.magnified;
    const [sx] = this.toScreen([x, y]);
    this.loupe.classList.toggle("right", sx < this.size[0] / 2);
    g.fillStyle = "#111319";
    g.fillRect(0, 0, side, side);
    g.imageSmoothingEnabled = zoom < 12;
    g.drawImage(this.picture, side / 2 - x * zoom, side / 2 - y * zoom, this.picture.width * zoom, this.picture.height * zoom);
    if (this.model.placed) {
      g.lineWidth = 2.5;
      g.strokeStyle = "rgb(255 255 255 / .65)";
      for (const { curves, id } of PARTS) {
        if (!this.model.hasPart(id)) continue;
        for (const { points, closed } of curves) {
          g.stroke(spline(points.map((i) => [(this.model.points[i][0] - x) * zoom + side / 2, (this.model.points[i][1] - y) * zoom + side / 2]), closed));
        }
      }
    }
    g.strokeStyle = ACCENT;
    g.lineWidth = 3;
    g.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      g.moveTo(side / 2 + dx * 10, side / 2 + dy * 10);
      g.lineTo(side / 2 + dx * 34, side / 2 + dy * 34);
    }
    g.stroke();
  }
}

export function bounds(points) {
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

// Catmull-Rom through the points.
function spline(points, closed) {
  const path = new Path2D();
  const n = points.length;
  const at = (i) => points[closed ? (i + n) % n : Math.min(Math.max(i, 0), n - 1)];
  path.moveTo(...points[0]);
  for (let i = 0; i < (closed ? n : n - 1); i++) {
    const [a, b, c, d] = [at(i - 1), at(i), at(i + 1), at(i + 2)];
    path.bezierCurveTo(b[0] + (c[0] - a[0]) / 6, b[1] + (c[1] - a[1]) / 6, c[0] - (d[0] - b[0]) / 6, c[1] - (d[1] - b[1]) / 6, ...c);
  }
  return path;
}

function checker(g, x, y, w, h, [sw, sh]) {
  const left = Math.max(x, 0);
  const top = Math.max(y, 0);
  const right = Math.min(x + w, sw);
  const bottom = Math.min(y + h, sh);
  g.fillStyle = "#20232b";
  g.fillRect(left, top, right - left, bottom - top);
  g.fillStyle = "#2b2f39";
  for (let cy = top; cy < bottom; cy += 16) {
    for (let cx = left + ((Math.round((cy - top) / 16) % 2) * 16); cx < right; cx += 32) {
      g.fillRect(cx, cy, Math.min(16, right - cx), Math.min(16, bottom - cy));
    }
  }
}
