"""The web side: control page, viewers and the API, one Starlette app on one port."""
