// How strongly motion is carried over, and how smoothly.

import { $, element, setText } from "./dom.js";

const times = (value) => `${value.toFixed(2).replace(/0$/, "")}×`;
export const percent = (value) => `${Math.round(value * 100)} %`;

const SLIDERS = [
  { key: "motion.gains.head", label: "Head", max: 2, rest: 1, text: times, read: (m) => m.gains.head },
  { key: "motion.gains.eyes", label: "Eyes", max: 2, rest: 1, text: times, read: (m) => m.gains.eyes },
  { key: "motion.gains.brows", label: "Brows", max: 2, rest: 1, text: times, read: (m) => m.gains.brows },
  { key: "motion.gains.mouth", label: "Mouth", max: 2, rest: 1, text: times, read: (m) => m.gains.mouth },
  { key: "motion.smoothing", label: "Smoothing", max: 1, rest: 0.5, text: percent, read: (m) => m.smoothing, apart: true },
];
const SETTLE_MS = 600; // pushes that are older than the hand on the slider are ignored

export function motion(app) {
  const sliders = SLIDERS.map((options) => slider(app, options));
  const reset = $("#motion-reset");
  $("#motion").append(...sliders.map(({ root }) => root));
  reset.addEventListener("click", () => sliders.forEach(({ reset }) => reset()));
  return {
    update(state) {
      for (const one of sliders) one.update(state.motion);
      reset.hidden = sliders.every(({ atRest }) => atRest());
    },
  };
}

export function slider(app, { key, label, min = 0, max, rest, text, read, apart }) {
  const id = key.replaceAll(".", "-");
  const input = element("input", { type: "range", id, min, max, step: 0.05, title: "Double-click: back to the default" });
  const value = element("output", { for: id });
  const root = element("div", { class: apart ? "slider apart" : "slider" }, element("label", { for: id }, label), input, value);
  let touched = -Infinity;

  function show(number) {
    input.value = String(number);
    input.style.setProperty("--fill", `${(100 * (number - min)) / (max - min)}%`);
    input.setAttribute("aria-valuetext", text(number));
    setText(value, text(number));
    root.classList.toggle("changed", number !== rest);
  }
  function change(number) {
    touched = performance.now();
    show(number);
    app.set(key, number);
  }
  input.addEventListener("input", () => change(Number(input.value)));
  input.addEventListener("dblclick", () => change(rest));
  show(rest);
  return {
    root,
    reset: () => change(rest),
    atRest: () => Number(input.value) === rest,
    update: (motion) => performance.now() - touched > SETTLE_MS && show(read(motion)),
  };
}
