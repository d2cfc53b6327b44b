// The phone page: the camera drives the character. Syntax that Safari 14 understands.

import { $, setIcon, setText } from "./dom.js";
import { Unpaired, pair } from "./pair.js";
import { Socket } from "./socket.js";
import { Refused, RtcSession } from "./whip.js";

const WIDTH = 640;
const HEIGHT = 480;
const FPS = 30;
const MAX_BITS_PER_S = 3000000;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 5000;

const root = document.documentElement;
const preview = $("#preview");

let stream = null; // camera and, when wanted, microphone
let session = null;
let socket = null;
let server = null; // what /ws/drive said last
let facing = "user";
let paused = false; // by the user
let asleep = false; // the page is hidden or the system took the camera
let wantsSound = false;
let stopped = ""; // why there is no going on by itself: left, kicked, refused, ...
let retry = 0;
let retryMs = FIRST_RETRY_MS;
let wakeLock = null;
let cameras = 0;
let wasLive = false;
let seated = false; // the server has said that the seat is ours

// state: [words of the pill, tone, title, text, icon, button]
const STATES = {
  starting: ["Starting", "busy", "Starting", "", "camera", ""],
  camera: ["Camera", "busy", "Allow the camera", "Your browser asks for it now. Viewers see the character, never your camera.", "camera", ""],
  connecting: ["Connecting", "busy", "Connecting", "Looking for the computer that runs the show.", "camera", ""],
  live: ["Live", "live"],
  standby: ["Connected", "warn"],
  searching: ["Face not found", "warn"],
  paused: ["Paused", "warn", "Paused", "Nothing is sent. The character idles until you go on.", "pause", "Go on"],
  asleep: ["Paused", "warn", "Paused by the phone", "The phone took the camera away, for a call or another app. It goes on by itself.", "pause", "Go on"],
  asking: ["Waiting", "busy", "Somebody else drives", "Ask them to say yes on the control page. This page goes on as soon as they do.", "hand", ""],
  refused: ["Refused", "danger", "The control page said no", "You can ask again.", "hand", "Ask again"],
  kicked: ["Ended", "danger", "Your turn was ended", "The control page did it, and your camera is off. Scan a fresh code to drive again.", "hand", "Try again"],
  taken: ["Ended", "warn", "Another device drives now", "Your camera is off. You can ask for the seat.", "hand", "Ask for the seat"],
  left: ["Not connected", "warn", "You have left", "The camera is off.", "camera", "Drive again"],
  lost: ["Reconnecting", "warn", "Reconnecting", "The computer cannot be reached. Your seat is kept for a little while.", "alert", ""],
  blocked: ["No camera", "danger", "The camera is blocked", "Allow it for this page: tap the lock or “aA” in the address bar, then Camera, Allow.", "camera", "Try again"],
  nocamera: ["No camera", "danger", "No camera found", "Plug one in, or open this page on a phone.", "camera", "Try again"],
  busycamera: ["No camera", "danger", "The camera is in use", "Close the other app or tab that uses it.", "camera", "Try again"],
  insecure: ["Not secure", "danger", "This page needs HTTPS", "Browsers give the camera to secure pages only. Start with faceshot live\u00a0-\u2060-\u2060lan and scan the code.", "lock", ""],
  unpaired: ["Not paired", "danger", "Scan a code to drive", "", "qr", ""],
};
let state = "";

function show(name, text) {
  const entry = STATES[name];
  const changed = state !== name;
  state = name;
  root.dataset.state = name;
  setText($("#pill span"), entry[0]);
  $("#pill").dataset.tone = entry[1];
  const card = $("#card");
  root.dataset.card = entry.length > 2 ? "on" : "off";
  if (entry.length > 2) {
    setText($("#title"), entry[2]);
    setText($("#text"), text || entry[3]);
    if (changed) setIcon(card, entry[4]);
    card.dataset.tone = entry[1];
    card.dataset.busy = entry[1] === "busy" || name === "lost" ? "yes" : "no";
    const action = $("#action");
    action.hidden = !entry[5];
    setText(action, entry[5]);
  }
  document.title = `${entry[0]} · faceshot live`;
}

