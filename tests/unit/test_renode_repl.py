"""The reader of Renode's platform descriptions: its grammar, several files together, memories."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinydeploy.emulate.renode.repl import (
    Choice,
    Destination,
    Empty,
    Memory,
    New,
    Property,
    Range,
    Reference,
    Registration,
    Script,
    Using,
    Value,
    Wire,
    load,
    memories,
    parse,
    peripherals,
)
from tinydeploy.emulate.renode.repl_layout import ReplError


def _value(text: str) -> Value:
    (entry,) = parse(f"a: B.C @ sysbus 0\n    p: {text}").entries
    (attribute,) = entry.attributes
    assert isinstance(attribute, Property)
    return attribute.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-3", -3),
        ("0x1F", 31),
        ("96_000_000", 96_000_000),
        ("0x1000_0000", 0x10000000),
        ("3.3", 3.3),
        ("true", True),
        ("false", False),
        ("none", None),
        ("empty", Empty()),
        ('"cortex-m4"', "cortex-m4"),
        (r'"a \"b\" \\"', r'a "b" \ '.strip()),
        ('"// no comment"', "// no comment"),
        ("nvic", Reference("nvic")),
        ("Series.F4", Choice("Series.F4")),
        (".F4", Choice("F4")),
        ("<0x10, 0x20>", Range(0x10, 0x20)),
        ("<0x10, +0x20>", Range(0x10, 0x30)),
        ("[1, 2, [3]]", (1, 2, (3,))),
        ("[]", ()),
        ("[1, empty,]", (1, Empty())),
    ],
)
def test_values(text: str, value: Value) -> None:
    assert _value(text) == value


def test_objects_in_place() -> None:
    value = _value("new Bus.BusRangeRegistration { address: 0x10; size: 0x4 }")
    assert isinstance(value, New) and value.type == "Bus.BusRangeRegistration"
    assert [(a.name, a.value) for a in value.attributes if isinstance(a, Property)] == [("address", 16), ("size", 4)]
    assert _value("new Thing") == New("Thing", ())


@pytest.mark.parametrize(
    ("text", "outputs", "destinations"),
    [
        ("-> nvic@5", (), [Destination("nvic", None, (5,))]),
        ("IRQ -> nvic@0x25", ("IRQ",), [Destination("nvic", None, (37,))]),
        ("[0-2] -> nvic@[6-8]", (0, 1, 2), [Destination("nvic", None, (6, 7, 8))]),
        ("[3-1] -> nvic@[1,4-5]", (3, 2, 1), [Destination("nvic", None, (1, 4, 5))]),
        ("[A, B] -> exti@[1, 1]", ("A", "B"), [Destination("exti", None, (1, 1))]),
        ("1 -> syscfg#10@3", (1,), [Destination("syscfg", 10, (3,))]),
        ("-> a@1 | b@2", (), [Destination("a", None, (1,)), Destination("b", None, (2,))]),
        ("IRQ -> none", ("IRQ",), []),
    ],
)
def test_wires(text: str, outputs: tuple[str | int, ...], destinations: list[Destination]) -> None:
    (entry,) = parse(f"a: B.C @ sysbus 0\n    {text}").entries
    assert entry.attributes == (Wire(outputs, tuple(destinations), 0),)


def test_places_names_and_local() -> None:
    first, second, third, fourth = parse(
        'a: B.C @ { sysbus 0x10; cpu } as "nick"\n\nlocal b: D @ none\nc:\n    x: 1\n'
        "d: E @ sysbus <1, +2> { y: 2; z: 3 }"
    ).entries
    assert first.registrations == (Registration("sysbus", 16), Registration("cpu", None))
    assert first.alias == "nick" and not first.local
    assert second.registrations == () and second.local
    assert (third.type, third.registrations) == (None, None)
    assert [a.name for a in fourth.attributes if isinstance(a, Property)] == ["y", "z"]


def test_commands() -> None:
    (entry,) = parse('sysbus:\n    init:\n        Tag <0x0, 0x3> "A { ; } B" 0x1\n        SilenceRange <0 1>').entries
    assert entry.attributes == (Script("init", False, ('Tag <0x0, 0x3> "A { ; } B" 0x1', "SilenceRange <0 1>"), 0),)
    (entry,) = parse("cpu:\n    reset add:\n        Run 1").entries
    assert entry.attributes == (Script("reset", True, ("Run 1",), 0),)


def test_a_script_over_several_lines() -> None:
    text = (
        "a: Python.P @ sysbus 0\n    script: '''\nif request.IsInit:\n  v = {} // kept\n'''\n    size: 4\nb: C @ none"
    )
    first, second = parse(text).entries
    assert [(a.name, a.value) for a in first.attributes if isinstance(a, Property)] == [
        ("script", "\nif request.IsInit:\n  v = {} // kept\n"),
        ("size", 4),
    ]
    assert (second.name, second.line) == ("b", 7)


def test_comments() -> None:
    text = (
        "// first\n/* over\n   lines */\na: B @ none // behind\n    x: 1 /* in */\n\n"
        '    // alone, at another depth\n    y: "http://z" // url\n/* last */\n'
    )
    (entry,) = parse(text).entries
    assert [(a.name, a.value, a.line) for a in entry.attributes if isinstance(a, Property)] == [
        ("x", 1, 5),
        ("y", "http://z", 8),
    ]


def test_carriage_returns_and_an_empty_file() -> None:
    assert parse("a: B @ none\r\n    x: 1\r\n") == parse("a: B @ none\n    x: 1")
    assert parse("") == parse("\n// nothing\n")
    assert parse("").entries == ()


def test_usings() -> None:
    repl = parse('using "platforms/cpus/stm32f4.repl"\nusing "./b.repl" prefixed "b_"\n\na: C @ none')
    assert repl.usings == (Using("platforms/cpus/stm32f4.repl", "", 0), Using("./b.repl", "b_", 0))
    assert [e.name for e in repl.entries] == ["a"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: B @ none\n   x: 1", 2, "indented by 3 spaces"),
        ("    a: B @ none", 1, "the first entry is indented"),
        ("a: B @ none\n    x 1", 2, "expected a property"),
        ("a: B @ none\n    x: ", 2, "expected a value"),
        ("a: B @ none\n    x: <0x20, 0x10>", 2, "a range that ends behind its start"),
        ("a: B @ none\n    x: [1, 2", 2, "expected"),
        ('a: B @ none\n    x: "open', 2, "a string has no end"),
        ("a: B @ none\n    x: '''open\n", 2, "never ends"),
        ("/* open\na: B @ none", 1, "a comment has no end"),
        ("a: B @ none\n    IRQ -> nvic", 2, "expected `@`"),
        ("a: B @ none\n    [3-3] -> nvic@[1-2]", 2, "two different ends"),
        ("a B @ none", 1, "expected `:`"),
        ("a: B @ none\nnew: C", 2, "expected an entry's name"),
        ("a: B @ none\n    init:\n        Run { 1 }", 3, "braces cannot stand in a command"),
        ("a: B @ { sysbus 1", 1, "expected"),
        ("a: B @ none }", 1, "expected an entry"),
    ],
)
def test_mistakes_have_their_line(text: str, line: int, message: str) -> None:
    with pytest.raises(ReplError, match=rf"^own\.repl:{line}: .*{message}"):
        parse(text, "own.repl")


def test_endless_nesting_is_refused() -> None:
    with pytest.raises(ReplError, match="nested too deep"):
        parse("a: B @ none\n    x: " + "[" * 100_000)


def test_files_together(tmp_path: Path) -> None:
    (tmp_path / "platforms").mkdir()
    (tmp_path / "own").mkdir()
    (tmp_path / "platforms" / "cpu.repl").write_text("ram: Memory.MappedMemory @ sysbus 0x20000000\n    size: 0x1000\n")
    (tmp_path / "own" / "part.repl").write_text("x: A @ sysbus 0\n    other: y\n    -> x@1\ny: B @ sysbus 4\n")
    own = tmp_path / "own" / "board.repl"
    own.write_text('using "platforms/cpu.repl"\nusing "./part.repl" prefixed "p_"\n\nram:\n    size: 0x2000\n')
    entries = load(own, [tmp_path])
    assert [e.name for e in entries] == ["ram", "p_x", "p_y", "ram"]
    found = peripherals(entries)
    assert found["p_x"].properties == {"other": Reference("p_y")}
    assert found["p_x"].wires[0].destinations[0].receiver == "p_x"
    assert found["p_x"].registrations[0].parent == "sysbus"
    assert memories(entries) == [Memory("ram", 0x20000000, 0x2000)]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    own = tmp_path / "board.repl"
    own.write_text('\nusing "platforms/none.repl"\n')
    with pytest.raises(ReplError, match=r"board\.repl:2: cannot find 'platforms/none\.repl'"):
        load(own, [tmp_path])
    with pytest.raises(ReplError, match="cannot read the platform"):
        load(tmp_path / "missing.repl")


def test_files_that_use_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.repl").write_text('using "./b.repl"\n')
    (tmp_path / "b.repl").write_text('using "./a.repl"\n')
    with pytest.raises(ReplError, match="uses itself"):
        load(tmp_path / "a.repl")


def test_a_file_used_twice_counts_once(tmp_path: Path) -> None:
    (tmp_path / "c.repl").write_text("c: C @ none\n")
    for name in ("a", "b"):
        (tmp_path / f"{name}.repl").write_text('using "./c.repl"\n')
    own = tmp_path / "own.repl"
    own.write_text('using "./a.repl"\nusing "./b.repl"\n')
    assert [e.name for e in load(own)] == ["c"]


def test_later_entries_overrule() -> None:
    found = peripherals(
        parse(
            "a: T @ sysbus 0x10\n    x: 1\n    y: 2\n    IRQ -> n@1\n    init:\n        First\n"
            "a: @ sysbus 0x20\n    x: none\n    y: 3\n    IRQ -> n@2\n    init add:\n        Second\n"
        ).entries
    )["a"]
    assert found.registrations == (Registration("sysbus", 0x20),)
    assert found.properties == {"y": 3}
    assert [w.destinations[0].inputs for w in found.wires] == [(2,)]
    assert found.scripts == ("First", "Second")


def test_memories_at_several_places() -> None:
    text = (
        "ram: Memory.MappedMemory @ { sysbus 0x800000; sysbus 0x20000000 }\n    size: 0x400\n"
        "rom: Memory.MappedMemory @ sysbus new Bus.BusRangeRegistration { address: 0x100; size: 0x200 }\n"
        "    size: 0x800\n"
        "uart: UART.PL011 @ sysbus 0x40000000\n"
        "gone: Memory.MappedMemory @ sysbus 0x30000000\n    size: 0x400\n"
        "gone: @ none\n"
    )
    assert memories(parse(text).entries) == [
        Memory("rom", 0x100, 0x200),
        Memory("ram", 0x800000, 0x400),
        Memory("ram", 0x20000000, 0x400),
    ]
