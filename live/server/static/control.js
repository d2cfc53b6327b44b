// The control page: one state from the server, one `update(state)` per part of the page, commands over HTTP.

import { ApiError, post } from "./api.js";
import { pair } from "./pair.js";
import { Socket } from "./socket.js";
import { confirmation, failure, offer } from "./toast.js";
import { background } from "./background.js";
import { characters } from "./characters.js";
import { expressions } from "./expressions.js";
import { keys } from "./keys.js";
import { motion } from "./motion.js";
import { output } from "./output.js";
import { phone, viewers } from "./remote.js";
import { range } from "./range.js";
import { source } from "./source.js";
import { stage } from "./stage.js";
import { status } from "./status.js";
import { transport } from "./transport.js";

const GONE_AFTER_MS = 700; // a quick reconnect should not flash

const app = {
  state: null,
  link: "connecting", // "connecting", "live" or "gone"

  // Sends a command; the page shows its result at once. Errors end in a message; the result is whether it worked.
  async act(path, body) {
    try {
      apply(await post(path, body));
      return true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      failure(error);
      return false;
    }
  },

  // Changes of settings, gathered while one request is under way: a dragged slider never floods the server.
  set(key, value) {
    pending[key] = value;
    if (!sending) flush();
  },

  apply,
  confirmation,
  failure,
  offer,
};

let pending = {};
let sending = false;

async function flush() {
  sending = true;
  while (Object.keys(pending).length) {
    const changes = pending;
    pending = {};
    await app.act("/api/settings", changes);
  }
  sending = false;
}

// A new card of the page is a module with such a function, added here.
const parts = [
  status, stage, transport, characters, motion, range, expressions, background, source, output, phone, viewers,
].map((part) => part(app));
keys(app);

function apply(state) {
  app.state = state;
  for (const part of parts) part.update?.(state);
}

function setLink(link) {
  app.link = link;
  document.documentElement.dataset.link = link;
  for (const part of parts) part.linkChanged?.(link);
}

if (location.hash.includes("t=")) await pair().catch(failure); // from another machine

let goneTimer = 0;
new Socket("/ws/control", {
  onMessage: (event) => {
    clearTimeout(goneTimer);
    goneTimer = 0;
    const state = JSON.parse(event.data);
    if (app.link !== "live") setLink("live");
    apply(state);
  },
  onClose: () => {
    if (app.link !== "gone" && !goneTimer) goneTimer = setTimeout(() => setLink("gone"), GONE_AFTER_MS);
  },
});
