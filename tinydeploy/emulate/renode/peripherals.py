"""Which of Renode's peripherals a platform of ours has, what each must and may be told, and whether a file does so.

The facts are those of Renode 1.16.1: names and kinds of constructor parameters and of properties that can be set, how
large a peripheral is on the bus, the names of its interrupt outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tinydeploy.emulate.renode.repl import (
    Choice,
    Entry,
    Peripheral,
    Property,
    Reference,
    Value,
    peripherals,
    span,
)

RENODE_VERSION = "1.16.1"
PAGE_BYTES = 1024  # an Arm core's memories start and end at multiples of it
INTERRUPTS = 512  # inputs of the NVIC


@dataclass(frozen=True)
class Type:
    """A kind of peripheral. `required`, `optional`: what it is told, with the kind of value: int, bool, string,
    reference or choice. `bytes`: how much of the bus it takes; None: its place has to say, or its property `size`.
    `outputs`: its interrupts. `parent`: what it is attached to. `mapped`: memory that the core maps by pages.
    """

    required: Mapping[str, str] = field(default_factory=dict)
    optional: Mapping[str, str] = field(default_factory=dict)
    bytes: int | None = None
    outputs: tuple[str, ...] = ()
    parent: str = "sysbus"
    mapped: bool = False


TYPES: Mapping[str, Type] = {
    "Memory.MappedMemory": Type(
        {"size": "int"}, {"segmentSize": "int", "sharedMemoryFileRoot": "string", "ResetByte": "int"}, mapped=True
    ),
    "Memory.ArrayMemory": Type({"size": "int"}, {"initialValue": "int"}),
    "IRQControllers.NVIC": Type(
        {},
        {"systickFrequency": "int", "priorityMask": "int", "haltSystickOnDeepSleep": "bool"},
        bytes=0x1000,
        outputs=("IRQ",),
    ),
    "CPU.CortexM": Type(
        {"cpuType": "string", "nvic": "reference"},
        {
            "cpuId": "int",
            "id": "int",
            "endianness": "choice",
            "fpuInterruptNumber": "int",
            "numberOfMPURegions": "int",
            "enableTrustZone": "bool",
            "numberOfSAURegions": "int",
            "numberOfIDAURegions": "int",
            "PerformanceInMips": "int",
        },
        bytes=0,
    ),
    "Miscellaneous.DWT": Type({"frequency": "int"}, bytes=0x1000),
    "Miscellaneous.BitBanding": Type({"peripheralBase": "int"}),
    "Python.PythonPeripheral": Type({"size": "int"}, {"initable": "bool", "script": "string", "filename": "string"}),
    "UART.STM32_UART": Type({}, {"frequency": "int"}, outputs=("IRQ", "DMARequest")),
    "UART.STM32F7_USART": Type(
        {"frequency": "int"}, {"lowPowerMode": "bool"}, bytes=0x400, outputs=("IRQ", "ReceiveDmaRequest")
    ),
    "UART.NRF52840_UART": Type({}, {"easyDMA": "bool"}, bytes=0x1000, outputs=("IRQ",)),
    "UART.PL011": Type({}, {"fifoSize": "int", "frequency": "int"}, bytes=0x1000, outputs=("IRQ",)),
    "UART.SAMD5_UART": Type(bytes=0x100, outputs=("IRQ",)),
    "UART.NXP_LPUART": Type(
        {},
        {
            "frequency": "int",
            "hasGlobalRegisters": "bool",
            "hasFifoRegisters": "bool",
            "fifoSize": "int",
            "separateIRQs": "bool",
        },
        bytes=0x800,
        outputs=("IRQ", "SeparateRxIRQ", "ReceiveDMA", "TransmitDMA"),
    ),
    "UART.CMSDK_APB_UART": Type({}, {"frequency": "int"}, bytes=0x1000, outputs=("TxInterrupt", "RxInterrupt")),
    "UART.SemihostingUart": Type(bytes=0, parent="cpu"),
}
_BUILT_IN = "sysbus"

_KINDS: Mapping[str, Callable[[Value], bool]] = {
    "int": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "bool": lambda v: isinstance(v, bool),
    "string": lambda v: isinstance(v, str),
    "reference": lambda v: isinstance(v, Reference),
    "choice": lambda v: isinstance(v, Choice),
}


def check(entries: Sequence[Entry]) -> list[str]:
    """What Renode would refuse, or would run other than it reads: a sentence each, empty for a sound platform.

    Types beyond those of `TYPES` are problems, too: this is for platforms that tinydeploy writes.
    """
    found = peripherals(entries)
    problems = [*_types(entries)]
    for peripheral in found.values():
        kind = TYPES.get(peripheral.type or "")
        if peripheral.type is None:
            if peripheral.name != _BUILT_IN:
                problems.append(f"{peripheral.where}: {peripheral.name} has no type")
            continue
        if kind is None:
            problems.append(f"{peripheral.where}: {peripheral.name}: no type {peripheral.type} is known")
            continue
        problems += _properties(peripheral, kind, found)
        problems += _places(peripheral, kind, found)
        problems += _wires(peripheral, kind, found)
    return [*problems, *_overlaps(found)]


def _types(entries: Sequence[Entry]) -> Iterator[str]:
    typed: set[str] = set()
    for entry in entries:
        if entry.type is not None and entry.name in typed:
            yield f"{entry.where}: {entry.name} is there already"
        if entry.type is not None:
            typed.add(entry.name)
        names = [a.name for a in entry.attributes if isinstance(a, Property)]
        for name in sorted({n for n in names if names.count(n) > 1}):
            yield f"{entry.where}: {entry.name}: {name} is given twice"


def _properties(peripheral: Peripheral, kind: Type, found: Mapping[str, Peripheral]) -> Iterator[str]:
    where = f"{peripheral.where}: {peripheral.name}"
    allowed = {**kind.required, **kind.optional}
    for name in kind.required:
        if name not in peripheral.properties:
            yield f"{where}: {peripheral.type} needs {name}"
    for name, value in peripheral.properties.items():
        if name not in allowed:
            yield f"{where}: {peripheral.type} has no {name}"
        elif not _KINDS[allowed[name]](value):
            yield f"{where}: {name} must be of the kind {allowed[name]}"
        elif isinstance(value, Reference) and value.name not in found:
            yield f"{where}: {name} names {value.name}, which is not there"
    size = peripheral.properties.get("size")
    if isinstance(size, int) and size <= 0:
        yield f"{where}: size must be positive"
    if peripheral.type == "Python.PythonPeripheral":
        if ("script" in peripheral.properties) == ("filename" in peripheral.properties):
            yield f"{where}: either script or filename must be given"
        script = peripheral.properties.get("script")
        if isinstance(script, str) and script.count("{") != script.count("}"):
            yield f"{where}: braces in a script must come in pairs"


def _places(peripheral: Peripheral, kind: Type, found: Mapping[str, Peripheral]) -> Iterator[str]:
    where = f"{peripheral.where}: {peripheral.name}"
    if not peripheral.registrations:
        yield f"{where}: is attached to nothing"
    for registration in peripheral.registrations:
        if registration.parent != _BUILT_IN and registration.parent not in found:
            yield f"{where}: is attached to {registration.parent}, which is not there"
        elif registration.parent != kind.parent:
            yield f"{where}: {peripheral.type} is attached to {kind.parent}, not to {registration.parent}"
        elif kind.bytes == 0:
            if registration.place is not None:
                yield f"{where}: {peripheral.type} has no address"
        elif kind.required.keys() - peripheral.properties.keys():
            continue  # told already: its size may be what is missing
        elif (taken := _span(peripheral, registration.place)) is None:
            yield f"{where}: {peripheral.type} needs an address, and a range where it has no size of its own"
        elif kind.mapped and any(n % PAGE_BYTES for n in taken):
            yield f"{where}: a memory of {taken[1]} bytes at {taken[0]:#x} is not made of pages of {PAGE_BYTES} bytes"


def _span(peripheral: Peripheral, place: Value) -> tuple[int, int] | None:
    """Address and size on the bus."""
    at = span(place)
    if at is None:
        return None
    size = at[1]
    if size is None:
        kind = TYPES[peripheral.type or ""]
        own = peripheral.properties.get("size")
        size = kind.bytes or (own if isinstance(own, int) else None)
    return (at[0], size) if size else None


def _wires(peripheral: Peripheral, kind: Type, found: Mapping[str, Peripheral]) -> Iterator[str]:
    where = f"{peripheral.where}: {peripheral.name}"
    for wire in peripheral.wires:
        for output in wire.outputs:
            if output not in kind.outputs:
                yield f"{where}: {peripheral.type} has no output {output}"
        if not wire.outputs and not kind.outputs:
            yield f"{where}: {peripheral.type} has no output"
        for destination in wire.destinations:
            receiver = found.get(destination.receiver)
            if receiver is None:
                yield f"{where}: an interrupt goes to {destination.receiver}, which is not there"
            elif receiver.type == "IRQControllers.NVIC":
                if any(i >= INTERRUPTS for i in destination.inputs):
                    yield f"{where}: the NVIC has no input {max(destination.inputs)}"
            elif receiver.type != "CPU.CortexM" or peripheral.type != "IRQControllers.NVIC":
                yield f"{where}: {receiver.name} takes no interrupts"
            elif destination.inputs != (0,):
                yield f"{where}: the NVIC goes to input 0 of the core"
    if peripheral.type == "IRQControllers.NVIC" and not peripheral.wires:
        yield f"{where}: the NVIC is not wired to the core"


def _overlaps(found: Mapping[str, Peripheral]) -> Iterator[str]:
    taken = []
    for peripheral in found.values():
        if peripheral.type not in TYPES:
            continue
        for registration in peripheral.registrations:
            at = _span(peripheral, registration.place) if registration.parent == _BUILT_IN else None
            if at is not None:
                taken.append((at[0], at[0] + at[1], peripheral))
    taken.sort(key=lambda t: t[:2])
    for (_, end, before), (begin, _, after) in pairwise(taken):
        if begin < end:
            yield f"{after.where}: {after.name} at {begin:#x} overlaps {before.name}, which ends at {end:#x}"
