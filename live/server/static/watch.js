// The viewer page over WebRTC, for people elsewhere. Query: alpha=1 transparent, bare=1 nothing but the picture,
// fit=cover, ws=1 straight to the WebSocket. Where WebRTC does not get through, the WebSocket viewer takes over.

import { $, setIcon, setText } from "./dom.js";
import { Unpaired, pair } from "./pair.js";
import { Refused, RtcSession } from "./whip.js";
import { merge } from "./alpha.js";

const FIRST_PICTURE_MS = 6000;
const IDLE_MS = 2500;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 5000;

const query = new URLSearchParams(location.search);
const root = document.documentElement;
const alpha = query.get("alpha") === "1";
const video = $("#video");
const canvas = $("#canvas");
const audio = $("#audio");
root.dataset.bare = alpha || query.get("bare") === "1" ? "yes" : "no";
root.dataset.cover = query.get("fit") === "cover" ? "yes" : "no";

let session = null;
let waiting = 0;
let retry = 0;
let retryMs = FIRST_RETRY_MS;
let fallen = false;

const STATES = {
  connecting: ["Connecting", "Connecting", ""],
  live: ["Live", "", ""],
  lost: ["Reconnecting", "Reconnecting", "The show cannot be reached right now."],
  denied: ["No permission", "Ask for a new link", ""],
};

function show(state, text) {
  root.dataset.state = state;
  setText($("#pill span"), STATES[state][0]);
  setText($("#title"), STATES[state][1]);
  setText($("#text"), text || STATES[state][2]);
}

async function begin() {
  try {
    await pair();
  } catch (error) {
    if (error instanceof Unpaired) return show("denied", `${error.message} Whoever runs the show can give you one.`);
    return again();
  }
  if (query.get("ws") === "1" || !window.RTCPeerConnection) return fallBack();
  await connect();
}

async function connect() {
  clearTimeout(retry);
  if (session) session.close();
  const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  peer.addTransceiver("video", { direction: "recvonly" });
  peer.addTransceiver("audio", { direction: "recvonly" });
  peer.ontrack = (event) => take(event);
  const mine = new RtcSession(alpha ? "/whep?alpha=1" : "/whep", peer, () => {
    if (session === mine) again();
  });
  session = mine;
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    if (root.dataset.state !== "live") fallBack(); // no UDP gets through: the picture can still come over TCP
  }, FIRST_PICTURE_MS);
  try {
    await mine.open();
  } catch (error) {
    if (session !== mine) return;
    peer.close();
    clearTimeout(waiting);
    if (!(error instanceof Refused)) return again();
    if (error.status === 401 || error.status === 403) return show("denied", "This link is not valid any more.");
    return fallBack();
  }
}

function take(event) {
  const receiver = event.receiver;
  if (event.track.kind === "audio") {
    audio.srcObject = new MediaStream([event.track]);
    audio.muted = true;
    event.track.onunmute = () => ($("#sound").hidden = false);
    return;
  }
  // Each picture is shown as it comes; on sound such haste would be heard.
  if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
  else if ("playoutDelayHint" in receiver) receiver.playoutDelayHint = 0;
  video.srcObject = new MediaStream([event.track]);
  video.play().catch(() => {});
}

video.addEventListener("playing", () => {
  clearTimeout(waiting);
  retryMs = FIRST_RETRY_MS;
  if (alpha) {
    video.hidden = true;
    canvas.hidden = false;
    merge(video, canvas);
  }
  show("live");
});

function again() {
  if (fallen) return;
  session = null;
  clearTimeout(waiting);
  show("lost");
  clearTimeout(retry);
  retry = setTimeout(begin, retryMs);
  retryMs = Math.min(retryMs * 1.7, LONGEST_RETRY_MS);
}

async function fallBack() {
  if (fallen) return;
  fallen = true;
  clearTimeout(waiting);
  if (session) session.close();
  session = null;
  root.dataset.way = "websocket";
  const { Viewer } = await import("./viewer.js");
  video.hidden = true;
  canvas.hidden = false;
  new Viewer(canvas, {
    alpha: alpha ? 1 : null,
    onState: (state, reason) => show(state === "live" ? "live" : "lost", reason),
  });
}

$("#sound").addEventListener("click", () => {
  audio.muted = !audio.muted;
  if (!audio.muted) audio.play().catch(() => {});
  setIcon($("#sound"), audio.muted ? "mute" : "sound");
  setText($("#sound span"), audio.muted ? "Tap for sound" : "Sound on");
});
$("#full").hidden = !document.fullscreenEnabled;
$("#full").addEventListener("click", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else root.requestFullscreen().catch(() => {});
});

let idle = 0;
function stir() {
  root.dataset.idle = "no";
  clearTimeout(idle);
  idle = setTimeout(() => (root.dataset.idle = "yes"), IDLE_MS);
}
for (const name of ["pointermove", "pointerdown", "keydown"]) addEventListener(name, stir);
stir();
addEventListener("pagehide", () => session && session.close());
addEventListener("pageshow", (event) => event.persisted && begin());

begin();
