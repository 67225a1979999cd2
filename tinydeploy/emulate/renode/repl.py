"""Reads Renode's platform descriptions (`.repl`): the grammar, several files together, and the memories they map.

The grammar is that of Renode 1.16, checked against all platform files that come with it. What a file says is kept as
frozen values; whether it makes sense is `peripherals.check`'s to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias, TypeVar

from tinydeploy.emulate.renode.repl_layout import ReplError, braced

T = TypeVar("T")


@dataclass(frozen=True)
class Reference:
    """Another entry, by name."""

    name: str


@dataclass(frozen=True)
class Choice:
    """A value of an enumeration: `Parity.Even` or `.Even`."""

    name: str


@dataclass(frozen=True)
class Range:
    """Addresses from `begin` on, up to but without `end`."""

    begin: int
    end: int


@dataclass(frozen=True)
class New:
    """An object that is made in place: `new Bus.BusMultiRegistration { address: …; size: … }`."""

    type: str
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True)
class Empty:
    """The word `empty`: the type's own default."""


Value: TypeAlias = "str | int | float | bool | Reference | Choice | Range | New | Empty | tuple[Value, ...] | None"


@dataclass(frozen=True)
class Property:
    """`name: value`; None for `none`, which takes back what an earlier entry said."""

    name: str
    value: Value
    line: int = field(compare=False)


@dataclass(frozen=True)
class Destination:
    """Where interrupts go: the receiver's inputs; `index` tells several receivers of one peripheral apart."""

    receiver: str
    index: int | None
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Wire:
    """`IRQ -> nvic@37`: outputs by name or number, none for the default one. No destinations: `-> none`."""

    outputs: tuple[str | int, ...]
    destinations: tuple[Destination, ...]
    line: int = field(compare=False)


@dataclass(frozen=True)
class Script:
    """Monitor commands that run with the entry: `kind` is init, preinit or reset; `add` behind those of before."""

    kind: str
    add: bool
    commands: tuple[str, ...]
    line: int = field(compare=False)


Attribute: TypeAlias = Property | Wire | Script


@dataclass(frozen=True)
class Registration:
    """Where an entry is attached: the parent and the place there, None for a parent that has one place."""

    parent: str
    place: Value


@dataclass(frozen=True)
class Entry:
    """`name: Type @ parent place` and its attributes. No `type`: more of an entry that is there already.

    `registrations` is None when the entry does not speak of it, and empty for `@ none`.
    """

    name: str
    type: str | None
    registrations: tuple[Registration, ...] | None
    attributes: tuple[Attribute, ...]
    line: int = field(compare=False)
    local: bool = False
    alias: str | None = None
    file: str = field(default="", compare=False)

    @property
    def where(self) -> str:
        """File and line."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Using:
    """Another file whose entries come first; their names get the prefix."""

    path: str
    prefix: str
    line: int = field(compare=False)


@dataclass(frozen=True)
class Repl:
    """One file."""

    usings: tuple[Using, ...]
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Peripheral:
    """What all entries of one name say together. `properties` has no `none`; `scripts` are the commands to run."""

    name: str
    type: str | None
    registrations: tuple[Registration, ...]
    properties: Mapping[str, Value]
    wires: tuple[Wire, ...]
    scripts: tuple[str, ...]
    where: str


@dataclass(frozen=True)
class Memory:
    """A memory that a platform maps, once for each address where it shows."""

    name: str
    base: int
    bytes: int


_MEMORIES = ("Memory.MappedMemory", "Memory.ArrayMemory", "Memory.ArrayMemoryWithReadonlys")
_IDENTIFIER = re.compile(r"[^\W\d_]\w*")
_NUMBER = re.compile(r"-?(?:0x[0-9A-Fa-f]+(?:_[0-9A-Fa-f]+)*|\d+(?:_\d+)*(?:\.\d+)?)")
_KEYWORDS = frozenset(
    ["using", "new", "as", "preinit", "init", "reset", "local", "prefixed", "true", "false", "none", "empty"]
)


def parse(source: str, name: str = "platform") -> Repl:
    """One file's text; raises `ReplError` with `name` and the line."""
    try:
        return _Parser(braced(source, name), name).file()
    except RecursionError:
        raise ReplError(f"{name}: lists or objects are nested too deep") from None


def load(path: Path, roots: Sequence[Path] = ()) -> tuple[Entry, ...]:
    """A file's entries behind those of the files that it uses, each file once.

    A path that begins with `./` or `../` is meant from the file that names it, any other from one of `roots`: Renode
    looks below its own folder. Raises `ReplError` for a file that is not there, or uses itself.
    """
    return tuple(_loaded(path.resolve(), "", tuple(roots), (), set()))


