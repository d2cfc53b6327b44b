// The cards beside the desk: parts, kind, background.

import { $, checkRadio, element, icon, radioKeys, setIcon, setText } from "./dom.js";
import { PARTS, toneOf } from "./edit-model.js";

const THRESHOLD_SETTLE_MS = 180;
const SAVED_SO = "Saved as you see it. The landmarks say where the figure is.";

export function partsCard(model, desk) {
  const rows = PARTS.map(({ id, label, points }) => {
    const eye = element("button", { class: "eye", type: "button", onclick: () => model.setVisible(id, !model.hasPart(id)) }, icon("show"));
    const name = element("button", { class: "name", type: "button", onclick: () => model.choose(-1, id), ondblclick: () => desk.fit(points.map((i) => model.points[i])) }, label);
    const bar = element("i");
    const sure = element("output");
    const root = element("div", { class: "part", "data-part": id }, name, element("span", { class: "meter" }, bar), sure, eye);
    return { id, label, points, root, eye, bar, sure };
  });
  $("#parts").append(...rows.map(({ root }) => root));

  function refresh() {
    for (const { id, label, points, root, eye, bar, sure } of rows) {
      const there = model.hasPart(id);
      const mean = points.reduce((sum, i) => sum + model.confidence[i], 0) / points.length;
      root.classList.toggle("gone", !there);
      root.classList.toggle("chosen", model.part === id);
      setIcon(eye, there ? "show" : "hide");
      eye.setAttribute("aria-label", there ? `${label}: take it away` : `${label}: give it back`);
      eye.setAttribute("aria-pressed", String(there));
      bar.style.setProperty("--sure", `${Math.round(mean * 100)}%`);
      bar.style.setProperty("--tone", toneOf(mean));
      setText(sure, `${Math.round(mean * 100)} %`);
    }
    setText($("#sure"), model.placed ? (SAID[model.matcher] ?? model.matcher) : "");
  }
  model.onChange(() => model.points.length && refresh());
}

const SAID = { mediapipe: "found by MediaPipe", fit: "assisted fit", diffusion: "matched by diffusion", file: "from a file", manual: "placed by hand" };

export function kindCard(model, guide) {
  const chips = $("#kinds");
  radioKeys(chips);
  model.onChange(() => checkRadio([...chips.children], (chip) => chip.dataset.kind === model.kind));
  return {
    open({ kinds }) {
      chips.replaceChildren(
        ...kinds.map((kind) =>
          element("button", { type: "button", role: "radio", "data-kind": kind, onclick: () => (model.setKind(kind), guide.refit()) }, kind),
        ),
      );
      checkRadio([...chips.children], (chip) => chip.dataset.kind === model.kind);
    },
  };
}

export function backgroundCard(model, desk, failure, onChange) {
  const buttons = [...$("#background").children];
  const slider = $("#threshold");
  const hint = $("#background-hint");
  let document = null;
  let cut = false;
  let timer = 0;
  let asked = 0;

  // The landmarks say where the figure is.
  model.onChange((what) => what === "points" && cut && refresh());
  for (const button of buttons) {
    button.addEventListener("click", () => {
      cut = Boolean(button.dataset.cut);
      refresh();
      onChange();
    });
  }
  slider.addEventListener("input", () => {
    refresh();
    onChange();
  });

  function refresh() {
    buttons.forEach((button) => button.setAttribute("aria-pressed", String(Boolean(button.dataset.cut) === cut)));
    $("#threshold-row").hidden = !cut;
    const percent = Math.round(Number(slider.value) * 100);
    slider.style.setProperty("--fill", `${percent}%`);
    setText($("#threshold-row output"), `${percent} %`);
    setText(hint, document?.transparent ? "This picture is cut out already." : cut ? SAVED_SO : "It moves along softly behind the head.");
    clearTimeout(timer);
    if (!cut) {
      desk.cut = null;
      desk.draw();
      return;
    }
    timer = setTimeout(show, THRESHOLD_SETTLE_MS);
  }

  async function show() {
    const number = ++asked;
    if (!desk.cut) setText(hint, "Looking for where the figure ends …");
    try {
      const body = JSON.stringify({ ...model.landmarks(), cut: Number(slider.value) });
      const response = await fetch(`/api/edit/${document.id}/cut`, { method: "POST", body });
      if (!response.ok) {
        const { error, hint: what } = await response.json();
        failure({ message: error, hint: what });
        cut = false;
        return refresh();
      }
      const picture = await createImageBitmap(await response.blob());
      if (number !== asked || !cut) return;
      desk.cut = picture;
      setText(hint, SAVED_SO);
      desk.draw();
    } catch {
      // The server is gone for a moment.
    }
  }

  return {
    get cut() {
      return cut ? Number(slider.value) : null;
    },
    open(opened) {
      document = opened;
      cut = false;
      slider.value = "0.5";
      $("#background").hidden = opened.transparent;
      refresh();
    },
  };
}
