"""The landmark editor's API: open a character or a picture, fit clicks, try it out, save a new version.

    POST /api/edit/open                    {"spec": "miso"} or {"spec": "path/to/me.png"}
    POST /api/edit/picture?filename=a.png  the picture itself as body
    GET  /api/edit/ID                      the document
    GET  /api/edit/ID/picture              its picture, WebP without loss
    POST /api/edit/ID/cut                  {landmarks, "cut": 0.5} -> the picture with its background cut away, WebP
    POST /api/edit/ID/fit                  {"clicks": {"left-eye": [x, y], ...}, "kind": "animal"} -> landmarks
    POST /api/edit/ID/preview              {landmarks, "motions": ["blink", ...]} -> frames as one picture
    POST /api/edit/ID/save                 {landmarks, "name": "...", "cut": 0.5 or null} -> where it is now, where the
                                           old one is kept, whether somebody else had changed that

Landmarks are {"landmarks": [[x, y] × 70], "visible": [true × 70], "kind": "animal"} in pixels of the picture. Nothing
is written before `save`; that writes the whole file or nothing, and keeps the old one.
"""

from __future__ import annotations

import asyncio
import io
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from faceshot import versions
from faceshot.assisted import CLICKS, MAX_CLICKS, MIN_CLICKS, RECOMMENDED, fit
from faceshot.character import bundled_names, check_landmarks, open_character, read_character
from faceshot.errors import CharacterFileError, LandmarkError
from faceshot.landmarks import MatchedLandmarks
from faceshot.making import character_of, prepare_picture, seen_by_matchers
from faceshot.matchers import Request as MatchRequest
from faceshot.matchers import place_landmarks
from faceshot.matte import Matte, apply_matte, cut_background, has_alpha, make_matte
from faceshot.pictures import read_picture
from faceshot.rehearsal import FPS, MOTIONS, close_up, rehearse
from faceshot.saved_square import saved_square, with_saved_square
from faceshot.shapes import KINDS
from faceshot.types import Character, UInt8
from live.server.answer import Json
from live.server.api import BadRequest, read_body, read_json
from live.workers import Worker

__all__ = ["Editor"]

_NO_STORE = {"cache-control": "no-store"}
_DOCUMENTS = 12  # open at a time; the one that was used longest ago goes first
_PREVIEW_PX = 256
_ROUNDED_PX = 0.006  # the page knows landmarks in hundredths of a pixel
_COLUMNS = 8
_MEGABYTE = 1 << 20


@dataclass(eq=False)
class _Document:
    """One character on the bench."""

    id: str
    character: Character
    path: Path
    placed: bool
    confidence: NDArray[np.float64]
    matcher: str
    attempts: dict[str, str]
    fresh: bool = False  # made of a picture just now: nothing of it is kept anywhere yet
    matte: tuple[bytes, Matte] | None = None
    fitted: dict[str, Any] | None = None  # how the assisted fit came about, if there was one
    stamp: tuple[int, int] | None = None  # of its file when it was read or written last


