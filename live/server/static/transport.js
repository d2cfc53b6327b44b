// The row under the stage: calibrate, pause, mirrors and the panic button.

import { $, setIcon, setText } from "./dom.js";

const GUARD_MS = 800; // a second, frightened press must not show the picture again

export function transport(app) {
  const panic = $("#panic");
  let hiddenAt = -Infinity;
  let calibration = ""; // "asked", then "running", then a word that it is done

  Object.assign(app, {
    calibrate: () => {
      calibration = "asked"; // the stage says what to do meanwhile
      return app.act("/api/calibrate");
    },
    togglePause: () => app.act("/api/pause", { on: !app.state?.paused }),
    toggleMirrorIn: () => app.set("motion.mirror", !app.state?.motion.mirror),
    toggleMirrorOut: () => app.set("output.mirror", !app.state?.output.mirror),
    hide: () => {
      // The page shows it before the server answers: a panic button that waits is none.
      hiddenAt = performance.now();
      app.blank();
      if (app.state) app.apply({ ...app.state, hidden: true });
      return app.act("/api/panic", { on: true });
    },
    showAgain: () => app.act("/api/panic", { on: false }),
  });

  $("#calibrate").addEventListener("click", app.calibrate);
  $("#pause").addEventListener("click", app.togglePause);
  $("#mirror-in").addEventListener("click", app.toggleMirrorIn);
  $("#mirror-out").addEventListener("click", app.toggleMirrorOut);
  $("#show-again").addEventListener("click", app.showAgain);
  panic.addEventListener("click", () => {
    if (!app.state?.hidden) app.hide();
    else if (performance.now() - hiddenAt > GUARD_MS) app.showAgain();
  });

  return {
    update(state) {
      if (calibration === "asked" && state.face === "calibrating") calibration = "running";
      if (calibration === "running" && state.face === "tracking") {
        calibration = "";
        app.confirmation("Calibrated: this is your neutral face now");
      }
      const paused = $("#pause");
      paused.setAttribute("aria-pressed", String(state.paused));
      setIcon(paused, state.paused ? "play" : "pause");
      setText($("span", paused), state.paused ? "Resume" : "Pause");
      $("#mirror-in").setAttribute("aria-pressed", String(Boolean(state.motion.mirror)));
      $("#mirror-out").setAttribute("aria-pressed", String(state.output.mirror));
      panic.classList.toggle("is-hidden", state.hidden);
      setIcon(panic, state.hidden ? "show" : "hide");
      setText($("span", panic), state.hidden ? "Show again" : "Hide now");
      setText($("kbd", panic), state.hidden ? "S" : "Esc");
    },
  };
}
