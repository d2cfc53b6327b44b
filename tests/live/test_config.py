"""Configuration: where a value comes from, and errors that say what to type."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from live.config import Config, all_keys, load_config, to_toml, with_changes
from live.errors import ConfigError


def test_defaults_need_no_file():
    assert load_config() == Config()


def test_option_beats_set_beats_environment_beats_file_beats_default(tmp_path):
    file = tmp_path / "show.toml"
    file.write_text('[models]\nfolder = "from file"\n[server]\nport = 1\nhost = "0.0.0.0"\n[output]\nfps = 25\n')
    config = load_config(
        file,
        sets=["server.port=2", "server.host=::1"],
        options={"server.port": 3, "character.spec": None},
        environment={"FACESHOT_MODELS": "from environment"},
    )
    assert (config.server.port, config.server.host, config.output.fps) == (3, "::1", 25)
    assert str(config.models.folder) == "from environment"
    assert config.character.spec == Config().character.spec
    again = load_config(file, sets=["models.folder=x"], environment={"FACESHOT_MODELS": "y"})
    assert str(again.models.folder) == "x"


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("source.spec=0", "source.spec", "0"),
        ("source.spec=/dev/video2", "source.spec", "/dev/video2"),
        ("source.realtime=false", "source.realtime", False),
        ("output.background=#00ff00", "output.background", "#00ff00"),
        ("output.sinks=vcam, out.mp4", "output.sinks", ("vcam", "out.mp4")),
        ('output.sinks=["null"]', "output.sinks", ("null",)),
        ("motion.mirror=true", "motion.mirror", True),
        ("motion.gains.head=1.5", "motion.gains.head", 1.5),
        ("source.spec=osf://127.0.0.1:11573", "source.spec", "osf://127.0.0.1:11573"),
        ("character.spec=my=cat.png", "character.spec", "my=cat.png"),
    ],
)
def test_set_takes_toml_values_and_bare_words(text, key, value):
    here = load_config(sets=[text])
    for part in key.split("."):
        here = getattr(here, part)
    assert here == value


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("server.prot=1", "server.port"),
        ("motion.gains.mout=1", "motion.gains.mouth"),
        ("sorce.spec=demo", "source.spec"),
        ("port=1", "server.port"),
        ("source.spec.deep=1", "source.spec"),
        ("max_side_px=256", "animator.max_side_px"),
    ],
)
def test_an_unknown_key_names_the_nearest(text, nearest):
    with pytest.raises(ConfigError) as caught:
        load_config(sets=[text])
    assert text.split("=")[0] in caught.value.message
    assert nearest in caught.value.hint


def test_a_bad_value_names_file_key_and_value(tmp_path):
    file = tmp_path / "show.toml"
    file.write_text("[server]\nport = 99999\n")
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    for part in (str(file), "server.port", "99999", "65535"):
        assert part in str(caught.value)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    ["server = 3\n", "[animator]\nkind = 'svdd'\n", "motion = 3\n", "source.spec = ''\n", "[[source]]\nspec='demo'\n"],
)
def test_wrong_shapes_are_config_errors(tmp_path, text):
    file = tmp_path / "show.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"show\.toml") as caught:
        load_config(file)
    assert "instance of" not in str(caught.value), "the user knows nothing of our classes"


@pytest.mark.parametrize(("name", "data"), [("gone.toml", None), ("bad.toml", b"spec = demo"), ("bin.toml", b"\xff")])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, data):
    file = tmp_path / name
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(ConfigError, match=name):
        load_config(file)


@pytest.mark.parametrize("text", ["server.port", "=3", ""])
def test_set_without_key_or_value_says_how(text):
    with pytest.raises(ConfigError, match="--set") as caught:
        load_config(sets=[text])
    assert "--set motion.smoothing=0.3" in caught.value.hint


def test_changes_make_a_new_checked_config():
    old = Config()
    new = with_changes(old, {"motion.gains.head": 0.5, "motion.mirror": True, "output.mirror": True})
    assert (new.motion.gains.head, new.motion.mirror, new.output.mirror) == (0.5, True, True)
    assert old == Config()
    with pytest.raises(ConfigError, match=r"motion\.gains\.head = 9"):
        with_changes(old, {"motion.gains.head": 9})
    with pytest.raises(ConfigError, match=r"motion\.smooting"):
        with_changes(old, {"motion.smooting": 0})


def test_the_tree_is_frozen():
    with pytest.raises(ValidationError):
        Config().server.port = 1


def test_printed_config_reads_back(tmp_path):
    config = load_config(sets=["motion.gains.head=1.5", "output.sinks=vcam", 'character.spec="a \\"b\\" ü"'])
    file = tmp_path / "printed.toml"
    file.write_text(to_toml(config), encoding="utf-8")
    assert load_config(file) == config


def test_every_key_is_documented_and_can_be_set():
    assert "motion.gains.mouth" in all_keys()
    for key in all_keys():
        *tables, name = key.split(".")
        model = Config
        for table in tables:
            model = model.model_fields[table].annotation
        assert model.model_fields[name].description, key


def test_ice_servers_are_tables_and_survive_the_way_to_a_file(tmp_path: Path) -> None:
    file = tmp_path / "ice.toml"
    file.write_text(
        '[[ice.servers]]\nurls = "stun:stun.example:3478"\n'
        '[[ice.servers]]\nurls = ["turn:t.example", "turns:t.example:5349?transport=tcp"]\n'
        'username = "u"\ncredential = "p"\n'
    )
    config = load_config(file)
    assert [server.urls for server in config.ice.servers] == [
        ("stun:stun.example:3478",),
        ("turn:t.example", "turns:t.example:5349?transport=tcp"),
    ]
    again = tmp_path / "again.toml"
    again.write_text(to_toml(config))
    assert load_config(again) == config


@pytest.mark.parametrize(
    "url", ["http://turn.example", "turn:", "stun:a b", "turn:x?transport=sctp", "stun:x\r\nSet-Cookie: y"]
)
def test_what_is_no_ice_server_is_refused(tmp_path: Path, url: str) -> None:
    file = tmp_path / "ice.toml"
    file.write_text(f"[[ice.servers]]\nurls = [{json.dumps(url)}]\n")
    with pytest.raises(ConfigError) as refused:
        load_config(file)
    assert "STUN or TURN" in str(refused.value)
