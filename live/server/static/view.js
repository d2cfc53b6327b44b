// The page for an OBS browser source: nothing but the picture, transparent where the character is.
// Query: fit=contain (default) or cover; codec=webp.

import { Viewer } from "./viewer.js";

const query = new URLSearchParams(location.search);
const canvas = document.querySelector("canvas");
canvas.classList.toggle("cover", query.get("fit") === "cover");

const viewer = new Viewer(canvas, {
  codec: query.get("codec") ?? "",
  onState: (state, reason) => {
    document.documentElement.dataset.state = state;
    // On air nothing is shown while the server is away but what was on screen last would be a frozen face: clear it.
    if (state !== "live") viewer?.blank();
    if (reason) console.warn(reason);
  },
});
