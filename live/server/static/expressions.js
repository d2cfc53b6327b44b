// Expressions blended over the performer's own: a button and a key each; the same again ends it.

import { $, element, setText } from "./dom.js";

const KEYS = ["q", "w", "e", "r", "a", "d", "f", "g"]; // two rows under one hand; S and the like have other duties

export function expressions(app) {
  const root = $("#expressions");
  const now = $("#expression-name");
  let buttons = [];

  app.express = (name) => app.act("/api/expression", { name });
  app.expressionByKey = (key) => {
    const name = app.state?.expressions[KEYS.indexOf(key)];
    if (name) app.express(name);
    return Boolean(name);
  };

  function build(names) {
    buttons = names.map((name, i) => {
      const key = KEYS[i] ? element("kbd", {}, KEYS[i].toUpperCase()) : "";
      return element("button", { type: "button", "aria-pressed": "false", onclick: () => app.express(name) }, capital(name), key);
    });
    root.replaceChildren(...buttons);
  }

  return {
    update({ expression, expressions: names }) {
      if (buttons.length !== names.length) build(names);
      names.forEach((name, i) => buttons[i].setAttribute("aria-pressed", String(name === expression)));
      setText(now, expression ? capital(expression) : "");
    },
  };
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