// What to show while nothing is wrong with this page itself.
function refresh() {
  if (stopped || !session) return;
  const connected = session.peer.connectionState === "connected";
  const seat = server ? server.seat : "";
  if (paused) show("paused");
  else if (asleep) show("asleep");
  else if (!connected || !server) show(wasLive ? "lost" : "connecting");
  else if (!server.on_air) show("standby");
  else if (server.face === "tracking" || server.face === "calibrating") show("live");
  else show("searching");
  if (seat === "live" || seat === "connecting") seated = true;
  if (connected && seated && (seat === "free" || seat === "taken")) return lostSeat(seat);
  note();
}

function note() {
  let text = "";
  if (state === "live" && server) {
    text = server.face === "calibrating" ? "Look straight ahead and relax for a second" : "";
    if (server.hidden) text = "The show is hidden: nobody sees you";
    else if (server.paused) text = "The show is frozen by the control page";
  }
  if (state === "standby") text = "Another source is on air. Choose Phone on the control page.";
  if (state === "searching") text = "Hold the phone so that your face fills the outline";
  const target = $("#note");
  if (text) setText(target, text);
  target.classList.toggle("on", Boolean(text));
}

function lostSeat(seat) {
  end();
  closeCamera(); // nobody wants it any more
  stopped = seat === "taken" ? "taken" : "kicked";
  show(stopped);
}

function stop(name, text) {
  stopped = name;
  clearTimeout(retry);
  show(name, text);
}

async function begin() {
  stopped = "";
  wasLive = false;
  show("starting");
  if (!window.isSecureContext || !navigator.mediaDevices || !window.RTCPeerConnection) return stop("insecure");
  try {
    await pair();
  } catch (error) {
    if (error instanceof Unpaired) return stop("unpaired", `${error.message} ${error.hint}`);
    return again("lost");
  }
  if (!socket) listen();
  if (!(await openCamera())) return;
  await connect();
}

function listen() {
  socket = new Socket("/ws/drive", {
    onMessage: (event) => {
      server = JSON.parse(event.data);
      if (stopped === "asking" && server.seat === "allowed") connect();
      else if (stopped === "asking" && (server.seat === "free" || server.seat === "taken")) connect();
      refresh();
    },
    onOpen: () => tellPaused(),
    onClose: () => {
      server = null;
      refresh();
    },
  });
}

function tellPaused() {
  if (socket) socket.send(JSON.stringify({ type: "paused", on: paused || asleep }));
}

async function openCamera() {
  show("camera");
  closeCamera();
  const video = { facingMode: facing, width: { ideal: WIDTH }, height: { ideal: HEIGHT }, frameRate: { ideal: FPS, max: FPS } };
  try {
    const audio = wantsSound ? { echoCancellation: true, noiseSuppression: true } : false;
    stream = await navigator.mediaDevices.getUserMedia({ video, audio });
  } catch (error) {
    if (wantsSound) {
      wantsSound = false; // the camera alone may well be allowed
      showSound();
      return openCamera();
    }
    const name = error.name;
    if (name === "NotAllowedError" || name === "SecurityError") stop("blocked");
    else if (name === "NotFoundError" || name === "OverconstrainedError") stop("nocamera");
    else if (name === "NotReadableError" || name === "AbortError") stop("busycamera");
    else stop("blocked", error.message);
    return false;
  }
  const track = stream.getVideoTracks()[0];
  if ("contentHint" in track) track.contentHint = "motion";
  track.onmute = () => setAsleep(true);
  track.onunmute = () => setAsleep(false);
  track.onended = () => {
    if (stream && !stopped) setAsleep(true);
  };
  const settings = track.getSettings ? track.getSettings() : {};
  root.dataset.facing = settings.facingMode === "environment" || (facing === "environment" && !settings.facingMode) ? "environment" : "user";
  root.dataset.camera = "on";
  preview.srcObject = stream;
  preview.play().catch(() => {});
  asleep = false;
  applyPaused();
  const devices = await navigator.mediaDevices.enumerateDevices();
  cameras = devices.filter((device) => device.kind === "videoinput").length;
  root.dataset.many = cameras > 1 ? "yes" : "no";
  return true;
}

function closeCamera() {
  if (stream) for (const track of stream.getTracks()) {
    track.onended = null;
    track.stop();
  }
  stream = null;
  root.dataset.camera = "off";
}

