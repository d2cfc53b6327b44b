// What the performer's face reads as, measured in steps of two seconds, and how far the character may go.

import { $, element, setText } from "./dom.js";
import { percent, slider } from "./motion.js";

const STEPS = [
  { what: "eyes-shut", label: "Eyes shut", ask: "Shut both eyes for two seconds", keys: ["left_shut", "right_shut"] },
  { what: "left-eye-shut", label: "Left eye", ask: "Shut your left eye for two seconds", keys: ["left_shut"] },
  { what: "right-eye-shut", label: "Right eye", ask: "Shut your right eye for two seconds", keys: ["right_shut"] },
  { what: "lips-shut", label: "Lips shut", ask: "Shut your lips for two seconds", keys: ["lips_shut"] },
  { what: "mouth-wide", label: "Mouth wide", ask: "Open your mouth wide for two seconds", keys: ["lips_wide"] },
];
const REST = { left_shut: 0, right_shut: 0, lips_shut: 0, lips_wide: 0.18 };
const SLIDERS = [
  ...["head", "eyes", "brows", "mouth"].map((group) => ({
    key: `motion.limits.${group}`, label: group.charAt(0).toUpperCase() + group.slice(1), min: 0.1, max: 1, rest: 1,
    text: percent, read: (m) => m.limits[group],
  })),
  { key: "motion.close_mouth", label: "Shut mouth", max: 1, rest: 0, text: percent, read: (m) => m.close_mouth, apart: true },
];
const HINT = "Each takes two seconds, after Calibrate with a relaxed face; kept for your next show.";

export function range(app) {
  const reset = $("#range-reset");
  const hint = $("#range-hint");
  const sliders = SLIDERS.map((options) => slider(app, options));
  let busy = false;

  const buttons = STEPS.map((step) => {
    const button = element("button", { type: "button", "aria-pressed": "false", onclick: () => measure(step, button) }, step.label);
    return button;
  });
  $("#range-steps").append(...buttons);
  $("#range-limits").append(...sliders.map(({ root }) => root));
  sliders.at(-1).root.title = "How far a mouth that is open in the picture shuts while yours is shut";
  reset.addEventListener("click", () => {
    for (const [key, value] of Object.entries(REST)) app.set(`motion.range.${key}`, value);
    sliders.forEach(({ reset }) => reset());
  });

  async function measure(step, button) {
    if (busy) return;
    busy = true;
    button.classList.add("measuring");
    setText(hint, `${step.ask}.`);
    const worked = await app.act("/api/range", { what: step.what });
    button.classList.remove("measuring");
    busy = false;
    setText(hint, HINT);
    if (worked) app.confirmation(`${step.label}: measured`);
  }

  return {
    update({ motion }) {
      for (const one of sliders) one.update(motion);
      const changed = Object.keys(REST).filter((key) => motion.range[key] !== REST[key]);
      STEPS.forEach((step, i) => {
        const measured = step.keys.every((key) => changed.includes(key));
        buttons[i].setAttribute("aria-pressed", String(measured));
      });
      reset.hidden = !changed.length && sliders.every(({ atRest }) => atRest());
    },
  };
}
