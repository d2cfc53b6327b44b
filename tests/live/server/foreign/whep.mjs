// A WHEP viewer that shares no code with the server: werift (TypeScript). Says what came after forty packets.
//   node whep.mjs URL vp8|h264
import { RTCPeerConnection, useH264, useVP8 } from "werift";

const [url, codec] = process.argv.slice(2);
const video = codec === "vp8" ? useVP8({ payloadType: 96 }) : useH264({ payloadType: 97 });
const peer = new RTCPeerConnection({ codecs: { video: [video] }, iceServers: [] });
const transceiver = peer.addTransceiver("video", { direction: "recvonly" });
const seen = [];
const enough = new Promise((resolve) => {
  transceiver.onTrack.subscribe((track) =>
    track.onReceiveRtp.subscribe((packet) => {
      seen.push([packet.header.marker, packet.header.timestamp, packet.payload.toString("base64")]);
      if (seen.length === 40) resolve();
    }),
  );
});
await peer.setLocalDescription(await peer.createOffer());
const reply = await fetch(url, { method: "POST", headers: { "Content-Type": "application/sdp" }, body: peer.localDescription.sdp });
const answer = await reply.text();
if (reply.status !== 201) throw new Error(`${reply.status} ${answer}`);
await peer.setRemoteDescription({ type: "answer", sdp: answer });
await enough;
const end = await fetch(new URL(reply.headers.get("location"), url), { method: "DELETE" });
console.log(JSON.stringify({ packets: seen, deleted: end.status }));
process.exit(0);