async function connect() {
  clearTimeout(retry);
  end();
  stopped = "";
  seated = false;
  show(wasLive ? "lost" : "connecting");
  const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  for (const track of stream.getTracks()) {
    const encodings = track.kind === "video" ? [{ maxBitrate: MAX_BITS_PER_S, maxFramerate: FPS }] : undefined;
    const transceiver = peer.addTransceiver(track, { direction: "sendonly", streams: [stream], sendEncodings: encodings });
    if (track.kind === "video") keepSize(transceiver.sender);
  }
  const mine = new RtcSession("/whip", peer, () => again("lost"));
  session = mine;
  const changed = peer.onconnectionstatechange;
  peer.onconnectionstatechange = () => {
    changed();
    if (session !== mine) return;
    if (peer.connectionState === "connected") {
      wasLive = true;
      retryMs = FIRST_RETRY_MS;
      stayAwake();
    }
    refresh();
  };
  try {
    await mine.open();
  } catch (error) {
    if (session !== mine) return;
    session = null;
    peer.close();
    if (!(error instanceof Refused)) return again(wasLive ? "lost" : "connecting");
    if (error.status === 409) return stop("asking");
    if (error.status === 403) return stop("refused");
    if (error.status === 401) return stop("kicked");
    if (error.status === 503 || error.status === 429) return again("connecting");
    return stop("left", error.message);
  }
  refresh();
}

// Full size from the first second on; the server asks for no more than a phone can give.
function keepSize(sender) {
  try {
    const parameters = sender.getParameters();
    parameters.degradationPreference = "maintain-resolution";
    sender.setParameters(parameters).catch(() => {});
  } catch (error) {
    // older Safari: its own judgement
  }
}

function end() {
  if (session) session.close();
  session = null;
}

function again(name) {
  session = null;
  if (stopped) return;
  show(name);
  clearTimeout(retry);
  retry = setTimeout(() => (stream ? connect() : begin()), retryMs);
  retryMs = Math.min(retryMs * 1.7, LONGEST_RETRY_MS);
}

function applyPaused() {
  root.dataset.paused = paused || asleep ? "yes" : "no";
  if (stream) for (const track of stream.getTracks()) track.enabled = !paused;
  $("#pause").setAttribute("aria-pressed", String(paused));
  setIcon($("#pause"), paused ? "play" : "pause");
  setText($("#pause small"), paused ? "Go on" : "Pause");
  tellPaused();
}

function setAsleep(on) {
  asleep = on;
  applyPaused();
  refresh();
}

async function wake() {
  if (document.visibilityState !== "visible") return setAsleep(true);
  if (!asleep) return;
  const track = stream && stream.getVideoTracks()[0];
  if (stopped) return;
  if (!track || track.readyState === "ended") {
    if (await openCamera()) await connect(); // the system ended the camera while the page slept
  } else if (!track.muted) {
    setAsleep(false);
  }
  stayAwake();
}

async function stayAwake() {
  if (!navigator.wakeLock || document.visibilityState !== "visible") return;
  try {
    wakeLock = await navigator.wakeLock.request("screen");
  } catch (error) {
    wakeLock = null; // low battery: then the screen goes dark as it always does
  }
}

function showSound() {
  $("#mic").setAttribute("aria-pressed", String(wantsSound));
  setIcon($("#mic"), wantsSound ? "mic" : "mic-off");
  setText($("#mic small"), wantsSound ? "Sound on" : "Sound off");
}

$("#action").addEventListener("click", () => {
  if (state === "paused") {
    paused = false;
    applyPaused();
    return refresh();
  }
  if (state === "asleep") return wake();
  if (state === "refused" && stream) return connect();
  return begin();
});
$("#pause").addEventListener("click", () => {
  paused = !paused;
  applyPaused();
  refresh();
});
$("#flip").addEventListener("click", async () => {
  facing = facing === "user" ? "environment" : "user";
  if (await openCamera()) await connect();
});
$("#mic").addEventListener("click", async () => {
  wantsSound = !wantsSound;
  showSound();
  if (await openCamera()) await connect();
});
$("#leave").addEventListener("click", () => {
  end();
  closeCamera();
  if (wakeLock) wakeLock.release().catch(() => {});
  stop("left");
});
document.addEventListener("visibilitychange", wake);
addEventListener("pagehide", () => end());
addEventListener("pageshow", (event) => {
  if (event.persisted) begin();
});
addEventListener("online", () => {
  if (!stopped && !session) begin();
});

begin();
