"""Links and codes: who is invited where, and that a code says what its link says."""

from __future__ import annotations

import re

import cv2
import numpy as np

from live.server.access import Access
from live.server.invite import Invite, lan_addresses, qr_svg, qr_text
from tests.live.server.test_seats import HandClock

LAN = ("https://192.168.1.5:8443",)


def test_on_this_machine_alone_no_link_has_a_token() -> None:
    invite = Invite(Access(HandClock()), "http://127.0.0.1:8765")
    assert invite.link("/drive", "drive") == "http://127.0.0.1:8765/drive"
    facts = invite.facts()
    assert not facts["lan"] and facts["drive"]["svg"] == ""
    assert "drive_bearer" not in facts


def test_the_token_is_in_the_fragment_and_lets_one_in() -> None:
    access = Access(HandClock())
    invite = Invite(access, "http://127.0.0.1:8765", LAN)
    link = invite.link("/drive", "drive")
    address, _, token = link.partition("#t=")
    assert address == "https://192.168.1.5:8443/drive"
    assert access.exchange(token, "phone")[1].scopes == {"drive"}
    assert invite.link("/drive", "drive") != link
    facts = invite.facts()
    assert facts["watch"]["url"] == invite.link("/watch", "view", once=False)
    assert access.program(facts["view_bearer"], "x") is not None


def test_without_encryption_there_is_no_code_for_phones() -> None:
    invite = Invite(Access(HandClock()), "http://127.0.0.1:8765", ("http://192.168.1.5:8765",), secure=False)
    assert invite.facts()["drive"]["svg"] == ""
    assert "#t=" in invite.link("/view", "view", once=False)


def test_the_code_in_the_terminal_reads_as_its_link() -> None:
    link = "https://192.168.178.123:8443/drive#t=52sOgnmbHEhixAclM0bEaHI7uZCcKZQr"
    rows = []
    for line in re.sub(r"\x1b\[[0-9;]*m", "", qr_text(link)).splitlines():
        rows += [[c in "█▀" for c in line], [c in "█▄" for c in line]]
    dark = np.array(rows)
    grey = cv2.resize((~dark * 255).astype(np.uint8), None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST)
    framed = cv2.copyMakeBorder(grey, 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=255)
    read, _, _ = cv2.QRCodeDetector().detectAndDecode(framed)
    assert read == link


def test_the_drawn_code_scales() -> None:
    svg = qr_svg("https://192.168.1.5:8443/drive#t=x")
    assert svg.startswith("<svg") and "viewBox" in svg
    assert "width=" not in svg.partition(">")[0]


def test_addresses_are_those_of_a_network() -> None:
    for address in lan_addresses():
        assert not address.startswith(("127.", "169.254."))
