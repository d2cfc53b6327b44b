"""What stands in for every page over plain http on the local network."""

from __future__ import annotations

from live.server.explain import https_page

URLS = ("https://192.168.1.5:8443", "https://10.0.0.7:8443")


def test_it_leads_to_the_address_that_was_typed() -> None:
    assert 'href="https://10.0.0.7:8443/drive"' in https_page(URLS, "10.0.0.7")
    assert 'href="https://192.168.1.5:8443/drive"' in https_page(URLS, "computer.local")


def test_a_name_from_the_request_gets_nowhere() -> None:
    page = https_page(URLS, '"><script>alert(1)</script>')
    assert "<script>" not in page
