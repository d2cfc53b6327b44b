"""How others get in: addresses, links with a token in the fragment, and QR codes.

The fragment (what stands behind #) is never sent to a server, so it is in no log and no Referer; the page exchanges it
for a cookie and takes it off its address.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

import psutil

from live.server.access import Access, Scope

__all__ = ["Invite", "lan_addresses", "qr_svg", "qr_text"]

_HALVES = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}
_BLACK_ON_WHITE, _PLAIN = "\x1b[38;5;16;48;5;231m", "\x1b[0m"
_BRIDGES = ("docker", "br-", "veth", "virbr", "lxc", "cni", "podman")


@dataclass(frozen=True, slots=True)
class Invite:
    """Who can be invited where.

    Args:
        local_url: of the control page on this machine.
        lan_urls: addresses for the local network, the best one first; empty when the server is for this machine only.
        secure: they are https; without it no browser gives a camera to our page.
        own_certificate: browsers will warn, because our own authority made the certificate.
    """

    access: Access
    local_url: str
    lan_urls: tuple[str, ...] = ()
    secure: bool = True
    own_certificate: bool = True

    def link(self, page: str, scope: Scope, once: bool = True) -> str:
        """An address that lets its opener in; on this machine alone none needs a token."""
        if not self.lan_urls:
            return f"{self.local_url}{page}"
        return f"{self.lan_urls[0]}{page}#t={self.access.offered(scope, once)}"

    def facts(self) -> dict[str, Any]:
        """For the cards of the control page."""
        drive = self.link("/drive", "drive")
        facts: dict[str, Any] = {
            "lan": bool(self.lan_urls),
            "secure": self.secure,
            "drive": {"url": drive, "svg": qr_svg(drive) if self.lan_urls and self.secure else ""},
            "watch": {"url": self.link("/watch", "view", once=False)},
            "addresses": list(self.lan_urls),
            "own_certificate": self.own_certificate,
            "whip": f"{self.local_url}/whip",
            "whep": f"{self.local_url}/whep",
        }
        if self.lan_urls:
            facts.update(
                whip_lan=f"{self.lan_urls[0]}/whip",
                whep_lan=f"{self.lan_urls[0]}/whep",
                drive_bearer=self.access.bearer("drive"),
                view_bearer=self.access.bearer("view"),
            )
        return facts


def lan_addresses() -> list[str]:
    """This machine's addresses on local networks, the one that a phone will most likely reach first."""
    found: list[str] = []
    states = psutil.net_if_stats()
    for name, entries in psutil.net_if_addrs().items():
        if name.startswith(_BRIDGES) or (name in states and not states[name].isup):
            continue
        for entry in entries:
            if entry.family == socket.AF_INET and not entry.address.startswith(("127.", "169.254.")):
                found.append(entry.address)
    return sorted(found, key=lambda address: (address != _outward(), address))


def _outward() -> str:
    """The address from which this machine would reach others. No packet is sent."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
    except OSError:
        return ""


def qr_svg(text: str) -> str:
    """A QR code as an SVG element without a fixed size."""
    import segno

    svg: str = segno.make(text, error="m", micro=False).svg_inline(
        border=2, omitsize=True, dark="#0d0e12", light="#fff", svgclass=None, lineclass=None
    )
    return svg


def qr_text(text: str) -> str:
    """A QR code for a terminal: half blocks, black on white whatever the terminal's colours are."""
    import segno

    rows = [list(row) for row in segno.make(text, error="l", micro=False).matrix_iter(border=2)]
    rows += [[0] * len(rows[0])] * (len(rows) % 2)
    lines = []
    for upper, lower in zip(rows[::2], rows[1::2], strict=True):
        blocks = "".join(_HALVES[bool(above), bool(below)] for above, below in zip(upper, lower, strict=True))
        lines.append(f"{_BLACK_ON_WHITE}{blocks}{_PLAIN}")
    return "\n".join(lines)
