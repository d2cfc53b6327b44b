// A WHIP client that shares no code with the server: werift (TypeScript). Sends VP8 packets made elsewhere.
//   node whip.mjs URL PACKETS.json   where each packet is [marker, timestamp, base64 payload]
import { readFileSync } from "node:fs";
import { MediaStreamTrack, RTCPeerConnection, RtpHeader, RtpPacket, useVP8 } from "werift";

const [url, file] = process.argv.slice(2);
const packets = JSON.parse(readFileSync(file, "utf8"));
const peer = new RTCPeerConnection({ codecs: { video: [useVP8({ payloadType: 96 })] }, iceServers: [] });
const track = new MediaStreamTrack({ kind: "video" });
peer.addTransceiver(track, { direction: "sendonly" });
await peer.setLocalDescription(await peer.createOffer());
const reply = await fetch(url, { method: "POST", headers: { "Content-Type": "application/sdp" }, body: peer.localDescription.sdp });
const answer = await reply.text();
if (reply.status !== 201) throw new Error(`${reply.status} ${answer}`);
await peer.setRemoteDescription({ type: "answer", sdp: answer });
await new Promise((resolve) => {
  if (peer.connectionState === "connected") resolve();
  peer.connectionStateChange.subscribe((state) => state === "connected" && resolve());
});
let sequence = 1000;
for (const [marker, timestamp, payload] of packets) {
  const header = new RtpHeader({ payloadType: 96, marker: Boolean(marker), timestamp, sequenceNumber: sequence++, ssrc: 1 });
  track.writeRtp(new RtpPacket(header, Buffer.from(payload, "base64")));
  if (marker) await new Promise((resolve) => setTimeout(resolve, 20));
}
console.log(JSON.stringify({ sent: packets.length, location: reply.headers.get("location") }));
await new Promise((resolve) => process.stdin.once("data", resolve)); // until the test has looked
const end = await fetch(new URL(reply.headers.get("location"), url), { method: "DELETE" });
console.log(JSON.stringify({ deleted: end.status }));
process.exit(0);
