// Short messages at the bottom: what happened, and for an error what to do next.

import { $, element, icon, withCode } from "./dom.js";

const CONFIRMATION_MS = 2400;
const ERROR_MS = 12000;
const OFFER_MS = 60000;

export function confirmation(text) {
  show(text, "", "check", CONFIRMATION_MS);
}

export function failure(error) {
  show(error.message, error.hint ?? "", "alert", ERROR_MS);
}

// A message with a way on.
export function offer(text, hint, label, act) {
  const toast = show(text, hint, "alert", OFFER_MS);
  const button = element("button", { class: "button small", type: "button", onclick: () => (toast.remove(), act()) }, label);
  toast.querySelector("div").append(button);
}

function show(text, hint, iconName, duration) {
  const toasts = $("#toasts");
  for (const old of [...toasts.children]) if (old.dataset.text === text) old.remove();
  const toast = element(
    "div",
    { class: iconName === "alert" ? "toast error" : "toast", "data-text": text },
    icon(iconName),
    element("div", {}, element("p", {}, ...withCode(text)), hint ? element("p", {}, ...withCode(hint)) : null),
    element("button", { type: "button", "aria-label": "Dismiss", onclick: () => toast.remove() }, icon("close")),
  );
  toasts.append(toast);
  while (toasts.children.length > 3) toasts.firstChild.remove();
  let timer = setTimeout(() => toast.remove(), duration);
  toast.addEventListener("pointerenter", () => clearTimeout(timer)); // someone is reading
  toast.addEventListener("pointerleave", () => (timer = setTimeout(() => toast.remove(), 2000)));
  return toast;
}
