// The square of the picture that LivePortrait animates: drawn, moved inside, resized at a corner; saved with the
// character. Without one its crop is laid around the face.

const LEAST_PX = 16;
const CORNERS = { nw: [0, 0], ne: [1, 0], se: [1, 1], sw: [0, 1] };
const OPPOSITE = { nw: "se", ne: "sw", se: "nw", sw: "ne" };
const CURSORS = { nw: "nwse-resize", se: "nwse-resize", ne: "nesw-resize", sw: "nesw-resize" };

export function squareHands(model, desk) {
  const corner = (name, [left, top, side] = model.square) => [left + CORNERS[name][0] * side, top + CORNERS[name][1] * side];

  function cornerAt(at, reach) {
    if (!model.square) return "";
    const near = Object.keys(CORNERS).map((name) => {
      const [x, y] = desk.toScreen(corner(name));
      return [Math.hypot(x - at[0], y - at[1]), name];
    });
    const [apart, name] = near.sort((a, b) => a[0] - b[0])[0];
    return apart < reach ? name : "";
  }

  function inside(at) {
    if (!model.square) return false;
    const [x, y] = desk.toPicture(at);
    const [left, top, side] = model.square;
    return x > left && x < left + side && y > top && y < top + side;
  }

  // From a corner that stays to the pointer.
  function between([px, py], [x, y]) {
    const side = Math.max(Math.abs(x - px), Math.abs(y - py), LEAST_PX);
    return [x < px ? px - side : px, y < py ? py - side : py, side];
  }

  return {
    cursor: (at) => CURSORS[cornerAt(at, 14)] ?? (inside(at) ? "move" : "crosshair"),

    // The gesture that begins at a place: what it does to the square, given where the pointer is now.
    begin(at, reach) {
      const start = desk.toPicture(at);
      const name = cornerAt(at, reach);
      if (name) {
        const pivot = corner(OPPOSITE[name]);
        return (now) => model.setSquare(between(pivot, desk.toPicture(now)));
      }
      if (inside(at)) {
        const [left, top, side] = model.square;
        return (now) => {
          const [x, y] = desk.toPicture(now);
          model.setSquare([left + x - start[0], top + y - start[1], side]);
        };
      }
      return (now) => model.setSquare(between(start, desk.toPicture(now)));
    },
  };
}

// What is left out of the animation is darker.
export function paintSquare(g, desk, [left, top, side], accent) {
  const [w, h] = desk.size;
  const [x, y] = desk.toScreen([left, top]);
  const size = side * desk.zoom;
  g.fillStyle = "rgb(9 10 13 / .6)";
  g.beginPath();
  g.rect(0, 0, w, h);
  g.rect(x, y, size, size);
  g.fill("evenodd");
  g.strokeStyle = accent;
  g.lineWidth = 2;
  g.strokeRect(x, y, size, size);
  for (const [dx, dy] of Object.values(CORNERS)) {
    g.fillStyle = "#fff";
    g.fillRect(x + dx * size - 6, y + dy * size - 6, 12, 12);
    g.strokeRect(x + dx * size - 6, y + dy * size - 6, 12, 12);
  }
}
