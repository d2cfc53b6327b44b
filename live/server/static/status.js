// The status line: one pill that says what is going on, and the measurements.

import { $, setText } from "./dom.js";

const FACE = {
  waiting: ["Looking for a face", "warn"],
  calibrating: ["Calibrating", "busy"],
  tracking: ["Face found", "live"],
  holding: ["Face lost", "warn"],
  idle: ["No face: idling", "warn"],
};
const SOURCE = { opening: ["Getting ready", "busy"], lost: ["Source lost: idling", "warn"], ended: ["Source ended", "warn"] };
const LINK = { connecting: ["Connecting", "quiet"], gone: ["Server gone", "danger"] };

// [text, tone] for the state, the most urgent first.
function summary(state) {
  if (state.hidden) return ["Hidden", "danger"];
  if (state.paused) return ["Paused", "warn"];
  return SOURCE[state.source.state] ?? FACE[state.face] ?? FACE.waiting;
}

export function status(app) {
  const pill = $("#status");
  const show = ([text, tone]) => {
    setText(pill.lastElementChild, text);
    pill.dataset.tone = tone;
    document.title = text === "Face found" ? "faceshot live" : `${text} · faceshot live`;
  };
  const whole = (ms) => (ms === null || ms === undefined ? "–" : ms < 10 ? ms.toFixed(1) : ms.toFixed(0));

  return {
    update(state) {
      show(summary(state));
      const { fps_out: fps, latency_ms: latency, dropped } = state.stats;
      setText($("#m-fps"), fps ? fps.toFixed(0) : "–");
      setText($("#m-latency"), latency?.p50 ? `${whole(latency.p50)} / ${whole(latency.p95)} ms` : "–");
      const drops = Object.values(dropped).reduce((sum, n) => sum + n, 0);
      setText($("#m-dropped"), drops.toLocaleString("en"));
      $("#m-dropped").title = Object.entries(dropped).map(([reason, n]) => `${reason}: ${n}`).join("\n");
      setText($("#m-viewers"), String(state.viewers));
    },
    linkChanged(link) {
      if (LINK[link]) show(LINK[link]);
    },
  };
}
