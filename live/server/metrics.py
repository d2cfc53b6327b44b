"""Counters in Prometheus' text format, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["CONTENT_TYPE", "exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Row = tuple[Mapping[str, object], float | int | None]


def exposition(stats: Mapping[str, Any], remote: Mapping[str, Any], viewers: int) -> str:
    """Everything that is counted.

    Args:
        stats: `Stats.snapshot()`.
        remote: `Remote.stats()`.
        viewers: over WebSocket and WebRTC.
    """
    phone, watching, casts = remote["phone"], remote["viewers"], remote["broadcasts"]
    lines: list[str] = []

    def metric(name: str, kind: str, meaning: str, rows: Iterable[Row]) -> None:
        shown = [(labels, value) for labels, value in rows if value is not None]
        if shown:
            lines.append(f"# HELP faceshot_{name} {meaning}")
            lines.append(f"# TYPE faceshot_{name} {kind}")
            lines.extend(f"faceshot_{name}{_labels(labels)} {float(value):g}" for labels, value in shown)

    def of(key: str, scale: float = 1.0) -> list[Row]:
        """The driver's and every viewer's value."""
        peers = [({"peer": "driver"}, phone.get(key))]
        peers += [({"peer": f"viewer-{i}"}, viewer.get(key)) for i, viewer in enumerate(watching)]
        return [(labels, None if value is None else value * scale) for labels, value in peers]

    metric("frames_in_total", "counter", "Frames from the source.", [({}, stats["frames_in"])])
    metric("frames_out_total", "counter", "Pictures put on air.", [({}, stats["frames_out"])])
    dropped = [({"reason": reason}, n) for reason, n in stats["dropped"].items()]
    metric("frames_dropped_total", "counter", "Frames left out, by reason.", dropped)
    metric(
        "fps", "gauge", "Frames a second.", [({"where": "in"}, stats["fps_in"]), ({"where": "out"}, stats["fps_out"])]
    )
    latency = [({"quantile": f"0.{p[1:]}"}, _seconds(ms)) for p, ms in stats["latency_ms"].items()]
    metric("latency_seconds", "gauge", "From capture to rendered pixels, of the last frames.", latency)
    stages = [
        ({"stage": stage, "quantile": f"0.{p[1:]}"}, _seconds(ms))
        for stage, times in stats["stages"].items()
        for p, ms in times.items()
        if p.startswith("p")
    ]
    metric("stage_seconds", "gauge", "How long each stage works on a frame.", stages)
    metric("memory_bytes", "gauge", "Resident memory.", [({}, stats["rss_mb"] * 1e6)])
    metric("viewers", "gauge", "Who watches, over WebSocket and WebRTC.", [({}, viewers)])
    metric("webrtc_viewers", "gauge", "Who watches over WebRTC.", [({}, len(watching))])
    metric("driver_connected", "gauge", "Whether somebody drives over WebRTC.", [({}, int(phone["connected"]))])
    metric("rtp_packets_total", "counter", "RTP packets that arrived, at us or at the viewer.", of("packets"))
    metric("rtp_lost_packets_total", "counter", "RTP packets that never arrived.", of("lost"))
    metric("rtp_jitter_seconds", "gauge", "Interarrival jitter (RFC 3550).", of("jitter_ms", 1e-3))
    metric("rtt_seconds", "gauge", "There and back, of a STUN check.", of("rtt_ms", 1e-3))
    metric("bitrate_bits_per_second", "gauge", "Both directions of a peer.", of("bitrate_bps"))
    metric("holes_skipped_total", "counter", "Pictures of the driver given up for lost.", [({}, phone.get("given_up"))])
    drops = [({"peer": f"viewer-{i}"}, viewer["dropped"]) for i, viewer in enumerate(watching)]
    metric("viewer_dropped_total", "counter", "Packets left out because a viewer was behind.", drops)
    encode = [
        ({"codec": cast["codec"], "alpha": int(cast["alpha"]), "quantile": f"0.{p[1:]}"}, _seconds(ms))
        for cast in casts
        for p, ms in cast["encode_ms"].items()
    ]
    metric("encode_seconds", "gauge", "How long a picture takes to encode, once for all viewers.", encode)
    keys = [({"codec": cast["codec"], "alpha": int(cast["alpha"])}, cast["keyframes"]) for cast in casts]
    metric("keyframes_total", "counter", "Keyframes sent.", keys)
    return "\n".join(lines) + "\n"


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1e3


def _labels(labels: Mapping[str, object]) -> str:
    if not labels:
        return ""
    texts = (str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for value in labels.values())
    return "{" + ",".join(f'{name}="{text}"' for name, text in zip(labels, texts, strict=True)) + "}"
