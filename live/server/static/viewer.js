// Shows the show on a canvas. Never queues: the server sends the next picture when the last but one is on screen, and a
// picture that was overtaken while another was being decoded is skipped.

import { Socket } from "./socket.js";
import { JPEG_MASK, ack, decodeChunk, visible } from "./viewer-protocol.js";

const RELOAD_MS = 3000;

export class Viewer {
  // `preview`: the control page's own picture, not counted as a viewer. `onState` gets "live", "lost" or "refused"
  // (with the reason); `onFrame(chunk)` is called after each picture is drawn.
  constructor(canvas, { preview = null, codec = null, alpha = null, onState = () => {}, onFrame = () => {} }) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.onState = onState;
    this.onFrame = onFrame;
    this.next = null;
    this.busy = false;
    this.shown = 0;
    this.cut = () => {}; // ends the chunk on screen: after its first frame, or at once

    const query = new URLSearchParams();
    for (const [name, value] of Object.entries({ preview, codec, alpha })) if (value) query.set(name, value);
    this.socket = new Socket(`/ws/view?${query}`, {
      onOpen: () => {
        this.next = null;
        this.tellVisible();
      },
      onMessage: (event) => this.take(event.data),
      onClose: (event, wasOpen) => this.closed(wasOpen),
    });

    this.obsVisible = true;
    document.addEventListener("visibilitychange", () => this.tellVisible());
    // In OBS a hidden source still counts as a visible page; it says so by an event of its own.
    addEventListener("obsSourceVisibleChanged", (event) => {
      this.obsVisible = event.detail.visible;
      this.tellVisible();
    });
  }

  tellVisible() {
    this.socket.send(visible(this.obsVisible && document.visibilityState === "visible"));
  }

  // Clears the canvas at once, without waiting for the server.
  blank() {
    this.cut(true);
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  take(data) {
    let chunk;
    try {
      chunk = decodeChunk(data);
    } catch (error) {
      // The server was upgraded while this page stayed open: fetch the page that goes with it.
      console.error(error);
      setTimeout(() => location.reload(), RELOAD_MS);
      return;
    }
    if (this.next) this.socket.send(ack(this.next.sequence)); // overtaken
    this.next = chunk;
    this.cut(false);
    if (!this.busy) this.drain();
  }

  async drain() {
    this.busy = true;
    try {
      while (this.next) {
        const chunk = this.next;
        this.next = null;
        try {
          await this.show(chunk);
        } catch (error) {
          console.error("picture cannot be shown", error); // the next one may be fine
          continue;
        } finally {
          this.socket.send(ack(chunk.sequence));
        }
        this.onState("live");
        this.onFrame(chunk);
      }
    } finally {
      this.busy = false;
    }
  }

  // The frames of a chunk, each when it is due. A newer chunk takes the place of those that are not shown yet, so that
  // hiding is immediate; when the canvas was cleared, not even the first is shown any more.
  async show(chunk) {
    const start = performance.now();
    let [over, cleared] = [false, false];
    const cut = new Promise((resolve) => {
      this.cut = (all) => {
        [over, cleared] = [true, cleared || all];
        resolve();
      };
    });
    for (const [i, frame] of chunk.frames.entries()) {
      const bitmaps = await Promise.all([frame.picture, frame.mask].filter(Boolean).map((blob) => createImageBitmap(blob)));
      const wait = start + frame.offsetMs - performance.now();
      if (wait > 2) await Promise.race([cut, new Promise((resolve) => setTimeout(resolve, wait))]);
      const due = !cleared && (i === 0 || !over);
      if (due) {
        this.draw(chunk, bitmaps);
        this.shown++;
      }
      for (const bitmap of bitmaps) bitmap.close();
      if (over) return;
    }
  }

  draw(chunk, [picture, mask]) {
    const { canvas, context } = this;
    if (canvas.width !== chunk.width || canvas.height !== chunk.height) {
      canvas.width = chunk.width;
      canvas.height = chunk.height;
    }
    context.globalCompositeOperation = "copy";
    context.drawImage(picture, 0, 0);
    if (chunk.codec === JPEG_MASK) {
      context.globalCompositeOperation = "destination-in"; // keeps of the colours what the mask says
      context.drawImage(mask, 0, 0);
    }
  }

  async closed(wasOpen) {
    this.onState("lost");
    if (wasOpen) return;
    // The handshake failed and a page may not see why: ask.
    try {
      const response = await fetch("/ws/view");
      if (response.status === 503) this.onState("refused", (await response.json()).error);
    } catch {
      // nobody there: "lost" is the whole story
    }
  }
}
