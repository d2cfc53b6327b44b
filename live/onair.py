"""A show as the terminal sees it: addresses, a status line, and a summary at the end, however it ends."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from live.build import build_show
from live.clock import LoopClock
from live.config import Config, with_changes
from live.errors import ConfigError, first_of
from live.files import check_writable, write_json
from live.machine import has_desktop
from live.server.access import Access
from live.server.invite import Invite, qr_text
from live.server.serve import Lan, invite_to, listen, listen_lan, serve
from live.show import Show
from live.sources.phone import PHONE
from live.terminal import StatusLine, status_text, summary_text

__all__ = ["on_air"]

STATUS_NS = 500_000_000
POLL_NS = 50_000_000
ANNOUNCE_NS = 1_500_000_000
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


async def on_air(
    config: Config,
    duration_s: float | None = None,
    stats_json: Path | None = None,
    keep: Callable[[Mapping[str, object]], None] | None = None,
) -> None:
    """Run a show until it ends by itself, after `duration_s`, or on Ctrl-C; then print the summary.

    Args:
        stats_json: where to write the measurements (those of `/api/stats`; of viewers and drivers those that are still
            connected at the end), whole or not at all; its folder is checked before the show.
        keep: see `live.show.Parts`.

    Raises:
        FaceshotError: the show cannot start, or the file cannot be written.
    """
    if stats_json is not None:
        check_writable(stats_json)
    sock, lan = _listen(config)  # before a camera or a model is opened
    try:
        if sock is not None:  # a free port has its number only now, and hints of outputs name it
            config = with_changes(config, {"server.port": sock.getsockname()[1]})
        show = build_show(config, keep)
    except BaseException:
        for opened in (sock, lan.sock if lan else None):
            if opened is not None:
                opened.close()
        raise
    access = Access(show.clock)
    invite = invite_to(access, sock, lan) if sock is not None else None
    line = StatusLine()
    url: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
    watched: dict[str, Any] = {}
    failed = True
    try:
        with _ends_on_signals(show.stop):
            async with asyncio.TaskGroup() as group:
                around = [group.create_task(_report(show, url, line, invite))]
                if sock is not None:
                    serving = serve(show, config.server, sock, url.set_result, lan, access, watched.update)
                    around.append(group.create_task(serving))
                else:
                    url.set_result(None)
                try:
                    await show.run(duration_s)
                finally:
                    for task in around:
                        task.cancel()
        failed = False
    except BaseExceptionGroup as errors:
        raise first_of(errors) from None
    finally:
        stats = show.stats.snapshot()
        line.clear()
        if stats["frames_in"] or not failed:
            line.say(summary_text(stats))
        if stats_json is not None:
            write_json(stats_json, {**stats, **watched})


@contextmanager
def _ends_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C and `kill` end the show in order; a second Ctrl-C ends it at once."""
    loop = asyncio.get_running_loop()
    before: dict[signal.Signals, Any] = {}

    def end(number: int, frame: object) -> None:
        signal.signal(number, before[signal.Signals(number)] or signal.SIG_DFL)
        loop.call_soon_threadsafe(stop)

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, end)
    except ValueError:  # not the main thread: whoever runs us there has other ways to stop
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _listen(config: Config) -> tuple[socket.socket | None, Lan | None]:
    """The sockets of the server: this machine's, and the local network's with `server.lan`."""
    server = config.server
    if not server.enabled:
        return None, None
    if not server.lan:
        if server.cert or server.key:
            raise ConfigError("--cert and --key are for the local network.", "Add --lan, or leave them out.")
        return listen(server), None
    # Plain http stays for this machine (OBS refuses certificates of unknown origin); others are told to use HTTPS.
    sock = listen(server.model_copy(update={"host": "0.0.0.0"}) if server.host in _LOOPBACK else server)
    try:
        return sock, listen_lan(server)
    except BaseException:
        sock.close()
        raise


async def _report(show: Show, ready: asyncio.Future[str | None], line: StatusLine, invite: Invite | None) -> None:
    """Say where the show is to be seen, then keep the status line up to date."""
    clock = LoopClock()
    url = await asyncio.shield(ready)
    patience_ns = clock.now_ns() + ANNOUNCE_NS
    # A source that cannot be opened ends the show at once: then its error is all there is to read.
    while show.state()["source"]["state"] == "opening" and clock.now_ns() < patience_ns:
        await clock.sleep_until_ns(clock.now_ns() + POLL_NS)
    if url is not None:
        _announce(url, show.config, line)
        if invite is not None and invite.lan_urls:
            announce_lan(invite, line)
        if show.config.server.open_browser and has_desktop():
            import webbrowser

            await asyncio.to_thread(webbrowser.open, f"{url}/")
    told = ""
    while True:
        state = show.state()
        source, message = state["source"], state["message"]
        if source["state"] == "open" and source["name"] != told:
            told = source["name"]
            line.say(f"  source        {told}")
            for hint in source_hints(show.config.source.spec, source["spec"]):
                line.say(f"                {hint}")
        line.update(status_text(state) + (f" | {' '.join(message.split())}" if message else ""))
        await clock.sleep_until_ns(clock.now_ns() + STATUS_NS)


def _announce(url: str, config: Config, line: StatusLine) -> None:
    size = config.animator.max_side_px
    line.say(f"  control page  {url}/")
    line.say(f"  OBS           {url}/view  (Browser source, {size}×{size}, 60 fps: transparent)")
    line.say("  Ctrl-C ends the show.")


def announce_lan(invite: Invite, line: StatusLine) -> None:
    """The QR code that makes a phone the camera, and the link for viewers."""
    if invite.secure:
        drive = invite.link("/drive", "drive")
        line.draw(f"\n{qr_text(drive)}\n")
        line.say(f"  phone         {drive}")
        line.say("                Scan it with the phone's camera; it lets one device in, within ten minutes.")
        if invite.own_certificate:
            line.say("                The browser warns once about the certificate, which this machine made: go on.")
    else:
        line.say("  phone         needs HTTPS: start with --lan instead of server.host")
        line.say(f"  OBS elsewhere {invite.link('/view', 'view', once=False)}")
    line.say(f"  viewers       {invite.link('/watch', 'view', once=False)}")
    line.say(f"  control       {invite.link('/', 'control')}  (from another device)")


def source_hints(asked: str, used: str) -> list[str]:
    """How to use something else than the source that was chosen for the user."""
    if used == PHONE:
        return ["It idles until somebody drives: a phone (with --lan), a browser at /drive, a WHIP program at /whip."]
    if "demo" not in (asked, used):
        return []
    why = "No webcam was found, so the demo plays." if asked == "auto" else "The demo plays."
    return [
        why,
        "Your face: --source 0 (faceshot devices lists cameras), or a phone: --lan. A video: --source talk.mp4",
    ]
