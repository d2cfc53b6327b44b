// The landmark editor: opens a character, hands it to the desk and the cards, and saves it.

import { ApiError, SILENT, get, post, upload } from "./api.js";
import { $, setText } from "./dom.js";
import { confirmation, failure } from "./toast.js";
import { backgroundCard, kindCard, partsCard } from "./edit-cards.js";
import { Canvas } from "./edit-canvas.js";
import { makeGuide } from "./edit-guide.js";
import { hands } from "./edit-hands.js";
import { Model, partOf } from "./edit-model.js";
import { makePreview } from "./edit-preview.js";

const page = document.documentElement;
const model = new Model();
const desk = new Canvas(model, $("#canvas"), $("#loupe"));
const guide = makeGuide(model, desk, failed);
const preview = makePreview(model, failed);
partsCard(model, desk);
const kind = kindCard(model, guide);
const background = backgroundCard(model, desk, failed, refresh);
let opened = null; // the document; the guide and the cards have the same object
let renamed = false;
let source = null; // opens the same again

const actions = {
  async tool(name) {
    if (guide.active && name !== "guide") await guide.settled();
    if (!opened || (name !== "guide" && !model.placed)) return;
    if (guide.active && name !== "guide") guide.leave();
    desk.tool = name;
    page.dataset.tool = name;
    for (const button of document.querySelectorAll(".tools [data-tool]")) {
      button.setAttribute("aria-pressed", String(button.dataset.tool === name));
    }
    if (name === "guide") guide.enter();
    if (name === "parts" && model.part === "") model.choose(-1, "mouth");
    desk.draw();
    refresh();
  },
  toggle(name) {
    model.setOption(name, !model[name]);
    $(`#${name}`).setAttribute("aria-pressed", String(model[name]));
    refresh();
  },
  save,
};
guide.done = () => actions.tool("points");
hands(model, desk, guide, actions);

for (const button of document.querySelectorAll(".tools [data-tool]")) button.addEventListener("click", () => actions.tool(button.dataset.tool));
for (const name of ["mirror", "soft"]) $(`#${name}`).addEventListener("click", () => actions.toggle(name));
$("#zoom-in").addEventListener("click", () => desk.zoomAt(1.4));
$("#zoom-out").addEventListener("click", () => desk.zoomAt(1 / 1.4));
$("#zoom-fit").addEventListener("click", () => desk.fit());
$("#undo").addEventListener("click", () => model.undo());
$("#redo").addEventListener("click", () => model.redo());
$("#save").addEventListener("click", () => save());
$("#uncrop").addEventListener("click", () => model.takeSquareAway());
$("#air").addEventListener("click", onAir);
$("#name").addEventListener("input", () => {
  renamed = true;
  refresh();
});
$("#choose").addEventListener("click", () => $("#picture-file").click());
$("#picture-file").addEventListener("change", (event) => event.target.files[0] && take(event.target.files[0]));

const desktop = $(".desk");
addEventListener("dragover", (event) => {
  event.preventDefault();
  desktop.classList.add("dropping");
});
addEventListener("dragleave", (event) => event.relatedTarget === null && desktop.classList.remove("dropping"));
addEventListener("drop", (event) => {
  event.preventDefault();
  desktop.classList.remove("dropping");
  const file = event.dataTransfer.files[0];
  if (file && (!unsaved() || confirm("Open another character without saving this one?"))) take(file);
});
addEventListener("beforeunload", (event) => unsaved() && event.preventDefault());

const unsaved = () => Boolean(opened) && (model.dirty || renamed || background.cut !== null) && model.placed;

function refresh() {
  $("#undo").disabled = !model.past.length;
  $("#redo").disabled = !model.future.length;
  $("#save").disabled = !opened || !model.placed || !(unsaved() || !opened.saved);
  $("#air").hidden = !opened?.show;
  $("#air").disabled = !model.placed;
  $("#uncrop").hidden = !opened || desk.tool !== "square" || !model.square;
  const file = $("#file");
  if (opened) setText(file, unsaved() ? `Not saved yet · ${opened.filename}` : fileText());
  file.classList.toggle("dirty", unsaved());
  setText($("#tell"), told());
}

function fileText() {
  if (!opened.saved) return `Saves as ${opened.filename}`;
  const older = opened.versions ? ` · ${opened.versions} older version${opened.versions > 1 ? "s" : ""} kept` : "";
  return `${opened.file}${older}`;
}

function told() {
  if (!opened || guide.active || !model.placed) return "";
  if (desk.tool === "square") return model.square ? "What LivePortrait animates: drag it, or a corner" : "Drag a square over what LivePortrait is to animate";
  if (desk.tool === "parts") return model.part ? "Drag inside to move, a corner to scale, the round handle to turn" : "Click a part of the face";
  if (opened.fresh && model.matcher === "mediapipe" && !model.past.length) return "Does it not fit? The guide places all points by a few drags";
  if (model.chosen < 0) return matchMedia("(hover: none)").matches ? "Drag a point; pinch to zoom" : "Drag a point, or choose one and use the arrow keys";
  const sure = Math.round(model.confidence[model.chosen] * 100);
  return `Point ${model.chosen} · ${partOf(model.chosen).label.toLowerCase()} · ${sure} % sure`;
}
model.onChange(refresh);