def _loaded(
    path: Path, prefix: str, roots: tuple[Path, ...], above: tuple[Path, ...], done: set[tuple[Path, str]]
) -> Iterator[Entry]:
    if path in above:
        raise ReplError(f"{path}: uses itself, by way of {above[-1].name}")
    if (path, prefix) in done:
        return
    done.add((path, prefix))
    try:
        source = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ReplError(f"cannot read the platform {path}: {error}") from error
    repl = parse(source, str(path))
    for using in repl.usings:
        found = _resolved(using.path, path, roots)
        if found is None:
            raise ReplError(
                f"{path}:{using.line}: cannot find '{using.path}'",
                hint="paths of Renode's own platforms are looked for below Renode's folder; others begin with ./",
            )
        yield from _loaded(found, prefix + using.prefix, roots, (*above, path), done)
    names = {e.name for e in repl.entries}
    for entry in repl.entries:
        yield _prefixed(entry, prefix, names) if prefix else entry


def _resolved(wanted: str, user: Path, roots: tuple[Path, ...]) -> Path | None:
    if Path(wanted).is_absolute():
        candidates = [Path(wanted)]
    elif wanted.split("/")[0] in (".", ".."):
        candidates = [user.parent / wanted]
    else:
        candidates = [root / wanted for root in roots]
    return next((c.resolve() for c in candidates if c.is_file()), None)


def _prefixed(entry: Entry, prefix: str, names: set[str]) -> Entry:
    """An entry of a file that is used with a prefix: its name and those that it speaks of; the bus keeps its own."""

    def named(name: str) -> str:
        return name if name == "sysbus" else prefix + name

    def value(v: Value) -> Value:
        if isinstance(v, Reference):
            return Reference(named(v.name))
        if isinstance(v, tuple):
            return tuple(value(item) for item in v)
        if isinstance(v, New):
            return New(v.type, tuple(attribute(a) for a in v.attributes))
        return v

    def attribute(a: Attribute) -> Attribute:
        if isinstance(a, Property):
            return replace(a, value=value(a.value))
        if isinstance(a, Wire):
            return replace(a, destinations=tuple(replace(d, receiver=named(d.receiver)) for d in a.destinations))
        return a

    registrations = entry.registrations
    if registrations is not None:
        registrations = tuple(Registration(named(r.parent), value(r.place)) for r in registrations)
    attributes = tuple(attribute(a) for a in entry.attributes)
    return replace(entry, name=named(entry.name), registrations=registrations, attributes=attributes)


def peripherals(entries: Sequence[Entry]) -> dict[str, Peripheral]:
    """What the entries say of each name together: a later one adds to an earlier one, and overrules it."""
    found: dict[str, Peripheral] = {}
    for entry in entries:
        key = entry.name if not entry.local else f"{entry.file}:{entry.name}"
        before = found.get(key) or Peripheral(entry.name, None, (), {}, (), (), entry.where)
        properties = dict(before.properties)
        wires, scripts = list(before.wires), list(before.scripts)
        for attribute in entry.attributes:
            if isinstance(attribute, Wire):
                wires = [w for w in wires if not set(w.outputs or ("",)) & set(attribute.outputs or ("",))]
                wires += [attribute] if attribute.destinations else []
            elif isinstance(attribute, Script):
                scripts = [*(scripts if attribute.add else ()), *attribute.commands]
            elif attribute.value is None:
                properties.pop(attribute.name, None)
            else:
                properties[attribute.name] = attribute.value
        found[key] = Peripheral(
            name=entry.name,
            type=entry.type or before.type,
            registrations=before.registrations if entry.registrations is None else entry.registrations,
            properties=properties,
            wires=tuple(wires),
            scripts=tuple(scripts),
            where=before.where if before.type else entry.where,
        )
    return found


def memories(entries: Sequence[Entry]) -> list[Memory]:
    """The memories on the system bus, by rising address. What is attached elsewhere, or has no size, is left out."""
    found = []
    for peripheral in peripherals(entries).values():
        size = peripheral.properties.get("size")
        if peripheral.type not in _MEMORIES or not isinstance(size, int):
            continue
        for registration in peripheral.registrations:
            place = span(registration.place)
            if registration.parent == "sysbus" and place is not None:
                found.append(Memory(peripheral.name, place[0], place[1] if place[1] is not None else size))
    return sorted(found, key=lambda m: (m.base, m.name))


