// Mouse, pen, fingers, wheel and keys on the desk.

import { N_POINTS, centre } from "./edit-model.js";
import { squareHands } from "./edit-square.js";

const REACH_PX = { mouse: 14, pen: 18, touch: 30 };
const TREMBLE_PX = 6;
const CURSORS = { n: "ns-resize", s: "ns-resize", e: "ew-resize", w: "ew-resize", nw: "nwse-resize", se: "nwse-resize", ne: "nesw-resize", sw: "nesw-resize", turn: "grab" };

export function hands(model, desk, guide, actions) {
  const { canvas } = desk;
  const square = squareHands(model, desk);
  const pointers = new Map();
  let gesture = null; // {move(at), end(cancelled)}
  let spaceHeld = false;

  const where = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button === 2) return;
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, where(event));
    if (pointers.size === 2) {
      gesture?.end(true); // a second finger: it was a pinch
      gesture = pinch();
    } else if (pointers.size === 1) {
      gesture = begin(event);
    }
  });

  canvas.addEventListener("pointermove", (event) => {
    const at = where(event);
    if (pointers.has(event.pointerId)) {
      pointers.set(event.pointerId, at);
      gesture?.move(at, event);
    } else if (event.pointerType !== "touch") {
      hover(at);
    }
  });

  const up = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    gesture?.end(event.type === "pointercancel");
    gesture = pointers.size === 1 ? pan([...pointers.values()][0]) : null; // one finger of a pinch is left
    if (event.pointerType !== "touch") hover(where(event));
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("pointerleave", () => {
    desk.hover = -1;
    desk.draw();
  });

  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 24 : 1;
      if (event.shiftKey) desk.pan(-event.deltaY * lines, 0);
      else desk.zoomAt(Math.exp((-event.deltaY * lines) / (event.ctrlKey ? 120 : 420)), where(event));
    },
    { passive: false },
  );

  function hover(at) {
    if (desk.tool === "square") return void (canvas.style.cursor = spaceHeld ? "grab" : square.cursor(at));
    const handle = desk.tool === "parts" ? handleAt(at, 14) : "";
    const point = desk.tool === "points" ? desk.hit(at, REACH_PX.mouse) : -1;
    if (point !== desk.hover) {
      desk.hover = point;
      desk.draw();
    }
    const over = desk.tool === "parts" && model.placed ? desk.hitPart(at) : "";
    canvas.style.cursor = spaceHeld ? "grab" : handle ? CURSORS[handle] : point >= 0 || over ? "move" : desk.tool === "guide" ? "crosshair" : "default";
  }

  function begin(event) {
    const at = where(event);
    const touch = event.pointerType === "touch";
    if (event.button === 1 || spaceHeld) return pan(at);
    if (desk.tool === "guide") return guide.begin(at, REACH_PX[event.pointerType] ?? 14) ?? pan(at);
    if (!model.placed) return pan(at);
    if (desk.tool === "square") return step(square.begin(at, REACH_PX[event.pointerType] ?? 14), at);
    if (desk.tool === "parts") return beginPart(at, touch) ?? pan(at);
    const point = desk.hit(at, REACH_PX[event.pointerType] ?? 14);
    if (point < 0) {
      model.choose(-1);
      return pan(at);
    }
    model.choose(point);
    return dragPoint(point, at);
  }

  function pan(start) {
    let last = start;
    return {
      move(at) {
        desk.pan(at[0] - last[0], at[1] - last[1]);
        last = at;
      },
      end() {},
    };
  }

  function pinch() {
    const state = () => {
      const [a, b] = [...pointers.values()];
      return { middle: centre([a, b]), apart: Math.max(Math.hypot(a[0] - b[0], a[1] - b[1]), 1) };
    };
    let last = state();
    return {
      move() {
        if (pointers.size < 2) return;
        const now = state();
        desk.pan(now.middle[0] - last.middle[0], now.middle[1] - last.middle[1]);
        desk.zoomAt(now.apart / last.apart, now.middle);
        last = now;
      },
      end() {},
    };
  }

  // One step of history for one drag, and none for a click that moved nothing; given where it began, a finger that
  // only trembled has moved nothing.
  function step(move, start = null) {
    const from = model.points.map((p) => [...p]);
    const before = model.snapshot();
    let moved = false;
    return {
      move(at) {
        if (!moved && start && Math.hypot(at[0] - start[0], at[1] - start[1]) < TREMBLE_PX) return;
        if (!moved) model.begin();
        moved = true;
        move(at, from);
      },
      end(cancelled) {
        desk.magnified = null;
        if (cancelled && moved) {
          Object.assign(model, before);
          model.abandon();
          model.tell("points");
        }
        desk.draw();
      },
    };
  }

  function dragPoint(index, start) {
    const grip = desk.toScreen(model.points[index]);
    desk.magnified = model.points[index];
    desk.draw();
    return step((at, from) => {
      const target = desk.toPicture([at[0] + grip[0] - start[0], at[1] + grip[1] - start[1]]);
      model.drag(index, from, target[0] - from[index][0], target[1] - from[index][1]);
      desk.magnified = model.points[index];
    });
  }

  function handleAt(at, reach) {
    const frame = desk.frame();
    if (!frame) return "";
    const found = Object.entries(frame.handles).map(([name, [x, y]]) => [Math.hypot(x - at[0], y - at[1]), name]);
    const [apart, name] = found.sort((a, b) => a[0] - b[0])[0];
    return apart < reach ? name : "";
  }

  function beginPart(at, touch) {
    const handle = handleAt(at, touch ? 28 : 14);
    if (!handle) {
      const id = desk.hitPart(at);
      model.choose(-1, id);
      if (!id) return null;
      return step((now, from) => {
        const [dx, dy] = [(now[0] - at[0]) / desk.zoom, (now[1] - at[1]) / desk.zoom];
        model.transform(id, from, ([x, y]) => [x + dx, y + dy]);
      });
    }
    const id = model.part;
    const frame = desk.frame();
    const pivot = handle === "turn" ? frame.middle : frame.handles[OPPOSITE[handle]];
    const [px, py] = desk.toPicture(pivot);
    const [ux, uy] = model.across();
    const along = ([x, y]) => [(x - pivot[0]) * ux + (y - pivot[1]) * uy, -(x - pivot[0]) * uy + (y - pivot[1]) * ux];
    const start = along(at);
    return step((now, from) => {
      const to = along(now);
      if (handle === "turn") {
        const turn = Math.atan2(to[1], to[0]) - Math.atan2(start[1], start[0]);
        const [c, s] = [Math.cos(turn), Math.sin(turn)];
        model.transform(id, from, ([x, y]) => [px + (x - px) * c - (y - py) * s, py + (x - px) * s + (y - py) * c]);
        return;
      }
      const ratio = (axis) => (Math.abs(start[axis]) < 1 ? 1 : Math.min(Math.max(to[axis] / start[axis], 0.1), 8));
      let [kx, ky] = [ratio(0), ratio(1)];
      if (handle.length === 2) kx = ky = (Math.abs(start[0]) > Math.abs(start[1]) ? kx : ky);
      else if (handle === "n" || handle === "s") kx = 1;
      else ky = 1;
      model.transform(id, from, ([x, y]) => {
        const a = ((x - px) * ux + (y - py) * uy) * kx;
        const d = (-(x - px) * uy + (y - py) * ux) * ky;
        return [px + a * ux - d * uy, py + a * uy + d * ux];
      });
    });
  }

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  let nudged = 0;

  function nudge(event, [dx, dy]) {
    const size = event.shiftKey ? 10 : event.altKey ? 0.2 : 1;
    if (performance.now() - nudged > 800) model.begin(); // a run of nudges is one step back
    nudged = performance.now();
    const from = model.points.map((p) => [...p]);
    if (model.chosen >= 0) model.drag(model.chosen, from, dx * size, dy * size);
    else model.transform(model.part, from, ([x, y]) => [x + dx * size, y + dy * size]);
  }

  function choose(stepBy) {
    let at = model.chosen;
    for (let i = 0; i < N_POINTS; i++) {
      at = (at + stepBy + N_POINTS) % N_POINTS;
      if (model.visible[at]) return model.choose(at);
    }
  }

  const KEYS = {
    1: () => actions.tool("points"),
    2: () => actions.tool("parts"),
    3: () => actions.tool("guide"),
    4: () => actions.tool("square"),
    m: () => actions.toggle("mirror"),
    f: () => actions.toggle("soft"),
    "+": () => desk.zoomAt(1.25),
    "=": () => desk.zoomAt(1.25),
    "-": () => desk.zoomAt(0.8),
    0: () => desk.fit(),
    ",": () => choose(-1),
    ".": () => choose(1),
    delete: () => (desk.tool === "square" ? model.takeSquareAway() : model.part && model.hasPart(model.part) && model.setVisible(model.part, false)),
    escape: () => (guide.active ? actions.tool("points") : model.choose(-1)),
    enter: () => guide.active && guide.done(),
  };

  addEventListener("keydown", (event) => {
    const typing = event.target.matches("input:not([type=range]), textarea");
    const command = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    if (command && key === "s") return void (event.preventDefault(), actions.save());
    if (typing) return;
    if (command && key === "z") return void (event.preventDefault(), event.shiftKey ? model.redo() : model.undo());
    if (command && key === "y") return void (event.preventDefault(), model.redo());
    if (command) return;
    if (key === " " && !event.target.closest("button")) {
      spaceHeld = true;
      event.preventDefault();
      return;
    }
    const arrow = ARROWS[event.key];
    if (arrow && event.target.matches("input, [role=radio]")) return;
    if (desk.tool === "square" && arrow) return;
    if (arrow && model.placed && (model.chosen >= 0 || model.part)) return void (event.preventDefault(), nudge(event, arrow));
    if (event.target.closest("button") && (key === "enter" || key === " ")) return;
    if (KEYS[key] && !(event.altKey && !arrow)) {
      event.preventDefault();
      KEYS[key]();
    }
  });
  addEventListener("keyup", (event) => {
    if (event.key === " ") spaceHeld = false;
  });
}

const OPPOSITE = { nw: "se", ne: "sw", se: "nw", sw: "ne", n: "s", s: "n", e: "w", w: "e" };