class Editor:
    """The routes of `/api/edit`.

    Args:
        worker: where pictures are read, matched and written.
        drawing: where previews are drawn, a second each, so that nobody has to wait for one to save; None: `worker`.
        on_air: a character of the running show by its spec; None when it has none of that name.
        has_show: whether what is saved here can be put on air.
        max_upload_mb: largest picture that is taken.
        models: folder with model files.
    """

    def __init__(
        self,
        worker: Worker,
        drawing: Worker | None = None,
        on_air: Callable[[str], Character | None] = lambda spec: None,
        has_show: bool = False,
        max_upload_mb: int = 25,
        models: Path | None = None,
    ) -> None:
        self._worker = worker
        self._drawing = drawing or worker
        self._on_air = on_air
        self._has_show = has_show
        self._max_upload_bytes = max_upload_mb * _MEGABYTE
        self._models = models
        self._documents: dict[str, _Document] = {}

    def routes(self) -> list[Route]:
        return [
            Route("/open", self.open, methods=["POST"]),
            Route("/picture", self.upload, methods=["POST"]),
            Route("/{id}", self.document),
            Route("/{id}/picture", self.picture),
            Route("/{id}/cut", self.cut, methods=["POST"]),
            Route("/{id}/fit", self.fit, methods=["POST"]),
            Route("/{id}/preview", self.preview, methods=["POST"]),
            Route("/{id}/save", self.save, methods=["POST"]),
        ]

    async def check(self, spec: str) -> None:
        """Open a character as the page will. Raises `FaceshotError` when it cannot be."""
        await self._worker.run(self._open, spec)

    async def open(self, request: Request) -> Response:
        spec = (await read_json(request)).get("spec")
        if not isinstance(spec, str) or not spec.strip():
            raise BadRequest("The request names no spec.", 'Send {"spec": "miso"}.')
        return self._described(self._keep(await self._worker.run(self._open, spec.strip())))

    async def upload(self, request: Request) -> Response:
        limit = self._max_upload_bytes
        data = await read_body(
            request, limit, f"The picture is larger than {limit // _MEGABYTE} MB.", "Use a smaller one."
        )
        if not data:
            raise BadRequest("No picture came with the request.", "Send the file itself as the body.")
        given = request.query_params.get("filename", "picture").replace("\\", "/")
        name = "".join(c for c in PurePath(given).name[-100:] if c.isprintable()) or "picture"
        return self._described(self._keep(await self._worker.run(self._receive, data, name)))

    async def document(self, request: Request) -> Response:
        return self._described(self._found(request))

    async def picture(self, request: Request) -> Response:
        data = await self._worker.run(_webp, self._found(request).character.rgba, True)
        return Response(data, media_type="image/webp", headers=_NO_STORE)

    async def cut(self, request: Request) -> Response:
        document, about = self._found(request), await read_json(request)
        threshold = _share(about.get("cut"))
        data = await self._worker.run(_cut_picture, document, _changed(document, about), threshold)
        return Response(data, media_type="image/webp", headers=_NO_STORE)

    async def fit(self, request: Request) -> Response:
        document, about = self._found(request), await read_json(request)
        clicks, kind = about.get("clicks"), about.get("kind", document.character.kind)
        if not isinstance(clicks, dict) or not all(isinstance(v, list) and len(v) == 2 for v in clicks.values()):
            raise BadRequest("`clicks` must be an object of name to [x, y].", f"Names: {', '.join(CLICKS)}.")
        if kind not in KINDS:
            raise BadRequest(f"There is no kind {kind!r}.", f"There are: {', '.join(KINDS)}.")
        found = await self._worker.run(_fit, document, clicks, kind)
        document.fitted = dict(found.details)
        return Json({**_landmarks(found), "kind": kind, "seen": found.details["picture"]}, headers=_NO_STORE)

    async def preview(self, request: Request) -> Response:
        document, about = self._found(request), await read_json(request)
        motions = about.get("motions", list(MOTIONS))
        if not isinstance(motions, list) or not motions or not all(name in MOTIONS for name in motions):
            raise BadRequest("`motions` names no motion.", f"There are: {', '.join(MOTIONS)}.")
        character = _changed(document, about)
        try:
            data, size_wh, count = await self._drawing.run(_preview, character, tuple(motions))
        except asyncio.CancelledError:  # the program ends while one is drawn: that is no error to be told about
            return Response(status_code=503)
        frames = {
            "x-frame-width": str(size_wh[0]),
            "x-frame-height": str(size_wh[1]),
            "x-frames": str(count),
            "x-columns": str(_COLUMNS),
            "x-fps": str(FPS),
        }
        return Response(data, media_type="image/webp", headers={**_NO_STORE, **frames})

    async def save(self, request: Request) -> Response:
        document, about = self._found(request), await read_json(request)
        cut = about.get("cut")
        threshold = None if cut is None else _share(cut)
        name = about.get("name", document.character.name)
        if not isinstance(name, str) or not name.strip():
            raise BadRequest("A character needs a name.", "Type one into the field at the top.")
        name = "".join(c for c in name.strip()[:100] if c.isprintable())
        character = replace(_changed(document, about), name=name)
        if about.get("matcher") == "fit" and document.fitted is not None:
            landmarks = {"matcher": "fit", **document.fitted}
            character = replace(character, provenance={**character.provenance, "landmarks": landmarks})
        kept, changed = await self._worker.run(_save, document, character, threshold)
        answer = {"kept": kept.name if kept else None, "changed": changed}
        return Json({**self._about(document), **answer}, headers=_NO_STORE)

    # How it is done; these run in the worker.

    def _open(self, spec: str) -> _Document:
        path = Path(spec).expanduser()
        is_file = os.path.isfile(path)
        if is_file and path.suffix.lower() not in (".faceshot", ".json"):
            return self._from_picture(read_picture(path, path.name), path.stem, path.with_suffix(".faceshot"))
        character = None if is_file or spec in bundled_names() else self._on_air(spec)
        if character is None:
            character = open_character(spec, self._models, calibrate=False)
        if not is_file:  # bundled ones are part of the program, dropped ones have no file
            stem = f"my-{spec}" if spec in bundled_names() else PurePath(spec).stem
            path = versions.free_path(versions.own_folder(), stem)
        return _bench(character, path)

    def _receive(self, data: bytes, name: str) -> _Document:
        path = versions.free_path(versions.own_folder(), PurePath(name).stem)
        if name.lower().endswith(".faceshot"):
            return _bench(read_character(data), path)
        return self._from_picture(read_picture(data, name), PurePath(name).stem or "picture", path)

    def _from_picture(self, whole: UInt8, name: str, path: Path) -> _Document:
        rgba = prepare_picture(whole, name)
        try:
            found, attempts = place_landmarks(seen_by_matchers(rgba), MatchRequest(models=self._models))
        except LandmarkError as error:
            nothing = MatchedLandmarks(
                np.zeros((70, 2), np.float32), np.ones(70, bool), np.zeros(70, np.float32), "none", {}
            )
            document = _bench(character_of(rgba, name, nothing, None), path)
            document.placed, document.attempts = False, {"all": error.message}
            return document
        document = _bench(character_of(rgba, name, found, None), path)
        document.fresh = True
        document.attempts = {attempt.matcher: attempt.outcome for attempt in attempts}
        return document

    def _keep(self, document: _Document) -> _Document:
        self._documents[document.id] = document
        while len(self._documents) > _DOCUMENTS:
            del self._documents[next(iter(self._documents))]
        return document

    def _found(self, request: Request) -> _Document:
        document = self._documents.pop(request.path_params["id"], None)
        if document is None:
            raise BadRequest("This character is not open any more.", "Open it again.", 404)
        self._documents[document.id] = document  # used last
        return document

    def _described(self, document: _Document) -> Json:
        return Json(self._about(document), headers=_NO_STORE)

    def _about(self, document: _Document) -> dict[str, Any]:
        character = document.character
        return {
            "id": document.id,
            "name": character.name,
            "kind": character.kind,
            "size_wh": list(character.size_wh),
            "landmarks": character.points_xy.round(2).tolist(),
            "visible": character.visible.tolist(),
            "confidence": [round(float(c), 2) for c in document.confidence],
            "matcher": document.matcher,
            "square": saved_square(character),
            "attempts": document.attempts,
            "placed": document.placed,
            "fresh": document.fresh,
            "transparent": has_alpha(character.rgba),
            "file": str(document.path),
            "filename": document.path.name,
            "saved": os.path.isfile(document.path),
            "versions": len(versions.old_versions(document.path)),
            "show": self._has_show,
            "clicks": {"names": list(CLICKS), "recommended": list(RECOMMENDED), "min": MIN_CLICKS, "max": MAX_CLICKS},
            "kinds": list(KINDS),
            "motions": list(MOTIONS),
        }


