"""`faceshot character edit` as a process: it says where the page is, serves it, and ends with Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from functools import partial
from urllib.request import Request, urlopen

import pytest

from tests.conftest import ROOT


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a single process")
def test_the_editor_serves_until_it_is_interrupted(tmp_path):
    command = [sys.executable, "-m", "live", "character", "edit", "miso", "--no-open"]
    environment = {**os.environ, "FACESHOT_CHARACTERS": str(tmp_path)}
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a job of a script's background ignores it
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert address and line.rstrip().endswith("/edit?spec=miso")
            with urlopen(f"{address[0]}/edit") as page:
                assert b"/static/edit.js" in page.read()
            asked = Request(f"{address[0]}/api/edit/open", b'{"spec": "miso"}', method="POST")
            with urlopen(asked) as answer:
                assert b'"name":"Miso"' in answer.read()
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
        finally:
            process.kill()
    assert list(tmp_path.iterdir()) == []
