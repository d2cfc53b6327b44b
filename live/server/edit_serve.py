"""`faceshot character edit`: the landmark editor served by itself, without a show."""

from __future__ import annotations

import asyncio
import os
from urllib.parse import quote

from live.config import ServerConfig, load_config
from live.machine import has_desktop
from live.server.app import create_edit_app
from live.server.edit import Editor
from live.server.serve import listen, serve_app
from live.workers import ThreadWorker

__all__ = ["edit"]


async def edit(spec: str, port: int = 0, open_browser: bool = True) -> None:
    """Serve the editor on a character or picture until cancelled.

    Args:
        spec: bundled name, or the whole path of a picture or `.faceshot` file.
        port: 0 picks a free one.

    Raises:
        FaceshotError: the file cannot be opened, or the port is taken.
    """
    config = load_config(environment=os.environ)
    server = ServerConfig(port=port, open_browser=open_browser)
    worker, drawing = ThreadWorker("edit"), ThreadWorker("edit-preview")
    editor = Editor(worker, drawing, max_upload_mb=server.max_upload_mb, models=config.models.folder)
    sock = listen(server)
    try:
        await editor.check(spec)  # a file that cannot be opened is an error here, not on a page
    except BaseException:
        sock.close()
        await worker.close()
        raise

    def announce(url: str) -> None:
        address = f"{url}/edit?spec={quote(spec, safe='')}"
        print(f"  editor  {address}\n  Ctrl-C ends it; what is not saved is lost.", flush=True)
        if open_browser and has_desktop():
            import webbrowser

            loop.run_in_executor(None, webbrowser.open, address)

    loop = asyncio.get_running_loop()
    try:
        await serve_app(create_edit_app(editor, server.host), sock, announce)
    finally:
        await worker.close()
        await drawing.close()
