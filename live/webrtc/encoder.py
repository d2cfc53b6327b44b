"""Rendered pictures to H.264 or VP8 packets that every viewer can be sent. Blocking: runs in a worker thread.

Both are set for live use: no picture waits for a later one, no second thread (on two cores libvpx spins with more), and
keyframes only when somebody needs one.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, get_args

import av
import cv2
import numpy as np

from faceshot.types import UInt8

__all__ = ["RTP_CLOCK_HZ", "VIDEO_CODECS", "EncodedPicture", "VideoCodec", "VideoEncoder", "side_by_side"]

VideoCodec = Literal["h264", "vp8"]
VIDEO_CODECS: tuple[VideoCodec, ...] = get_args(VideoCodec)

RTP_CLOCK_HZ = 90_000
TIME_BASE = Fraction(1, RTP_CLOCK_HZ)
_NO_KEYFRAME_BY_ITSELF = 100_000


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """One picture on the wire: `pts` counts in `RTP_CLOCK_HZ`, `key` needs no earlier one."""

    data: bytes
    pts: int
    key: bool


class VideoEncoder:
    """One stream of pictures of one size.

    Args:
        size_wh: of the pictures; odd sides lose their last row or column, as 4:2:0 has no half pixels.
        bitrate_bps: aimed at.
    """

    def __init__(self, codec: VideoCodec, size_wh: tuple[int, int], bitrate_bps: int, fps: float) -> None:
        self.codec = codec
        self.size_wh = size_wh
        self._even_wh = (size_wh[0] & ~1, size_wh[1] & ~1)
        context: Any = av.CodecContext.create("libx264" if codec == "h264" else "libvpx", "w")
        context.width, context.height = self._even_wh
        context.pix_fmt = "yuv420p"
        context.time_base = TIME_BASE
        context.framerate = Fraction(fps).limit_denominator(1001)
        context.bit_rate = bitrate_bps
        context.gop_size = _NO_KEYFRAME_BY_ITSELF
        context.thread_count = 1
        if codec == "h264":
            context.profile = "Baseline"
            context.options = {
                "preset": "superfast",
                "tune": "zerolatency",
                "forced-idr": "1",
                "maxrate": str(bitrate_bps),
                "bufsize": str(bitrate_bps // 2),
            }
        else:
            context.qmin, context.qmax = 2, 50
            context.options = {
                "deadline": "realtime",
                "cpu-used": "-8",
                "lag-in-frames": "0",
                "error-resilient": "1",
                "minrate": str(bitrate_bps),
                "maxrate": str(bitrate_bps),
                "bufsize": str(bitrate_bps // 2),
                "static-thresh": "100",
            }
        self._context = context
        self._last_pts = -1

    def encode(self, rgb: UInt8, pts: int, key: bool) -> EncodedPicture | None:
        """An (H, W, 3) uint8 picture as a packet; None when the rate control left it out."""
        width, height = self._even_wh
        yuv = cv2.cvtColor(np.ascontiguousarray(rgb[:height, :width]), cv2.COLOR_RGB2YUV_I420)
        frame: Any = av.VideoFrame.from_ndarray(yuv, "yuv420p")
        self._last_pts = pts = max(pts, self._last_pts + 1)
        frame.pts, frame.time_base = pts, TIME_BASE
        frame.pict_type = av.video.frame.PictureType.I if key else av.video.frame.PictureType.NONE
        packets = self._context.encode(frame)
        data = b"".join(bytes(packet) for packet in packets)
        return EncodedPicture(data, pts, any(packet.is_keyframe for packet in packets)) if data else None


def side_by_side(colour: UInt8, alpha: UInt8) -> UInt8:
    """Colour left, alpha as grey right, for a page that puts them together again.

    Args:
        colour: (H, W, 3 or more) uint8.
        alpha: (H, W) uint8.

    Returns:
        (H, 2 W, 3) uint8; an odd column is left out, because the seam must not cut a chroma sample.
    """
    height, width = alpha.shape
    width &= ~1
    both = np.empty((height, 2 * width, 3), np.uint8)
    both[:, :width] = colour[:, :width, :3]
    both[:, width:] = alpha[:, :width, None]
    return both
