// The page for an OBS browser source: nothing but the picture, transparent where the character is.
// Query: fit=contain (default) or cover; alpha=1: transparent even when the show has a background; codec=webp.

import { pair } from "./pair.js";
import { Viewer } from "./viewer.js";

const query = new URLSearchParams(location.search);
const canvas = document.querySelector("canvas");
canvas.classList.toggle("cover", query.get("fit") === "cover");

const HOLD_MS = 1500; // over a short hiccup the last picture stays; longer, and a frozen face would be on air

if (location.hash.includes("t=")) await pair().catch((error) => console.warn(error.message)); // from another machine

let clearing = 0;
const viewer = new Viewer(canvas, {
  codec: query.get("codec"),
  alpha: query.get("alpha"),
  onState: (state, reason) => {
    document.documentElement.dataset.state = state;
    if (state === "live") {
      clearTimeout(clearing);
      clearing = 0;
    } else if (!clearing) {
      clearing = setTimeout(() => viewer.blank(), HOLD_MS);
    }
    if (reason) console.warn(reason);
  },
});
