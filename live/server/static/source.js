// Where motion comes from: the demo, a webcam, a phone, a file.

import { ApiError, get } from "./api.js";
import { $, element, icon, setText, withCode } from "./dom.js";

const STATES = { opening: "opening", lost: "lost", ended: "ended" };
const HINTS = {
  demo: "This is a recorded clip. Choose Webcam and it follows your own face.",
  camera: "If nothing moves: close other programs that use the webcam, and look at it with light on your face.",
  phone: "A phone's camera drives; see the card Phone.",
  file: "A video with a face in it: a path on this computer. `faceshot live --source clip.mp4` does the same.",
};

// Which of them a source is, by what the server calls it.
function kindOf({ spec, name }) {
  if (spec === "phone") return "phone";
  if (spec === "demo" || name.startsWith("demo")) return "demo";
  if (/^\d+$/.test(spec) || spec.startsWith("/dev/") || /^(webcam|camera)/i.test(name)) return "camera";
  return "file";
}

export function source(app) {
  const buttons = [...document.querySelectorAll("[data-source]")];
  const panels = { camera: $("#source-cameras"), file: $("#source-form") };
  let opened = ""; // the panel that the user opened; "" follows the source that plays

  for (const button of buttons) button.addEventListener("click", () => pick(button.dataset.source));
  $("#source-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const spec = $("#source-spec").value.trim();
    if (spec && (await use(spec))) $("#source-spec").value = "";
  });

  async function pick(kind) {
    opened = kind;
    if (kind === "demo" || kind === "phone") await use(kind);
    if (kind === "camera") await listCameras();
    refresh();
    if (kind === "file") $("#source-spec").focus();
  }

  async function use(spec) {
    const worked = await app.act("/api/source", { spec });
    if (worked) opened = "";
    refresh();
    return worked;
  }

  async function listCameras() {
    panels.camera.replaceChildren(element("p", { class: "hint" }, "Looking for webcams…"));
    refresh();
    let found;
    try {
      found = (await get("/api/sources")).cameras;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      app.failure(error);
      return;
    }
    if (found.length === 0) {
      const text = "No webcam found. Plug one in and choose Webcam again, or use a file.";
      panels.camera.replaceChildren(element("p", { class: "hint" }, text));
    } else {
      panels.camera.replaceChildren(...found.map(cameraRow));
      if (found.length === 1) await use(found[0].spec);
    }
  }

  function cameraRow({ spec, name, note }) {
    const row = { class: "camera", type: "button", "data-spec": spec, onclick: () => use(spec) };
    return element("button", row, icon("camera"), element("span", {}, name), element("small", {}, note || spec));
  }

  function refresh() {
    if (!app.state) return;
    const now = app.state.source;
    const kind = opened || kindOf(now);
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.source === kind));
    panels.camera.hidden = kind !== "camera" || panels.camera.childElementCount === 0;
    panels.file.hidden = kind !== "file";
    for (const row of panels.camera.querySelectorAll(".camera")) {
      row.setAttribute("aria-pressed", String(row.dataset.spec === now.spec));
    }
    const playing = $("#source-now");
    setText(playing, [now.name || now.spec, STATES[now.state]].filter(Boolean).join(" · "));
    playing.title = playing.textContent;
    playing.classList.toggle("warn", now.state === "lost");
    const text = kind === "camera" && kindOf(now) !== "camera" ? "" : HINTS[kind];
    const hint = $("#source-hint");
    if (hint.dataset.text !== text) {
      hint.dataset.text = text;
      hint.replaceChildren(...withCode(text));
    }
  }

  return { update: refresh };
}