// A server that was started again knows nothing of what is on the desk: it is opened there once more, and nothing is lost.
async function reopen() {
  const found = await (opened.saved ? post("/api/edit/open", { spec: opened.file }) : source());
  if (String(found.size_wh) !== String(opened.size_wh)) {
    throw new ApiError(`${found.filename} is another picture now: ${found.size_wh.join("×")}, and was ${opened.size_wh.join("×")}.`, "Open it again; the points of this page do not fit it.");
  }
  opened.id = found.id;
}

async function failed(error) {
  if (error.message === SILENT) {
    const edit = `faceshot character edit ${opened?.saved ? opened.file : "…"} --port ${location.port}`;
    const again = opened?.show ? "`faceshot live`" : `\`${edit}\``;
    return failure(new ApiError(SILENT, `Start ${again} again and leave this page open: then save, and nothing is lost.`));
  }
  if (!error.gone || !opened) return failure(error);
  try {
    await reopen();
    failure(new ApiError("The server was started again; what is on this page is open there again.", "Do that once more."));
  } catch (other) {
    if (!(other instanceof ApiError)) throw other;
    failure(other);
  }
}

function show(document_, picture) {
  opened = document_;
  renamed = false;
  $("#start").hidden = true;
  $("#name").value = opened.name;
  document.title = `${opened.name} · landmarks`;
  guide.leave();
  desk.tool = "points";
  model.load(opened);
  desk.show(picture);
  guide.open(opened);
  kind.open(opened);
  background.open(opened);
  preview.open(opened);
  page.dataset.state = "ready";
  if (!opened.show) $("#home").removeAttribute("href");
  actions.tool(model.placed ? "points" : "guide");
  history.replaceState(null, "", opened.saved ? `/edit?spec=${encodeURIComponent(opened.file)}` : `/edit?id=${opened.id}`);
  refresh();
}

async function open(load, text) {
  page.dataset.state = "loading";
  setText($("#working p"), text);
  try {
    const found = await load();
    const response = await fetch(`/api/edit/${found.id}/picture`);
    show(found, await createImageBitmap(await response.blob()));
    source = load;
  } catch (error) {
    page.dataset.state = opened ? "ready" : "start";
    $("#start").hidden = Boolean(opened);
    failure(error instanceof ApiError ? error : new ApiError("The picture could not be loaded.", "Open it again."));
  }
}

function take(file) {
  return open(() => upload(file, () => {}, "/api/edit/picture"), `Looking at ${file.name}`);
}

async function save() {
  if (!opened || !model.placed || page.dataset.state !== "ready") return false;
  page.dataset.state = "busy";
  setText($("#working p"), "Saving");
  await guide.settled();
  try {
    const body = { ...model.landmarks(), name: $("#name").value, matcher: model.matcher, cut: background.cut };
    const print = model.print();
    const answer = await post(`/api/edit/${opened.id}/save`, body).catch(async (error) => {
      if (!error.gone) throw error;
      await reopen();
      return post(`/api/edit/${opened.id}/save`, body);
    });
    const cut = background.cut !== null;
    Object.assign(opened, answer);
    renamed = $("#name").value !== body.name;
    model.markSaved(print);
    if (cut) {
      const response = await fetch(`/api/edit/${opened.id}/picture`);
      desk.picture = await createImageBitmap(await response.blob());
      background.open(opened);
    }
    history.replaceState(null, "", `/edit?spec=${encodeURIComponent(opened.file)}`);
    if (answer.changed) failure(new ApiError(`${opened.filename} had been changed by somebody else. Yours is saved.`, `Theirs is kept as ${answer.kept}.`));
    else confirmation(answer.kept ? `Saved ${opened.filename}. The old one is kept as ${answer.kept}` : `Saved ${opened.filename}`);
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    await failed(error);
    return false;
  } finally {
    page.dataset.state = "ready";
    refresh();
    desk.draw();
  }
}

async function onAir() {
  if ((unsaved() || !opened.saved) && !(await save())) return;
  try {
    await post("/api/character", { spec: opened.file });
    location.href = "/";
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    failure(error);
  }
}

const query = new URLSearchParams(location.search);
if (query.get("spec")) open(() => post("/api/edit/open", { spec: query.get("spec") }), "Opening");
else if (query.get("id")) open(() => get(`/api/edit/${encodeURIComponent(query.get("id"))}`), "Opening");
else {
  page.dataset.state = "start";
  $("#start").hidden = false;
}
refresh();
