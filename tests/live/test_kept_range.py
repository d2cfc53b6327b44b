"""What the card *Range* was set to, from show to show."""

import asyncio
import json

import pytest

from live import commands
from live.clock import LoopClock
from live.config import load_config
from live.errors import LiveError
from live.kept_range import KEPT_KEYS, KeptRange
from tests.fakes import ScriptedSource, a_show

LEFT, HEAD = "motion.range.left_shut", "motion.limits.head"


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("APPDATA", str(tmp_path))
    return KeptRange()


def test_changes_add_up_and_usual_values_end_with_the_file(kept):
    assert kept.read() == {}
    kept.keep({LEFT: 0.21})
    kept.keep({HEAD: 0.7, "motion.close_mouth": 1})
    assert kept.read() == {LEFT: 0.21, HEAD: 0.7, "motion.close_mouth": 1.0}
    assert [path.name for path in kept.path.parent.iterdir()] == ["range.json"], "written whole, nothing left beside it"
    kept.keep({LEFT: 0.0, "motion.close_mouth": 0})
    assert kept.read() == {HEAD: 0.7}
    kept.keep({HEAD: 1})
    assert not kept.path.exists()
    kept.keep({HEAD: 1})  # once more: nothing to forget is no error


def test_a_show_begins_with_what_was_kept_unless_it_is_told_otherwise(kept, tmp_path):
    kept.keep({LEFT: 0.21, HEAD: 0.7, "motion.limits.mouth": 0.5})
    file = tmp_path / "mine.toml"
    file.write_text("[motion.limits]\nhead = 0.9\n")
    motion = commands.read_config(file, ["motion.limits.mouth=1"], {}, commands.kept_range()).motion
    assert (motion.range.left_shut, motion.limits.head, motion.limits.mouth) == (0.21, 0.9, 1.0)
    assert kept.read()[HEAD] == 0.7, "what a file says is not kept"
    assert commands.read_config(None, None, {}).motion == load_config().motion, "commands for files keep out of it"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not of schema"),
        ('{"schema": "faceshot-range/2", "values": {}}', "not of schema"),
        ('{"schema": "faceshot-range/1", "values": []}', "not of schema"),
        ('{"schema": "faceshot-range/1", "values": {"server.port": 1}}', "server.port is not kept"),
        ('{"schema": "faceshot-range/1", "values": {"motion.limits.head": 7}}', "motion.limits.head = 7"),
        ('{"schema": "faceshot-range/1", "values": {"motion.limits.head": "far"}}', "motion.limits.head"),
    ],
)
def test_a_damaged_file_is_told_not_used_and_replaced(kept, capsys, text, why):
    kept.path.parent.mkdir(parents=True)
    kept.path.write_text(text)
    assert commands.kept_range() == {}
    told = capsys.readouterr().err
    assert why in told and str(kept.path) in told and "delete the file" in told and len(told.splitlines()) == 1
    kept.keep({LEFT: 0.3})
    assert kept.read() == {LEFT: 0.3}


def test_a_file_that_cannot_be_read_or_written_is_told(kept):
    kept.path.mkdir(parents=True)
    with pytest.raises(LiveError, match="not used"):
        kept.read()
    with pytest.raises(LiveError, match=r"range\.json"):
        kept.keep({LEFT: 0.3})
    kept.path.rmdir()
    kept.path.parent.rmdir()
    kept.path.parent.write_text("in the way")
    with pytest.raises(LiveError, match="cannot be kept"):
        kept.keep({LEFT: 0.3})


def test_what_is_changed_in_a_show_is_kept_and_only_that(kept, virtual):
    async def main():
        clock = LoopClock()
        source = {"cam": lambda: ScriptedSource(clock)}
        show = a_show(clock, source, sets=["motion.limits.brows=0.4"], keep=kept.keep)
        async with running(show, clock):
            await show.update({"motion.gains.head": 1.5})
            await clock.sleep_until_ns(clock.now_ns() + 500_000_000)
            assert not kept.path.exists(), "nothing of the card was changed"
            await show.update({LEFT: 0.21, "output.mirror": True})
            await clock.sleep_until_ns(clock.now_ns() + 500_000_000)
            assert kept.read() == {LEFT: 0.21}
            await show.update({HEAD: 0.6})  # the show ends at once: written all the same
        assert kept.read() == {LEFT: 0.21, HEAD: 0.6}

    virtual(main())


def test_a_full_disk_costs_a_message_only(virtual):
    def full(changes):
        assert set(changes) <= KEPT_KEYS
        raise LiveError("The range cannot be kept: no space left.", "Make room.")

    async def main():
        clock = LoopClock()
        show = a_show(clock, {"cam": lambda: ScriptedSource(clock)}, keep=full)
        async with running(show, clock):
            await show.update({HEAD: 0.6})
            await clock.sleep_until_ns(clock.now_ns() + 500_000_000)
            assert "no space left" in show.state()["message"]
            assert show.state()["motion"]["limits"]["head"] == 0.6

    virtual(main())


class running:
    """A show for the length of a block."""

    def __init__(self, show, clock):
        self._show, self._clock = show, clock

    async def __aenter__(self):
        self._running = asyncio.ensure_future(self._show.run())
        await self._clock.sleep_until_ns(self._clock.now_ns() + 1_000_000_000)

    async def __aexit__(self, *error):
        self._show.stop()
        await self._running


def test_the_schema_is_what_the_docstring_shows(kept):
    kept.keep({LEFT: 0.21, HEAD: 0.7})
    assert json.loads(kept.path.read_text()) == {"schema": "faceshot-range/1", "values": {LEFT: 0.21, HEAD: 0.7}}
