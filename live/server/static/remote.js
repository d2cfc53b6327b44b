// The cards Phone and Viewers: who drives, who watches, and how others get in.

import { ApiError, get, post } from "./api.js";
import { $, element, icon, setIcon, setText, withCode } from "./dom.js";

const COPIED_MS = 1800;
const REFRESH_MS = 60000; // a code is good for ten minutes; the server gives another one in time

let invitation = null;
const wanted = new Set();

// Asks the server how others get in, and tells every card.
async function invite() {
  try {
    invitation = await get("/api/remote/invite");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return;
  }
  for (const card of wanted) card();
}
setInterval(() => document.visibilityState === "visible" && invite(), REFRESH_MS);

function copyButton(label, text, iconName = "copy") {
  const button = element("button", { class: "button small", type: "button" }, icon(iconName), element("span", {}, label));
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
    } catch {
      prompt("Copy this:", text()); // no clipboard without permission or a secure context
      return;
    }
    setIcon(button, "check");
    setText($("span", button), "Copied");
    setTimeout(() => {
      setIcon(button, iconName);
      setText($("span", button), label);
    }, COPIED_MS);
  });
  return button;
}

async function command(app, path, body) {
  try {
    await post(path, body);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    app.failure(error);
  }
}

const megabits = (bits) => (bits ? `${(bits / 1e6).toFixed(1)} Mbit/s` : "");
const percent = (lost, packets) => (packets ? `${((100 * lost) / (packets + lost)).toFixed(1)} % lost` : "");

export function phone(app) {
  const root = $("#phone");
  const qr = element("div", { class: "qr", role: "img", "aria-label": "Code to scan with the phone" });
  const copyLink = copyButton("Copy link", () => invitation.drive.url, "link");
  const scan = element("div", { class: "scan" }, qr, element("div", {}, element("p", {}, "Scan it with the phone's camera. No app; the browser does it all."), element("p", { class: "small" }, "Lets one phone in. Viewers see the character, never the camera."), copyLink));
  const off = element("p", { class: "off" }, ...withCode("Start with `faceshot live --lan` and a code to scan appears here."));
  const here = element("a", { class: "button small", href: "/drive", target: "_blank", rel: "noopener" }, icon("camera"), "Drive from this browser");
  const people = element("div", { class: "people" });
  const programs = element("details", {}, element("summary", {}, "OBS and other WHIP programs"));
  root.append(people, scan, off, here, programs);
  let shown = "";
  let told = "";

  function drawPrograms() {
    const { whip, whip_lan: lan, drive_bearer: bearer } = invitation;
    programs.replaceChildren(programs.firstChild);
    programs.append(field("On this computer", whip));
    if (lan) programs.append(field("On the network", lan), field("Bearer token", bearer, true));
  }

  function refresh() {
    if (!app.state || !invitation) return;
    const { holder, asking } = app.state.remote.phone;
    const ready = invitation.lan && invitation.secure;
    scan.hidden = !ready || Boolean(holder);
    off.hidden = ready || Boolean(holder);
    here.hidden = ready || Boolean(holder);
    if (qr.dataset.of !== invitation.drive.url) {
      qr.dataset.of = invitation.drive.url;
      qr.innerHTML = invitation.drive.svg; // drawn by our own server
    }
    const key = JSON.stringify(invitation);
    if (key !== shown) drawPrograms();
    shown = key;
    drawPeople(app.state.remote.phone, asking);
  }

  function drawPeople(driver, asking) {
    const { holder } = driver;
    const rows = asking.map(({ who, name }) =>
      element(
        "div",
        { class: "person asks" },
        element("span", { class: "badge" }, icon("phone")),
        element("h3", {}, name),
        element("p", {}, "wants to drive"),
        element(
          "div",
          { class: "choice" },
          element("button", { class: "button small yes", type: "button", onclick: () => command(app, "/api/remote/answer", { who, allow: true }) }, "Allow"),
          element("button", { class: "button small", type: "button", onclick: () => command(app, "/api/remote/answer", { who, allow: false }) }, "Refuse"),
        ),
      ),
    );
    let now = "Nobody drives";
    if (holder) {
      const facts = [];
      if (driver.size_wh) facts.push(driver.size_wh.join(" × "));
      facts.push(megabits(driver.bitrate_bps), driver.rtt_ms ? `${driver.rtt_ms.toFixed(0)} ms` : "", percent(driver.lost, driver.packets));
      now = holder.away ? "Reconnecting" : driver.paused ? "Paused by the phone" : driver.connected && !driver.on_air ? "Not on air" : "Live";
      rows.push(
        element(
          "div",
          { class: now === "Live" ? "person on" : "person" },
          element("span", { class: "badge" }, icon("phone")),
          element("h3", {}, holder.name),
          element("p", {}, facts.filter(Boolean).join(" · ") || "connecting"),
          element("button", { class: "button small", type: "button", id: "kick", onclick: () => command(app, "/api/remote/kick") }, "Kick"),
        ),
      );
    }
    if (asking.length) now = "Somebody asks";
    const value = $("#phone-now");
    setText(value, now);
    value.classList.toggle("warn", Boolean(asking.length) || now === "Reconnecting");
    const text = rows.map((row) => row.textContent).join("\n");
    if (text === told && people.childElementCount === rows.length) return;
    const kick = told.replace(/\d+/g, "") === text.replace(/\d+/g, ""); // only numbers changed: keep the buttons
    told = text;
    if (kick) people.querySelectorAll("p").forEach((p, i) => setText(p, $("p", rows[i]).textContent));
    else people.replaceChildren(...rows);
  }

  wanted.add(refresh);
  invite();
  let seen = "";
  return {
    update(state) {
      const { holder, asking } = state.remote.phone;
      const people = JSON.stringify([holder, asking.length]);
      if (people !== seen && seen) invite(); // a code was used: the next one is another
      seen = people;
      refresh();
    },
  };
}

