// The assisted fit: the page asks for a few places of the face, the server lays all points over them. A mark can be
// dragged afterwards; the fit follows.

import { ApiError, post } from "./api.js";
import { $, setText } from "./dom.js";

// What is asked for in words, and where it is in the little face of the question.
const PLACES = {
  "left-eye": ["The middle of the left eye", 22, 28],
  "right-eye": ["The middle of the right eye", 42, 28],
  nose: ["The tip of the nose", 31, 37],
  mouth: ["The middle of the mouth", 32, 48],
  chin: ["The lowest point of the chin", 32, 58],
  "left-jaw": ["The left edge of the face, about as high as the tip of the nose", 10, 37],
  "right-jaw": ["The right edge of the face, about as high as the tip of the nose", 54, 37],
  "mouth-left": ["The left corner of the mouth", 24, 46],
  "mouth-right": ["The right corner of the mouth", 40, 46],
};
const TOUCH = matchMedia("(hover: none)").matches;
const EXTRA = ["mouth-left", "mouth-right"];

export function makeGuide(model, desk, failure) {
  let document = null;
  let asking = []; // names that are still to be asked for
  let fitting = false;
  let again = false;
  let settled = Promise.resolve(); // nothing is being fitted any more
  let round = 0; // marks that belong together; a fit of an earlier round comes too late
  let fresh = true; // the next fit is the first of this round
  let fitted = false;

  const names = () => [...document.clicks.recommended, ...EXTRA];
  const marksNow = () => desk.marks.map(({ name, x, y }) => [name, [Math.round(x * 10) / 10, Math.round(y * 10) / 10]]);

  function ask() {
    const box = $("#ask");
    const enough = desk.marks.length >= document.clicks.min;
    const name = asking[0];
    box.hidden = !guide.active;
    $("#ask-skip").hidden = !name;
    $("#ask-done").hidden = !enough || !fitted;
    $("#ask-done").classList.toggle("primary", !name);
    if (!name) {
      setText($("#ask-what"), enough ? "Drag a number to where it belongs" : "Too few places for a fit");
      setText($("#ask-how"), enough ? "All points follow. Done when it looks right." : `At least ${document.clicks.min} are needed.`);
      $("#ask-target").style.visibility = "hidden";
      return;
    }
    const [what, x, y] = PLACES[name];
    const left = document.clicks.min - desk.marks.length;
    setText($("#ask-what"), what);
    setText($("#ask-how"), left > 0 ? `${desk.marks.length + 1} of 7: ${TOUCH ? "tap" : "click"} it in the picture` : EXTRA.includes(name) ? "A better mouth: optional" : `${desk.marks.length + 1} of 7: each makes it better`);
    const target = $("#ask-target");
    target.style.visibility = "visible";
    target.setAttribute("cx", x);
    target.setAttribute("cy", y);
  }

  function refit() {
    if (desk.marks.length < document.clicks.min) return;
    if (fitting) again = true;
    else settled = fit();
  }

  async function fit() {
    const asked = document;
    fitting = true;
    do {
      again = false;
      const mine = round;
      try {
        const found = await post(`/api/edit/${asked.id}/fit`, { clicks: Object.fromEntries(marksNow()), kind: model.kind });
        if (!guide.active || document !== asked) break;
        if (mine !== round) continue;
        model.replace(found, { keepVisible: model.placed, step: fresh }); // one round is one step of history
        fresh = false;
        fitted = true;
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        failure(error);
      }
    } while (again);
    fitting = false;
    ask();
  }

  const guide = {
    active: false,

    open(opened) {
      document = opened;
      desk.marks = [];
    },

    // Into the tool: a face that is placed already gives its own marks.
    enter() {
      guide.active = true;
      round += 1;
      fresh = true;
      fitted = model.placed;
      desk.marks = [];
      asking = names();
      if (model.placed) {
        const mean = (first, last) => model.points.slice(first, last).reduce((a, p) => [a[0] + p[0] / (last - first), a[1] + p[1] / (last - first)], [0, 0]);
        const at = { "left-eye": mean(36, 42), "right-eye": mean(42, 48), nose: model.points[30], chin: model.points[8], "left-jaw": model.points[2], "right-jaw": model.points[14], mouth: [(model.points[62][0] + model.points[66][0]) / 2, (model.points[62][1] + model.points[66][1]) / 2] };
        desk.marks = document.clicks.recommended.map((name) => ({ name, x: at[name][0], y: at[name][1] }));
        asking = [...EXTRA];
      }
      ask();
      desk.draw();
    },

    leave() {
      guide.active = false;
      if (document) ask();
      desk.draw();
    },

    done() {},

    refit: () => guide.active && refit(),

    // The last mark counts, also for somebody who is faster than the fit.
    settled: () => settled,

    // A press on the desk: takes a mark, or answers the question.
    begin(at, reach) {
      // While a place is asked for, a press near a mark is an answer: noses and mouths are close together. What may be
      // skipped is asked for while marks are dragged, also by a finger.
      const optional = !asking.length || EXTRA.includes(asking[0]);
      const within = optional ? Math.min(Math.max(reach, 14), 22) : 10;
      const [, near] = desk.marks
        .map((mark) => {
          const [x, y] = desk.toScreen([mark.x, mark.y]);
          return [Math.hypot(x - at[0], y - at[1]), mark];
        })
        .reduce((best, one) => (one[0] < best[0] ? one : best), [within, null]);
      const start = at;
      let moved = false;
      const put = (mark, place) => {
        [mark.x, mark.y] = clamp(desk.toPicture(place), desk.picture);
        desk.magnified = [mark.x, mark.y];
        desk.draw();
      };
      if (near) {
        const grip = desk.toScreen([near.x, near.y]);
        near.active = true;
        return {
          move(now) {
            moved = true;
            put(near, [grip[0] + now[0] - start[0], grip[1] + now[1] - start[1]]);
            if (!fitting) refit();
          },
          end() {
            near.active = false;
            desk.magnified = null;
            if (moved) refit();
            desk.draw();
          },
        };
      }
      if (!asking.length) return null;
      const [px, py] = desk.toPicture(at);
      const { width, height } = desk.picture;
      if (px < 0 || py < 0 || px > width || py > height) return null;
      const mark = { name: asking[0], x: px, y: py, active: true };
      desk.marks.push(mark);
      put(mark, at);
      return {
        move: (now) => put(mark, now),
        end(cancelled) {
          mark.active = false;
          desk.magnified = null;
          if (cancelled) desk.marks.pop();
          else {
            asking.shift();
            if (desk.marks.length === 2 && !model.placed) desk.lookAtFace(...desk.marks.map(({ x, y }) => [x, y]));
            refit();
          }
          ask();
          desk.draw();
        },
      };
    },
  };

  model.onChange((what) => what === "history" && guide.active && guide.enter()); // the marks go back with the points
  $("#ask-skip").addEventListener("click", () => {
    asking.shift();
    ask();
  });
  $("#ask-done").addEventListener("click", () => guide.done());
  return guide;
}

const clamp = ([x, y], { width, height }) => [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
