// A WebSocket that comes back by itself: at once after a good connection, then ever slower, at most every 3 seconds.

const FIRST_DELAY_MS = 150;
const LONGEST_DELAY_MS = 3000;

export class Socket {
  // `path` on this server; callbacks onOpen(), onMessage(event), onClose(event, wasOpen).
  constructor(path, callbacks) {
    this.url = new URL(path, location.href.replace(/^http/, "ws"));
    this.callbacks = callbacks;
    this.delay = FIRST_DELAY_MS;
    this.timer = 0;
    this.connect();
    // A sleeping computer wakes up, a network comes back: do not wait for the timer.
    addEventListener("online", () => this.retryNow());
  }

  get open() {
    return this.ws.readyState === WebSocket.OPEN;
  }

  send(text) {
    if (this.open) this.ws.send(text);
  }

  connect() {
    clearTimeout(this.timer);
    let opened = false;
    const ws = new WebSocket(this.url);
    this.ws = ws;
    ws.binaryType = "arraybuffer";
    ws.onopen = () => {
      opened = true;
      this.delay = FIRST_DELAY_MS;
      this.callbacks.onOpen?.();
    };
    ws.onmessage = (event) => this.callbacks.onMessage(event);
    ws.onclose = (event) => {
      this.callbacks.onClose?.(event, opened);
      this.timer = setTimeout(() => this.connect(), this.delay);
      this.delay = Math.min(this.delay * 1.7, LONGEST_DELAY_MS);
    };
  }

  retryNow() {
    if (this.ws.readyState === WebSocket.CLOSED) this.connect();
  }
}