export function viewers(app) {
  const root = $("#viewers");
  const list = element("div", { class: "people" });
  const hint = element("p", { class: "off" });
  const copyLink = copyButton("Copy link", () => invitation.watch.url, "link");
  const open = element("a", { class: "button small", target: "_blank", rel: "noopener" }, icon("eye"), "Watch");
  const programs = element("details", {}, element("summary", {}, "WHEP players"));
  root.append(list, hint, element("div", { class: "row" }, copyLink, open), programs);
  let shown = "";
  let told = "";

  function refresh() {
    if (!app.state || !invitation) return;
    const watching = app.state.remote.viewers;
    const bits = watching.reduce((sum, viewer) => sum + (viewer.bitrate_bps || 0), 0);
    const drops = watching.reduce((sum, viewer) => sum + viewer.dropped, 0);
    const parts = [`${watching.length} over WebRTC`, megabits(bits), drops ? `${drops} dropped` : ""];
    setText($("#viewers-now"), watching.length ? parts.filter(Boolean).join(" · ") : "Nobody yet");
    const text = invitation.lan ? "Whoever has the link sees the character, live; never your camera." : "This link works on this computer. `faceshot live --lan` makes one for others.";
    if (hint.dataset.text !== text) {
      hint.dataset.text = text;
      hint.replaceChildren(...withCode(text));
    }
    if (open.getAttribute("href") !== invitation.watch.url) open.href = invitation.watch.url;
    const key = JSON.stringify(invitation);
    if (key !== shown) {
      shown = key;
      programs.replaceChildren(programs.firstChild, field("On this computer", invitation.whep));
      if (invitation.whep_lan) programs.append(field("On the network", invitation.whep_lan), field("Bearer token", invitation.view_bearer, true));
    }
    drawList(watching);
  }

  function drawList(watching) {
    const lines = watching.map((viewer) => [megabits(viewer.bitrate_bps), viewer.rtt_ms ? `${viewer.rtt_ms.toFixed(0)} ms` : "", percent(viewer.lost, viewer.packets), viewer.dropped ? `${viewer.dropped} dropped` : ""].filter(Boolean).join(" · "));
    const who = watching.map((viewer) => viewer.id).join();
    if (who !== told) {
      told = who;
      list.replaceChildren(
        ...watching.map((viewer) =>
          element(
            "div",
            { class: "person on" },
            element("span", { class: "badge" }, icon("eye")),
            element("h3", {}, viewer.name),
            element("p", {}, ""),
            element("button", { class: "button small", type: "button", onclick: () => command(app, "/api/remote/kick", { viewer: viewer.id }) }, "End"),
          ),
        ),
      );
    }
    list.querySelectorAll("p").forEach((p, i) => setText(p, lines[i] || watching[i].state));
  }

  wanted.add(refresh);
  return { update: refresh };
}

function field(label, text, secret = false) {
  return element("div", { class: "field-row" }, element("small", {}, label), element("code", {}, secret ? `${text.slice(0, 4)}…` : text), copyButton("Copy", () => text));
}
