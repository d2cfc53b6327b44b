// Small helpers for the page.

export const $ = (selector, root = document) => root.querySelector(selector);

// element("p", {class: "hint", onclick: f}, "text", child)
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== undefined) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export function setIcon(button, name) {
  $("use", button).setAttribute("href", `#i-${name}`);
}

// Writes only what is new: screen readers would repeat a live region at every push otherwise.
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

// Text in which `backticks` become <code>.
export function withCode(text) {
  return text.split("`").map((part, i) => (i % 2 ? element("code", {}, part) : part));
}

// Arrow keys move through a radio group whose members are buttons; only one of them is in the tab order.
export function radioKeys(group) {
  group.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const radios = [...group.querySelectorAll('[role="radio"]')];
    const at = radios.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    radios[(at + step + radios.length) % radios.length].focus();
  });
}

export function checkRadio(radios, isChecked) {
  const checked = radios.map(isChecked);
  radios.forEach((radio, i) => {
    radio.setAttribute("aria-checked", String(checked[i]));
    radio.tabIndex = checked[i] || (i === 0 && !checked.includes(true)) ? 0 : -1;
  });
}
