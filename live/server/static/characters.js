// Who is on air: the grid of portraits, keys 1 to 9, and pictures that are chosen, dropped or pasted.

import { ApiError, upload } from "./api.js";
import { $, checkRadio, element, icon, radioKeys, setText } from "./dom.js";

const title = (name) => name.charAt(0).toUpperCase() + name.slice(1);

export function characters(app) {
  const grid = $("#characters");
  const input = $("#picture-file");
  let shown = "";
  let version = 0;
  let loading = ""; // spec of the character that was asked for and is not on air yet

  radioKeys(grid);
  const add = element(
    "button",
    { class: "character add", type: "button", onclick: () => input.click() },
    element("span", { class: "face" }, icon("plus")),
    element("span", { class: "name" }, "Add"),
  );
  add.setAttribute("aria-label", "Add a picture");
  input.addEventListener("change", () => {
    if (input.files[0]) take(input.files[0]);
    input.value = "";
  });
  acceptDrops((file) => take(file));
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((f) => f.type.startsWith("image/"));
    if (file) take(file);
  });

  app.chooseCharacter = (index) => {
    const character = app.state?.characters[index];
    if (character) choose(character.spec);
  };

  async function choose(spec) {
    if (spec === app.state.character.spec || loading) return;
    loading = spec;
    mark(app.state);
    await app.act("/api/character", { spec });
    loading = "";
    mark(app.state);
  }

  async function take(file) {
    const limit = app.state?.max_upload_mb ?? Infinity;
    if (file.size > limit * 1024 * 1024) {
      const size = (file.size / 1024 / 1024).toFixed(0);
      app.failure(new ApiError(`${file.name} is ${size} MB; at most ${limit} MB are allowed.`, "Use a smaller picture."));
      return;
    }
    const done = working(file.name);
    try {
      const state = await upload(file, done.progress);
      version++; // a picture of the same name may have been there before
      shown = "";
      app.apply(state);
      app.confirmation(`${title(app.state.character.name)} is on air`);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.editor) app.offer(error.message, "Show where it is: seven clicks, half a minute.", "Place the points", () => place(file));
      else app.failure(error);
    } finally {
      done.end();
    }
  }

  // A picture without a face that the program sees goes to the editor, where the user shows it.
  async function place(file) {
    const done = working(file.name);
    try {
      const opened = await upload(file, done.progress, "/api/edit/picture");
      location.href = `/edit?id=${opened.id}`;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      app.failure(error);
    } finally {
      done.end();
    }
  }

  function tile({ spec, name }, index) {
    const image = element("img", { alt: "", draggable: "false", src: `/api/characters/${encodeURIComponent(spec)}/thumb?${version}` });
    image.addEventListener("load", () => image.classList.add("ready"));
    image.addEventListener("error", () => image.remove());
    return element(
      "button",
      { class: "character", type: "button", role: "radio", "data-spec": spec, "aria-label": title(name), onclick: () => choose(spec) },
      element("span", { class: "face" }, element("span", { class: "initial" }, title(name).charAt(0)), image, element("i", { class: "spinner" })),
      element("span", { class: "name" }, title(name)),
      index < 9 ? element("kbd", {}, String(index + 1)) : null,
    );
  }

  function mark(state) {
    const tiles = [...grid.querySelectorAll('[role="radio"]')];
    checkRadio(tiles, (button) => button.dataset.spec === state.character.spec);
    for (const button of tiles) button.classList.toggle("loading", button.dataset.spec === loading);
  }

  return {
    update(state) {
      // One that was named on the command line is in no list.
      const listed = state.characters.some(({ spec }) => spec === state.character.spec);
      const all = listed || !state.characters.length ? state.characters : [...state.characters, state.character];
      const key = JSON.stringify(all);
      if (all.length && key !== shown) {
        const focused = grid.contains(document.activeElement) ? document.activeElement.dataset.spec : null;
        grid.replaceChildren(...all.map(tile), add);
        if (focused) $(`[data-spec="${CSS.escape(focused)}"]`, grid)?.focus();
        shown = key;
      }
      mark(state);
      $("#edit-character").href = `/edit?spec=${encodeURIComponent(state.character.spec)}`;
    },
  };
}

// Shows on the stage that a picture is on its way: a ring while it is sent, then an endless one while it is looked at.
function working(name) {
  const root = $("#stage");
  const ring = $(".ring", root);
  setText($("#work-name"), name);
  setText($("#work-title"), "Sending the picture");
  ring.classList.remove("endless");
  root.classList.add("working");
  return {
    progress(part) {
      ring.style.setProperty("--left", String(100 - 100 * part));
      if (part < 1) return;
      setText($("#work-title"), "Looking for the face");
      ring.classList.add("endless");
    },
    end: () => root.classList.remove("working"),
  };
}

function acceptDrops(onFile) {
  const overlay = $("#drop");
  let inside = 0; // enter and leave come for every element on the way
  const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  const leave = () => {
    inside = 0;
    overlay.classList.remove("on");
  };
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    inside++;
    overlay.classList.add("on");
  });
  addEventListener("dragleave", (event) => {
    if (hasFiles(event) && --inside <= 0) leave();
  });
  addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    leave();
    if (event.dataTransfer.files[0]) onFile(event.dataTransfer.files[0]);
  });
}
