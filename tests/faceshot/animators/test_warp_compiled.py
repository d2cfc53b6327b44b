"""Whoever waits for a compilation is told, once, and only when there is one."""

from faceshot.animators.warp.compiled import compiled, telling_of_compilation


def test_the_first_compilation_is_told_and_what_is_compiled_already_is_not():
    source: dict = {}
    exec("def double(x): return 2 * x", source)  # of no file: nothing of it is on disk from an earlier run
    fast, told = compiled(source["double"]), []
    with telling_of_compilation(lambda: told.append("compiling")):
        assert fast(2) == 4 and told == ["compiling"]
        assert fast(2.5) == 5.0 and told == ["compiling"], "told once, though floats are compiled anew"
    with telling_of_compilation(lambda: told.append("again")):
        assert fast(3) == 6
    assert told == ["compiling"]
    assert fast("ab") == "abab" and told == ["compiling"], "nobody listens any more"
