"""The page that stands in for all others over plain http on the local network: why HTTPS, and how to get there."""

from __future__ import annotations

import html
import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

__all__ = ["https_page"]

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>faceshot live – use HTTPS</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
html {{ background: #0d0e12; color: #eceef3; font: 16px/24px system-ui, sans-serif; color-scheme: dark; }}
body {{ max-width: 34rem; margin: 12vh auto; padding: 0 24px; }}
h1 {{ font-size: 24px; line-height: 32px; letter-spacing: -.02em; }}
p, li {{ color: #a3a9b8; }}
a {{ display: inline-block; margin: 8px 0; padding: 12px 24px; border-radius: 9px; background: #8ea6ff; color: #14161b;
     font-weight: 600; text-decoration: none; }}
</style>
</head>
<body>
<h1>This page needs a secure connection</h1>
<p>Browsers give the camera to pages over HTTPS only, and without it everybody on this network could read along.</p>
<p><a href="{url}">Open {url}</a></p>
<p>The browser will warn once that it does not know the certificate: the computer that runs the show made it itself.
Choose <b>Advanced</b> or <b>Show details</b>, then <b>Proceed</b> or <b>visit this website</b>. The link above has no
permission in it: scan the code on the control page to drive, or ask for the link to watch.</p>
</body>
</html>
"""


def https_page(lan_urls: Sequence[str], name: str) -> str:
    """The explanation as HTML.

    Args:
        lan_urls: https addresses of the server.
        name: under which the browser came here; the certificate covers addresses only, so another one falls back to
            the first of `lan_urls`.
    """
    url = next((url for url in lan_urls if urlsplit(url).hostname == name), lan_urls[0])
    try:
        ipaddress.ip_address(name)
    except ValueError:
        url = lan_urls[0]
    return _PAGE.format(url=html.escape(f"{url}/drive"))
