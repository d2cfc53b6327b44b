// The preview and everything that lies over it: hidden, server gone, a picture on its way, notes.

import { $, setText } from "./dom.js";
import { Viewer } from "./viewer.js";

const NOTES = {
  waiting: "Looking for your face",
  calibrating: "Look straight ahead and relax for a second",
  holding: "Your face is out of sight",
  idle: "Nobody in sight: idling until you are back",
};

export function stage(app) {
  const root = $("#stage");
  const canvas = $("#preview");
  let frames = 0;
  let refused = "";

  const viewer = new Viewer(canvas, {
    preview: 1,
    onState: (state, reason) => {
      refused = state === "refused" ? reason : "";
      if (state === "lost") frames = 0;
      refresh();
    },
    onFrame: () => {
      if (frames++ === 0) refresh();
    },
  });
  app.blank = () => viewer.blank();

  function refresh() {
    root.dataset.view = view();
    const text = note();
    const target = $("#note");
    if (text) setText(target, text);
    target.classList.toggle("on", Boolean(text));
  }

  function view() {
    if (app.link === "gone") return "gone";
    if (app.state?.hidden) return "hidden";
    if (!frames) return "loading";
    return app.state?.paused ? "paused" : "live";
  }

  function note() {
    const state = app.state;
    if (!state || app.link !== "live") return "";
    if (refused) return refused;
    if (state.hidden) return "";
    if (state.message) return state.message;
    if (state.paused) return "Paused: the picture is frozen";
    if (state.source.state === "opening") return `Opening ${state.source.name || state.source.spec}`;
    return NOTES[state.face] ?? "";
  }

  return { update: refresh, linkChanged: refresh };
}
