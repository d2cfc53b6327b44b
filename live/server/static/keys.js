// The keys of the page, as shown on the buttons.

const KEYS = {
  c: "calibrate",
  p: "togglePause",
  " ": "togglePause",
  m: "toggleMirrorIn",
  t: "toggleMirrorOut",
  h: "hide",
  s: "showAgain",
};

export function keys(app) {
  document.addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") return void app.hide(); // from anywhere, even while typing
    const target = event.target;
    if (target.matches("input:not([type=range]), textarea, select")) return;
    if (event.key === " " && target.closest("button")) return; // the button's own key
    const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code); // by place: some layouts need Shift for digits
    if (digit) return void app.chooseCharacter(Number(digit[1]) - 1);
    const action = KEYS[event.key.toLowerCase()];
    if (!action) return void (app.expressionByKey(event.key.toLowerCase()) && event.preventDefault());
    if (action === "showAgain" && !app.state?.hidden) return;
    event.preventDefault();
    app[action]();
  });
}
