// The character moving, drawn by the real animator on the server: frames of a loop on one sheet.

import { $, checkRadio, element, radioKeys, setText } from "./dom.js";

const SETTLE_MS = 300;

export function makePreview(model, failure) {
  const canvas = $("#preview");
  const box = $(".preview");
  const chips = $("#motions");
  let document = null;
  let motion = "all";
  let sheet = null;
  let timer = 0;
  let busy = false;
  let wanted = false;
  let drawn = "";

  radioKeys(chips);

  function build() {
    const names = ["all", ...document.motions];
    chips.replaceChildren(
      ...names.map((name) =>
        element("button", { type: "button", role: "radio", "data-motion": name, onclick: () => choose(name) }, name),
      ),
    );
    mark();
  }

  const mark = () => checkRadio([...chips.children], (chip) => chip.dataset.motion === motion);

  function choose(name) {
    motion = name;
    mark();
    ask(0);
  }

  function ask(delay = SETTLE_MS) {
    clearTimeout(timer);
    box.classList.toggle("empty", !model.placed && !sheet);
    if (!model.placed || !document) return;
    box.classList.add("stale");
    timer = setTimeout(() => (busy ? (wanted = true) : render()), delay);
  }

  async function render() {
    busy = true;
    const asked = motion;
    const body = JSON.stringify({ ...model.landmarks(), motions: motion === "all" ? document.motions : [motion] });
    const key = document.id + body;
    if (key !== drawn) {
      setText($("#preview-state"), "drawing");
      try {
        const response = await fetch(`/api/edit/${document.id}/preview`, { method: "POST", body });
        if (!response.ok) {
          const { error } = await response.json();
          setText($("#preview-state"), "");
          if (response.status !== 404) failure({ message: error, hint: "" });
        } else {
          const number = (name) => Number(response.headers.get(name));
          const image = await createImageBitmap(await response.blob());
          sheet = { image, width: number("x-frame-width"), height: number("x-frame-height"), count: number("x-frames"), columns: number("x-columns"), fps: number("x-fps"), since: performance.now() };
          drawn = key;
          canvas.width = sheet.width;
          canvas.height = sheet.height;
        }
      } catch {
        // The server is gone for a moment; the next change asks again.
      }
    }
    busy = false;
    setText($("#preview-state"), "");
    box.classList.remove("stale");
    box.classList.toggle("empty", !sheet);
    canvas.dataset.motion = asked;
    if (wanted) {
      wanted = false;
      render();
    }
  }

  function frame(now) {
    requestAnimationFrame(frame);
    if (!sheet || window.document.hidden) return;
    const index = Math.floor(((now - sheet.since) / 1000) * sheet.fps) % sheet.count;
    if (index < 0 || index === sheet.shown) return;
    sheet.shown = index;
    const g = canvas.getContext("2d");
    g.clearRect(0, 0, sheet.width, sheet.height);
    const [column, row] = [index % sheet.columns, Math.floor(index / sheet.columns)];
    g.drawImage(sheet.image, column * sheet.width, row * sheet.height, sheet.width, sheet.height, 0, 0, sheet.width, sheet.height);
  }
  requestAnimationFrame(frame);

  model.onChange((what) => what === "points" && ask());
  return {
    open(opened) {
      document = opened;
      sheet = null;
      drawn = "";
      build();
      ask(0);
    },
  };
}
