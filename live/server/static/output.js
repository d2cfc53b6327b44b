// Where pictures go: the address for OBS, the virtual camera, the recording.

import { $, element, icon, setIcon, setText, withCode } from "./dom.js";

const COPIED_MS = 1800;
const CAMERA_OFF = "Off. Start with `--sink vcam` to be a webcam in Zoom, Discord and the like.";
const RECORDING_OFF = "Off. Start with `--sink out.mp4` to record.";

export function output(app) {
  const root = $("#outputs");
  const address = `${location.origin}/view`;
  const copy = element("button", { class: "button small", type: "button", onclick: copyAddress }, icon("copy"), element("span", {}, "Copy URL"));
  const size = element("p");
  const browser = element("div", { class: "output on" }, badge("browser"), element("h3", {}, "OBS browser source"), copy, size);
  const others = element("div", { class: "outputs" });
  root.append(browser, others);
  let shown = "";

  async function copyAddress() {
    try {
      await navigator.clipboard.writeText(address);
    } catch {
      // No clipboard without permission or a secure context: show the address to copy by hand.
      prompt("Copy this address:", address);
      return;
    }
    setIcon(copy, "check");
    setText($("span", copy), "Copied");
    setTimeout(() => {
      setIcon(copy, "copy");
      setText($("span", copy), "Copy URL");
    }, COPIED_MS);
  }

  function badge(name) {
    return element("span", { class: "badge" }, icon(name));
  }

  function row(iconName, title, sink, off) {
    const broken = Boolean(sink?.error);
    const kind = broken ? "output broken" : sink?.state === "running" ? "output on" : "output";
    const text = broken ? sink.error : !sink ? off : sink.state === "running" ? "On" : "Stopped";
    return element("div", { class: kind }, badge(iconName), element("h3", {}, title), element("p", {}, ...withCode(text)));
  }

  return {
    update({ sinks, size_wh: [width, height] }) {
      setText(size, `${address.replace(/^https?:\/\//, "")}\n${width} × ${height} px, 60 fps`);
      const key = JSON.stringify(sinks);
      if (key === shown) return;
      shown = key;
      const camera = sinks.find(({ name }) => name.startsWith("virtual camera"));
      const rest = sinks.filter((sink) => sink !== camera && sink.name !== "null");
      const recordings = rest.length ? rest.map((sink) => row("record", capital(sink.name), sink, "")) : [row("record", "Recording", null, RECORDING_OFF)];
      others.replaceChildren(row("camera", "Virtual camera", camera, CAMERA_OFF), ...recordings);
    },
  };
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
