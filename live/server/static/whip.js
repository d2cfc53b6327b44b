// One WebRTC session over HTTP: WHIP (RFC 9725) to send, WHEP (draft-04) to receive. Candidates trickle, ICE restarts.

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class RtcSession {
  // `peer` has its tracks or transceivers already. `onEnd` is called once when the session is beyond repair.
  constructor(endpoint, peer, onEnd) {
    this.endpoint = endpoint;
    this.peer = peer;
    this.onEnd = onEnd;
    this.url = null;
    this.etag = "";
    this.waiting = [];
    this.ended = false;
    this.restarting = false;
    this.repair = 0;
    peer.onicecandidate = (event) => this.found(event.candidate);
    peer.oniceconnectionstatechange = () => this.iceChanged();
    peer.onconnectionstatechange = () => {
      if (peer.connectionState === "failed" || peer.connectionState === "closed") this.end();
    };
  }

  // Offers, and takes the answer. Throws Refused with the server's own words.
  async open() {
    await this.peer.setLocalDescription(await this.peer.createOffer());
    const response = await fetch(this.endpoint, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: this.peer.localDescription.sdp,
    });
    const text = await response.text();
    if (response.status !== 201) throw new Refused(response.status, text.trim());
    this.url = new URL(response.headers.get("Location"), response.url).href;
    this.etag = response.headers.get("ETag") || "";
    const servers = iceServers(response.headers.get("Link"));
    if (this.ended) return this.close();
    if (servers.length) this.peer.setConfiguration({ iceServers: servers });
    await this.peer.setRemoteDescription({ type: "answer", sdp: text });
    this.flush();
  }

  // Ends the session on both sides; also when the page goes away.
  close() {
    this.ended = true;
    clearTimeout(this.repair);
    this.peer.onconnectionstatechange = null;
    this.peer.close();
    if (this.url) fetch(this.url, { method: "DELETE", keepalive: true }).catch(() => {});
    this.url = null;
  }

  end() {
    if (this.ended) return;
    this.close();
    this.onEnd();
  }

  found(candidate) {
    if (candidate && candidate.candidate) this.waiting.push(candidate);
    if (!this.timer) this.timer = setTimeout(() => this.flush(), 20); // several come at a time
  }

  async flush() {
    clearTimeout(this.timer);
    this.timer = 0;
    if (!this.url || this.restarting || !this.waiting.length) return;
    const candidates = this.waiting;
    this.waiting = [];
    try {
      await this.patch(fragment(this.peer.localDescription.sdp, candidates), this.etag);
    } catch (error) {
      // The server learns our address from our checks as well.
    }
  }

  patch(body, match) {
    const headers = { "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": match };
    return fetch(this.url, { method: "PATCH", headers, body });
  }

  iceChanged() {
    const state = this.peer.iceConnectionState;
    clearTimeout(this.repair);
    if (state === "disconnected") this.repair = setTimeout(() => this.restart(), 1500); // another Wi-Fi, a lift
    if (state === "failed") this.restart();
  }

  // Looks for a new way to the server without giving up the session.
  async restart() {
    if (this.ended || this.restarting || !this.url) return;
    this.restarting = true;
    try {
      await this.peer.setLocalDescription(await this.peer.createOffer({ iceRestart: true }));
      const response = await this.patch(fragment(this.peer.localDescription.sdp, []), "*");
      if (response.status !== 200) throw new Refused(response.status, "");
      this.etag = response.headers.get("ETag") || "";
      const sdp = withFragment(this.peer.remoteDescription.sdp, await response.text());
      await this.peer.setRemoteDescription({ type: "answer", sdp });
      this.restarting = false;
      this.flush();
      this.repair = setTimeout(() => {
        const state = this.peer.iceConnectionState;
        if (state !== "connected" && state !== "completed") this.end();
      }, 8000);
    } catch (error) {
      this.restarting = false;
      this.end();
    }
  }
}

// Lines of an SDP that begin with `start`, without it.
function values(sdp, start) {
  return sdp.split(/\r?\n/).filter((line) => line.startsWith(start)).map((line) => line.slice(start.length));
}

function fragment(sdp, candidates) {
  const lines = [`a=ice-ufrag:${values(sdp, "a=ice-ufrag:")[0]}`, `a=ice-pwd:${values(sdp, "a=ice-pwd:")[0]}`];
  const mid = values(sdp, "a=mid:")[0];
  lines.push(`m=${values(sdp, "m=")[0].split(" ")[0]} 9 UDP/TLS/RTP/SAVPF 0`, `a=mid:${mid}`);
  for (const candidate of candidates) lines.push(`a=${candidate.candidate}`);
  return lines.map((line) => `${line}\r\n`).join("");
}

// The answer with the ICE credentials and candidates of `fresh` in the place of its own.
function withFragment(sdp, fresh) {
  const ufrag = values(fresh, "a=ice-ufrag:")[0];
  const password = values(fresh, "a=ice-pwd:")[0];
  const candidates = values(fresh, "a=candidate:");
  let first = true;
  const lines = [];
  for (const line of sdp.split(/\r?\n/)) {
    if (line.startsWith("a=candidate:") || line === "a=end-of-candidates") continue;
    if (line.startsWith("a=ice-ufrag:")) {
      lines.push(`a=ice-ufrag:${ufrag}`);
    } else if (line.startsWith("a=ice-pwd:")) {
      lines.push(`a=ice-pwd:${password}`);
      if (first) for (const text of candidates) lines.push(`a=candidate:${text}`);
      first = false;
    } else {
      lines.push(line);
    }
  }
  return lines.join("\r\n");
}

// `<turn:host>; rel="ice-server"; username="u"; ...`, comma separated, as the list that RTCPeerConnection takes.
function iceServers(link) {
  const servers = [];
  const pattern = /<([^>]*)>((?:\s*;\s*[\w-]+="(?:[^"\\]|\\.)*")*)/g;
  let match;
  while ((match = pattern.exec(link || ""))) {
    const server = { urls: match[1] };
    const parameter = /([\w-]+)="((?:[^"\\]|\\.)*)"/g;
    let pair;
    let rel = "";
    while ((pair = parameter.exec(match[2]))) {
      const value = pair[2].replace(/\\(.)/g, "$1");
      if (pair[1] === "rel") rel = value;
      if (pair[1] === "username") server.username = value;
      if (pair[1] === "credential") server.credential = value;
    }
    if (rel === "ice-server") servers.push(server);
  }
  return servers;
}
