"""Everybody who comes over WebRTC: the one who drives, those who watch. Sessions, seats and how long they last.

    /whip ──► Endpoint ──► seat ──► Driver ──► PhoneInlet ──► the show's source
    /whep ──► Endpoint ──────────► Viewer ◄── Broadcast ◄── the show's pictures

aiortc is imported when the first peer comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from faceshot.errors import FaceshotError
from live.server.seats import Seat
from live.sources.phone import PHONE
from live.workers import ThreadWorker, Worker
from protocols.whip import (
    Close,
    Endpoint,
    IceServer,
    Open,
    Reply,
    Request,
    Restart,
    Session,
    Trickle,
)

if TYPE_CHECKING:
    from live.show import Show
    from live.webrtc.broadcast import Broadcast, Stream
    from live.webrtc.peers import Driver, Peer, Viewer
    from live.webrtc.sound import SoundRelay

__all__ = ["Remote"]

log = logging.getLogger(__name__)

CONNECT_NS = 10_000_000_000  # a session that has no connection by then is given up
SILENT_NS = 15_000_000_000  # a driver who sends nothing for that long, and did not say so, is gone
TICK_NS = 1_000_000_000
RETRY_AFTER_S = 2


@dataclass(eq=False)
class _Seated:
    """One session, its peer and what was measured of it last."""

    session: Session
    peer: Any
    who: str
    name: str
    facts: dict[str, Any] = field(default_factory=dict)


class Remote:
    """The WHIP and WHEP ends of one show.

    Args:
        on_change: called when the control pages should look again.

    Attributes:
        seat: who drives.
    """

    def __init__(self, show: Show, on_change: Callable[[], None], worker: Worker | None = None) -> None:
        config = show.config
        servers = [
            IceServer(url, server.username, server.credential) for server in config.ice.servers for url in server.urls
        ]
        self.seat = Seat(show.clock)
        self._show = show
        self._on_change = on_change
        self._servers = servers
        self._endpoints = {"whip": Endpoint("ingest", servers), "whep": Endpoint("playback", servers)}
        self._worker = worker
        self._drivers: dict[str, _Seated] = {}
        self._viewers: dict[str, _Seated] = {}
        self._broadcasts: dict[Stream, tuple[Broadcast, asyncio.Task[None]]] = {}
        self._sound: SoundRelay | None = None
        self._before: str | None = None  # the source that played before the phone came
        self._paused: set[str] = set()
        self._group: asyncio.TaskGroup
        self._over = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everything about peers happens within."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                keeping = group.create_task(self._keep_house())
                yield
                self._over = True
                keeping.cancel()
                for seated in [*self._drivers.values(), *self._viewers.values()]:
                    await _quietly(seated.peer.close())
                for _, task in self._broadcasts.values():
                    task.cancel()
        finally:
            for _, task in self._broadcasts.values():
                task.cancel()

    # WHIP and WHEP.

    async def endpoint(self, kind: str, request: Request, who: str, name: str, alpha: bool = False) -> Reply:
        """A request to /whip or /whep."""
        verdict = self._endpoints[kind].request(request)
        if isinstance(verdict, Reply):
            return verdict
        if kind == "whip":
            return await self._drive(verdict, who, name)
        return await self._watch(verdict, who, name, alpha)

    async def session(self, kind: str, key: str, request: Request, who: str) -> Reply:
        """A request to a session's own address. Sessions of others are not there."""
        sessions = self._drivers if kind == "whip" else self._viewers
        seated = sessions.get(key)
        if seated is None or seated.who != who:
            return _refusal(404, "There is no such session, or not any more.")
        verdict = seated.session.request(request)
        match verdict:
            case Reply():
                return verdict
            case Trickle():
                await seated.peer.trickle(verdict)
                return seated.session.trickled()
            case Restart():
                local = await seated.peer.restart_ice(verdict)
                return seated.session.restarted(verdict, local.ufrag, local.password, local.candidates)
            case Close():
                if kind == "whip":
                    self.seat.release(who)
                await self._end(sessions, key)
                return seated.session.closed()

    async def _drive(self, wish: Open, who: str, name: str) -> Reply:
        verdict = self.seat.claim(who, name)
        self._on_change()
        if verdict == "asked":
            return _refusal(
                409, "Somebody else drives. The control page was asked.", (("Retry-After", str(RETRY_AFTER_S)),)
            )
        if verdict == "refused":
            return _refusal(403, "The control page said no.")
        peers = await self._peers()
        if self.seat.holder is None or self.seat.holder.who != who:
            return _refusal(409, "The seat was taken meanwhile.", (("Retry-After", str(RETRY_AFTER_S)),))
        for seated in self._drivers.values():  # a 201 that was lost on its way, a reload, a take-over
            self._paused.discard(seated.who)
            self._spawn(_quietly(seated.peer.close()))
        self._drivers.clear()  # and from here to the new one nothing is awaited: never are there two
        driver: Driver = peers.Driver(
            self._show.clock,
            self._servers,
            self._spawn,
            lambda: self._driver_changed(who),
            self._show.phone.offer,
            self._sound.take if self._sound is not None and self._show.config.remote.sound else None,
        )
        return await self._open("whip", self._drivers, wish, driver, who, name)

    async def _watch(self, wish: Open, who: str, name: str, alpha: bool) -> Reply:
        config = self._show.config.remote
        if len(self._viewers) >= config.max_viewers:
            hint = f"start with --set remote.max_viewers={config.max_viewers * 2}"
            return _refusal(503, f"All {config.max_viewers} places for viewers are taken; {hint}.")
        peers = await self._peers()
        broadcast = await self._broadcast(wish, alpha)
        sound = self._sound.join() if self._sound is not None and wish.offer.audio else None
        viewer: Viewer = peers.Viewer(self._show.clock, self._servers, self._spawn, self._on_change, broadcast, sound)
        return await self._open("whep", self._viewers, wish, viewer, who, name)

    async def _open(
        self, kind: str, sessions: dict[str, _Seated], wish: Open, peer: Peer, who: str, name: str
    ) -> Reply:
        from live.webrtc.peers import Unusable

        key = secrets.token_urlsafe(12)
        session = self._endpoints[kind].opened(f"/{kind}/{key}", wish.offer)
        sessions[key] = _Seated(session, peer, who, name)  # before anything is awaited: it counts at once
        try:
            answer = await peer.answer(wish.offer)
        except Unusable as error:
            await self._end(sessions, key)
            return _refusal(422, str(error))
        except BaseException:
            await self._end(sessions, key)
            raise
        self._on_change()
        return session.created(answer)

    async def _peers(self) -> Any:
        """The module of peers. Its first import takes half a second, which the event loop does not have."""
        if self._sound is None:
            importing = self._worker or ThreadWorker("import")
            module = await importing.run(_import_peers)
            if self._worker is None:
                await importing.close()
            from live.webrtc.sound import SoundRelay

            self._sound = self._sound or SoundRelay(self._show.clock)
            return module
        return _import_peers()

    async def _broadcast(self, wish: Open, alpha: bool) -> Broadcast:
        """One that runs already and that this viewer understands, or a new one."""
        from live.webrtc.broadcast import Broadcast, Stream

        config, codecs = self._show.config, [name.lower() for name in wish.offer.video_codecs]
        order = sorted(("h264", "vp8"), key=lambda codec: codec != config.remote.codec)
        running = [stream.codec for stream in self._broadcasts if stream.alpha == alpha]
        codec = next(codec for codec in (*running, *order) if codec in codecs)
        stream = Stream(codec, alpha)  # type: ignore[arg-type]
        if stream not in self._broadcasts:
            made = Broadcast(
                stream,
                self._show.frames,
                self._show.clock,
                self._worker or ThreadWorker(f"encode-{codec}"),
                round(config.remote.bitrate_mbps * 1e6),
                config.output.fps,
                lambda: self._show.config.output.background,
            )
            self._broadcasts[stream] = (made, self._group.create_task(self._contained(made.run())))
        return self._broadcasts[stream][0]

    # What the control page and the phone can do.

    def allow(self, who: str) -> bool:
        """Let somebody who asked take the seat over."""
        worked = self.seat.allow(who)
        self._on_change()
        return worked

    def refuse(self, who: str) -> bool:
        """Say no to somebody who asked."""
        worked = self.seat.refuse(who)
        self._on_change()
        return worked

    async def kick(self) -> str | None:
        """Take the seat from whoever has it. Returns who it was."""
        who = self.seat.kick()
        for key in list(self._drivers):
            await self._end(self._drivers, key)
        await self._give_back_source()
        return who

    async def kick_viewer(self, key: str) -> bool:
        """End one viewer's session."""
        if key not in self._viewers:
            return False
        await self._end(self._viewers, key)
        return True

    def set_paused(self, who: str, paused: bool) -> None:
        """The phone says that its camera rests (or no more)."""
        (self._paused.add if paused else self._paused.discard)(who)
        self._on_change()

    def seat_of(self, who: str) -> str:
        """How things stand for one phone: live, connecting, free, asking, allowed or taken."""
        holder = self.seat.holder
        if holder is not None and holder.who == who:
            live = any(seated.peer.state == "connected" for seated in self._drivers.values())
            return "live" if live else "connecting"
        if self.seat.is_allowed(who):
            return "allowed"
        if who in self.seat.asking:
            return "asking"
        return "free" if holder is None else "taken"

    def state(self) -> dict[str, Any]:
        """For the control page."""
        seated = next(iter(self._drivers.values()), None)
        phone: dict[str, Any] = {**self.seat.state(), "connected": False}
        if seated is not None:
            driver = seated.peer
            phone.update(
                connected=driver.state == "connected",
                on_air=self._show.config.source.spec == PHONE,
                paused=seated.who in self._paused,
                size_wh=driver.size_wh,
                **seated.facts,
            )
        return {"phone": phone, "viewers": [self._viewer_state(key, v) for key, v in self._viewers.items()]}

    def stats(self) -> dict[str, Any]:
        """For `/api/stats` and `/metrics`."""
        return {
            **self.state(),
            "broadcasts": [
                {
                    "codec": stream.codec,
                    "alpha": stream.alpha,
                    "viewers": len(broadcast.tracks),
                    "pictures": broadcast.pictures,
                    "keyframes": broadcast.keyframes,
                    "encode_ms": broadcast.encode_ms.percentiles(50, 95),
                }
                for stream, (broadcast, _) in self._broadcasts.items()
            ],
        }

    @property
    def viewers(self) -> int:
        return sum(viewer.peer.state == "connected" for viewer in self._viewers.values())

    def _viewer_state(self, key: str, seated: _Seated) -> dict[str, Any]:
        dropped = sum(seated.peer.track.edge.stats.dropped.values())
        return {
            "id": key,
            "name": seated.name,
            "state": seated.peer.state,
            "codec": seated.peer.broadcast.stream.codec,
            "sent": seated.peer.track.sent,
            "dropped": dropped,
            **seated.facts,
        }

    # Keeping house.

    async def _keep_house(self) -> None:
        clock = self._show.clock
        while True:
            await clock.sleep_until_ns(clock.now_ns() + TICK_NS)
            for sessions in (self._drivers, self._viewers):
                for key, seated in list(sessions.items()):
                    await self._look_after(sessions, key, seated)
            self.seat.tidy()
            if self.seat.holder is None:
                await self._give_back_source()
            for stream, (broadcast, task) in list(self._broadcasts.items()):
                if not broadcast.tracks or task.done():
                    task.cancel()
                    del self._broadcasts[stream]

    async def _look_after(self, sessions: dict[str, _Seated], key: str, seated: _Seated) -> None:
        peer = seated.peer
        waited_ns = self._show.clock.now_ns() - peer.opened_ns
        never = peer.state != "connected" and waited_ns > CONNECT_NS
        if peer.state in ("failed", "closed") or never or (sessions is self._drivers and self._silent(seated)):
            await self._end(sessions, key)
            return
        if peer.state == "connected":
            with contextlib.suppress(Exception):
                async with asyncio.timeout(0.5):
                    seated.facts = await peer.measure()

    def _silent(self, seated: _Seated) -> bool:
        """aiortc notices after half a minute that a phone is out of power; its pictures tell sooner."""
        if seated.peer.state != "connected" or seated.who in self._paused:
            return False
        heard_ns = seated.peer.last_picture_ns or seated.peer.opened_ns
        return bool(self._show.clock.now_ns() - heard_ns > SILENT_NS)

    def _driver_changed(self, who: str) -> None:
        if any(seated.who == who and seated.peer.state == "connected" for seated in self._drivers.values()):
            self.seat.present(who)
            self._spawn(self._take_source())
        self._on_change()

    async def _take_source(self) -> None:
        """A driver's connection becomes the show's source, once; who then picks another one has it."""
        spec = self._show.config.source.spec
        if self._before is None:
            self._before = spec
            if spec != PHONE:
                await self._switch(PHONE)

    async def _give_back_source(self) -> None:
        """Nobody drives any more: what played before plays on."""
        before, self._before = self._before, None
        if before is not None and before != PHONE and self._show.config.source.spec == PHONE:
            await self._switch(before)

    async def _switch(self, spec: str) -> None:
        try:
            await self._show.set_source(spec)
        except FaceshotError as error:
            log.warning("%s", error)
        self._on_change()

    async def _end(self, sessions: dict[str, _Seated], key: str) -> None:
        seated = sessions.pop(key, None)
        if seated is None:
            return
        if sessions is self._drivers:
            self.seat.absent(seated.who)
            self._paused.discard(seated.who)
        self._on_change()
        await _quietly(seated.peer.close())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._group.create_task(self._contained(work))
        if self._over:
            task.cancel()
        return task

    async def _contained(self, work: Coroutine[Any, Any, None]) -> None:
        """One peer's trouble is not the others'."""
        try:
            await work
        except Exception:
            log.warning("a peer failed", exc_info=True)


async def _quietly(closing: Coroutine[Any, Any, None]) -> None:
    try:
        async with asyncio.timeout(3):
            await closing
    except Exception as error:
        log.debug("closing: %r", error)


def _import_peers() -> Any:
    from live.webrtc import peers

    return peers


def _refusal(status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    return Reply(status, (("Content-Type", "text/plain; charset=utf-8"), *headers), f"{text}\n".encode())