def span(place: Value) -> tuple[int, int | None] | None:
    """Address and size of a place on a bus; the size is None where the peripheral's own is taken."""
    if isinstance(place, bool):
        return None
    if isinstance(place, int):
        return place, None
    if isinstance(place, Range):
        return place.begin, place.end - place.begin
    if isinstance(place, New):
        said = {a.name: a.value for a in place.attributes if isinstance(a, Property)}
        address, size, within = said.get("address"), said.get("size"), said.get("range")
        if isinstance(within, Range):
            return span(within)
        if isinstance(address, int):
            return address, size if isinstance(size, int) else None
    return None


class _Parser:
    """Recursive descent over the text that `braced` made."""

    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._at = 0

    def file(self) -> Repl:
        usings: list[Using] = []
        entries: list[Entry] = []
        self._space()
        while self._word() == "using":
            usings.append(self._using())
            if not self._accept(";"):
                break
        while self._at < len(self._text):
            entries.append(self._entry())
            if not self._accept(";"):
                break
        if self._at < len(self._text):
            raise self._error("expected an entry")
        return Repl(tuple(usings), tuple(entries))

    # Characters and words.

    def _error(self, message: str) -> ReplError:
        rest = self._text[self._at : self._at + 30].split("\n")[0].strip()
        found = f"`{rest}`" if rest else "the end of a line"
        return ReplError(f"{self._name}:{self._line()}: {message}, found {found}")

    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1

    def _space(self) -> None:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1

    def _accept(self, token: str) -> bool:
        if not self._text.startswith(token, self._at):
            return False
        self._at += len(token)
        self._space()
        return True

    def _expect(self, token: str, after: str) -> None:
        if not self._accept(token):
            raise self._error(f"expected `{token}` after {after}")

    def _word(self) -> str | None:
        """The identifier or keyword that comes next, without taking it."""
        found = _IDENTIFIER.match(self._text, self._at)
        return found.group() if found is not None else None

    def _keyword(self, word: str) -> bool:
        return self._word() == word and self._accept(word)

    def _identifier(self, what: str) -> str:
        word = self._word()
        if word is None or word in _KEYWORDS:
            raise self._error(f"expected {what}")
        self._accept(word)
        return word

    def _dotted(self, what: str) -> str:
        parts = [self._identifier(what)]
        while self._accept("."):
            parts.append(self._identifier(what))
        return ".".join(parts)

    def _string(self) -> str | None:
        for quote in ("'''", '"'):
            if self._text.startswith(quote, self._at):
                break
        else:
            return None
        end = self._at + len(quote)
        out: list[str] = []
        while not self._text.startswith(quote, end):
            if end >= len(self._text):
                raise self._error("expected the end of a string")
            escaped = self._text[end] == "\\" and self._text.startswith((quote, "\\"), end + 1)
            if escaped:
                end += 1
            step = len(quote) if escaped and self._text.startswith(quote, end) else 1
            out.append(self._text[end : end + step])
            end += step
        self._at = end + len(quote)
        self._space()
        return "".join(out)

    def _quoted(self, what: str) -> str:
        found = self._string()
        if found is None:
            raise self._error(f"expected {what} in quotes")
        return found

    def _number(self) -> int | float | None:
        found = _NUMBER.match(self._text, self._at)
        if found is None:
            return None
        self._accept(found.group())
        text = found.group().replace("_", "")
        if "x" in text:
            return int(text, 16)
        return float(text) if "." in text else int(text)

    def _index(self, what: str) -> int:
        found = self._number()
        if not isinstance(found, int) or found < 0:
            raise self._error(f"expected {what}")
        return found

    def _several(self, one: Callable[[], T], separator: str) -> list[T]:
        found = [one()]
        while self._accept(separator):
            found.append(one())
        return found

    # Entries.

    def _using(self) -> Using:
        line = self._line()
        self._accept("using")
        path = self._quoted("a file's path")
        return Using(path, self._quoted("a prefix") if self._keyword("prefixed") else "", line)

    def _entry(self) -> Entry:
        line = self._line()
        local = self._keyword("local")
        name = self._identifier("an entry's name")
        self._expect(":", f"the name '{name}'")
        type_ = self._dotted("a type") if self._word() is not None else None
        registrations = self._registrations() if self._accept("@") else None
        alias = self._quoted("a name") if self._keyword("as") else None
        attributes = self._attributes() if self._text.startswith("{", self._at) else ()
        return Entry(name, type_, registrations, attributes, line, local, alias, self._name)

    def _registrations(self) -> tuple[Registration, ...]:
        if self._keyword("none"):
            return ()
        if not self._accept("{"):
            return (self._registration(),)
        found = self._several(self._registration, ";")
        self._expect("}", "the places of an entry")
        return tuple(found)

    def _registration(self) -> Registration:
        parent = self._identifier("where the entry is attached")
        nothing = self._at >= len(self._text) or self._text[self._at] in ";{}" or self._word() == "as"
        return Registration(parent, None if nothing else self._value())

    def _attributes(self) -> tuple[Attribute, ...]:
        self._expect("{", "an entry")
        if self._accept("}"):
            return ()
        found = self._several(self._attribute, ";")
        self._expect("}", "an attribute")
        return tuple(found)

    def _attribute(self) -> Attribute:
        line = self._line()
        word = self._word()
        if word in ("init", "preinit", "reset"):
            return self._script(word, line)
        start = self._at
        if word is not None and word not in _KEYWORDS:
            self._accept(word)
            if self._accept(":"):
                return Property(word, self._value_or_none(), line)
            self._at = start
        return self._wire(line)

    def _script(self, kind: str, line: int) -> Script:
        self._accept(kind)
        add = self._keyword("add")
        self._expect(":", kind)
        if not self._text.startswith("{", self._at):
            raise self._error(f"expected the commands of `{kind}`, indented")
        self._at += 1
        commands, start = [], self._at
        while True:
            if self._at >= len(self._text):
                raise self._error(f"expected the end of `{kind}`")
            c = self._text[self._at]
            if c == '"':
                self._string()
                continue
            if c == "{":
                raise self._error("braces cannot stand in a command")
            if c in ";}":
                commands.append(self._text[start : self._at].strip())
                start = self._at + 1
            self._at += 1
            if c == "}":
                self._space()
                return Script(kind, add, tuple(commands), line)

    def _wire(self, line: int) -> Wire:
        outputs: list[str | int] = []
        many = self._accept("[")
        if many:
            outputs = [o for group in self._several(self._outputs, ",") for o in group]
            self._expect("]", "the outputs")
        elif not self._text.startswith("->", self._at):
            outputs = self._outputs()
        if not self._accept("->"):
            raise self._error("expected a property (`name: value`) or an interrupt (`IRQ -> nvic@1`)")
        if self._keyword("none"):
            return Wire(tuple(outputs), (), line)
        return Wire(tuple(outputs), tuple(self._several(self._destination, "|")), line)

    def _outputs(self) -> list[str | int]:
        word = self._word()
        if word is not None:
            return [self._identifier("an output")]
        return list(self._inputs())

    def _inputs(self) -> list[int]:
        first = self._index("a number")
        if self._text.startswith("->", self._at) or not self._accept("-"):
            return [first]
        last = self._index("the end of a range")
        if first == last:
            raise self._error("expected two different ends of a range")
        return list(range(first, last + 1)) if first < last else list(range(first, last - 1, -1))

    def _destination(self) -> Destination:
        receiver = self._identifier("where the interrupt goes")
        index = self._index("a number") if self._accept("#") else None
        self._expect("@", "the receiver of an interrupt")
        if not self._accept("["):
            return Destination(receiver, index, tuple(self._inputs()))
        inputs = [i for group in self._several(self._inputs, ",") for i in group]
        self._expect("]", "the inputs")
        return Destination(receiver, index, tuple(inputs))

    # Values.

    def _value_or_none(self) -> Value:
        return None if self._keyword("none") else self._value()

    def _value(self) -> Value:
        string = self._string()
        if string is not None:
            return string
        number = self._number()
        if number is not None:
            return number
        if self._accept("<"):
            return self._range()
        if self._accept("["):
            return self._list()
        if self._accept("."):
            return Choice(self._identifier("a value's name"))
        return self._named_value()

    def _named_value(self) -> Value:
        for word, value in (("true", True), ("false", False), ("empty", Empty())):
            if self._keyword(word):
                return value
        if self._keyword("new"):
            type_ = self._dotted("a type")
            return New(type_, self._attributes() if self._text.startswith("{", self._at) else ())
        name = self._dotted("a value")
        return Choice(name) if "." in name else Reference(name)

    def _range(self) -> Range:
        begin = self._index("an address")
        self._expect(",", "the start of a range")
        relative = self._accept("+")
        end = self._index("the end of a range")
        end += begin if relative else 0
        self._expect(">", "a range")
        if end < begin:
            raise self._error("expected a range that ends behind its start")
        return Range(begin, end)

    def _list(self) -> tuple[Value, ...]:
        found: list[Value] = []
        while not self._accept("]"):
            found.append(self._value())
            if not self._accept(","):
                self._expect("]", "a list")
                break
        return tuple(found)