def _bench(character: Character, path: Path) -> _Document:
    about = character.provenance.get("landmarks")
    about = about if isinstance(about, dict) else {}
    sure = about.get("confidence")
    if isinstance(sure, (int, float)):
        confidence = np.full(70, float(sure))
    elif isinstance(sure, list) and len(sure) == 70 and all(isinstance(c, (int, float)) for c in sure):
        confidence = np.array(sure, float)
    else:
        confidence = np.ones(70)
    matcher, id_ = str(about.get("matcher", "unknown")), secrets.token_urlsafe(9)
    return _Document(id_, character, path, True, np.clip(confidence, 0, 1), matcher, {}, stamp=_stamp(path))


def _changed(document: _Document, about: dict[str, Any]) -> Character:
    """The document's character with the landmarks of a request. What was measured on the old ones stays only when none
    has moved and nothing is drawn in another way."""
    character = document.character
    keys = ("landmarks", "visible", "kind")
    wanted: dict[str, Any] = {key: about[key] for key in keys if key in about}
    made = check_landmarks(wanted, character.size_wh, "The face")
    if "square" in about:
        character = with_saved_square(character, about["square"])
    kind = made.kind or character.kind
    stands = bool(np.abs(made.points_xy - character.points_xy).max() <= _ROUNDED_PX)
    if stands and kind == character.kind and np.array_equal(made.visible, character.visible):
        return character
    return replace(character, points_xy=made.points_xy, visible=made.visible, kind=kind, arrays={})


