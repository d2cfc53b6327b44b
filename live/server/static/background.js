// What is behind the character: nothing (for OBS), or a colour.

import { $, checkRadio, element, radioKeys, setText } from "./dom.js";

const COLOURS = [
  ["#00ff00", "Green screen"],
  ["#ffffff", "White"],
  ["#14161c", "Ink"],
  ["#a9c4f5", "Sky"],
  ["#f5b8c8", "Rose"],
];

export function background(app) {
  const group = $("#backgrounds");
  const choose = (value) => app.set("output.background", value);

  const transparent = swatch("transparent", "Transparent");
  const colours = COLOURS.map(([colour, name]) => swatch(colour, name));
  const picker = element("input", { type: "color", value: "#7c5cff", "aria-label": "Any colour", tabindex: -1 });
  const custom = element("label", { class: "swatch custom", role: "radio", "data-value": "custom", title: "Any colour" }, picker);
  picker.addEventListener("input", () => choose(picker.value));
  custom.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      picker.click();
    }
  });
  const all = [transparent, ...colours, custom];
  group.append(...all);
  radioKeys(group);

  function swatch(value, name) {
    const kind = value === "transparent" ? "swatch transparent" : "swatch";
    const made = element("button", { class: kind, type: "button", role: "radio", "data-value": value, "aria-label": name, title: name, onclick: () => choose(value) });
    if (value !== "transparent") made.style.setProperty("--colour", value);
    return made;
  }

  return {
    update({ output }) {
      const value = output.background.toLowerCase();
      const known = all.some((one) => one.dataset.value === value);
      const isColour = /^#[0-9a-f]{6}$/.test(value);
      checkRadio(all, (one) => one.dataset.value === (known ? value : isColour ? "custom" : ""));
      if (isColour && !known) custom.style.setProperty("--colour", value);
      const name = all.find((one) => one.dataset.value === value)?.title;
      setText($("#background-name"), name ?? (isColour ? value : output.background.split(/[\\/]/).pop()));
    },
  };
}