def _fit(document: _Document, clicks: dict[str, Any], kind: Any) -> MatchedLandmarks:
    return fit(seen_by_matchers(document.character.rgba), clicks, kind)


def _landmarks(found: MatchedLandmarks) -> dict[str, Any]:
    return {
        "landmarks": found.points_xy.round(2).tolist(),
        "visible": found.visible.tolist(),
        "confidence": [round(float(c), 2) for c in found.confidence],
        "matcher": found.matcher,
    }


def _share(value: Any) -> float:
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = -1.0
    if not 0 <= share <= 1:
        raise BadRequest(f"The threshold is {value!r}.", "It must be a number from 0 to 1.")
    return share


def _matte(document: _Document, character: Character) -> Matte:
    """Found once for each place of the face: the slider asks for it at every step."""
    face = character.points_xy.tobytes()
    if document.matte is None or document.matte[0] != face:
        document.matte = face, make_matte(character)
    return document.matte[1]


def _cut_picture(document: _Document, character: Character, threshold: float) -> bytes:
    return _webp(apply_matte(character.rgba, _matte(document, character), threshold), False)


def _preview(character: Character, motions: tuple[str, ...]) -> tuple[bytes, tuple[int, int], int]:
    frames = rehearse(close_up(character, _PREVIEW_PX), motions)
    height, width = frames[0].shape[:2]
    rows = -(-len(frames) // _COLUMNS)
    sheet = np.zeros((rows * height, _COLUMNS * width, 4), np.uint8)
    for i, frame in enumerate(frames):
        row, column = divmod(i, _COLUMNS)
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = frame
    return _webp(sheet, False), (width, height), len(frames)


def _webp(rgba: UInt8, exact: bool) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "WEBP", lossless=exact, quality=50 if exact else 82, method=0)
    return buffer.getvalue()


def _stamp(path: Path) -> tuple[int, int] | None:
    """Another file by that name has another one; None when there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _save(document: _Document, character: Character, threshold: float | None) -> tuple[Path | None, bool]:
    """Write it; where the file before is kept, and whether somebody else has changed that since it was read."""
    before = document.character
    moved = int((np.abs(character.points_xy - before.points_xy).max(axis=1) > 0.5).sum()) if document.placed else 70
    landmarks = character.provenance.get("landmarks")
    about = dict(landmarks) if isinstance(landmarks, dict) else {}
    about.pop("confidence", None)
    about["edited"] = {"points": moved}
    character = replace(character, provenance={**character.provenance, "landmarks": about})
    if threshold is not None:
        character = cut_background(character, _matte(document, character), threshold)
    folder = document.path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CharacterFileError(
            f"The folder {folder} cannot be made: {error.strerror or error}.",
            "Name another one in the environment: FACESHOT_CHARACTERS=/a/folder",
        ) from None
    changed = _stamp(document.path) not in (None, document.stamp)
    kept = versions.save_version(character, document.path)
    document.stamp = _stamp(document.path)
    document.character, document.placed, document.fresh, document.matte = character, True, False, None
    document.matcher = str(about.get("matcher", "manual"))
    document.confidence = np.ones(70)  # somebody has looked at every point
    return kept, changed
