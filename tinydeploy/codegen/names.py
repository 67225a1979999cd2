"""Names and texts on their way into C. Nothing from a model file gets there but through these functions."""

from __future__ import annotations

import re

from tinydeploy.errors import UsageError

# C99 and C++17 keywords that are also plausible names, and what <stdint.h> and friends claim.
# fmt: off
_RESERVED = frozenset([
    "alignas", "alignof", "and", "asm", "auto", "bool", "break", "case", "catch", "char", "class", "const",
    "constexpr", "continue", "default", "delete", "do", "double", "else", "enum", "explicit", "export", "extern",
    "false", "float", "for", "friend", "goto", "if", "inline", "int", "long", "main", "mutable", "namespace", "new",
    "not", "nullptr", "operator", "or", "private", "protected", "public", "register", "restrict", "return", "short",
    "signed", "sizeof", "static", "struct", "switch", "template", "this", "throw", "true", "try", "typedef", "typeid",
    "typename", "union", "unsigned", "using", "virtual", "void", "volatile", "while", "xor", "td", "memcpy", "memset",
])
# Names of system headers: `<name>.h` goes into a folder that firmware projects put on the include path, where it would
# hide the system's own. C99 and C11, POSIX where plausible, newlib, and the compilers' for Arm.
_HEADERS = frozenset([
    "aio", "alloca", "arm_acle", "arm_fp16", "arm_mve", "arm_neon", "assert", "cmsis_gcc", "complex", "cpio", "ctype",
    "dirent", "dlfcn", "elf", "endian", "envz", "errno", "error", "fcntl", "features", "fenv", "float", "fnmatch",
    "ftw", "getopt", "glob", "grp", "iconv", "inttypes", "iso646", "langinfo", "libgen", "limits", "locale", "malloc",
    "math", "memory", "monetary", "ndbm", "netdb", "newlib", "nl_types", "poll", "process", "pthread", "pwd", "reent",
    "regex", "sched", "search", "semaphore", "setjmp", "signal", "spawn", "stdalign", "stdarg", "stdatomic", "stdbit",
    "stdbool", "stdckdint", "stddef", "stdint", "stdio", "stdlib", "stdnoreturn", "string", "strings", "syslog",
    "tar", "termios", "tgmath", "threads", "time", "trace", "uchar", "ucontext", "ulimit", "unctrl", "unistd",
    "utime", "utmpx", "wchar", "wctype", "wordexp", "xlocale",
])
# Files of these names, whatever their ending, are devices on Windows. Arduino and its libraries have headers of the
# others, and some file systems take `wire.h` for `Wire.h`.
_FILES = frozenset([
    *["aux", "con", "nul", "prn", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))],
    *["arduino", "binary", "client", "eeprom", "ethernet", "ipaddress", "print", "printable", "sd", "server", "servo"],
    *["spi", "stream", "udp", "wifi", "wire", "wiring", "wstring"],
])
# fmt: on
_NAME_LIMIT = 31  # what C99 promises to tell apart in an external identifier


def c_identifier(text: str, fallback: str = "model") -> str:
    """`text` made into a lower-case C identifier: `KWS ref-model.v2` becomes `kws_ref_model_v2`."""
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:_NAME_LIMIT].strip("_")
    if not name:
        return fallback
    if name[0].isdigit() or name in _RESERVED | _HEADERS | _FILES or name.startswith("td_"):
        name = f"m_{name}"[:_NAME_LIMIT].strip("_")
    return name


def require_identifier(text: str) -> str:
    """A name that the user chose for the generated library; raises UsageError unless it can be used as it is."""
    if c_identifier(text) != text:
        raise UsageError(
            f"'{text[:60]}' cannot be the name of a C library",
            hint=f"use lower-case letters, digits and underscores, for example '{c_identifier(text)}'",
        )
    return text


def comment_text(text: str, limit: int = 60) -> str:
    """A name from a model as it may stand in a C comment: letters, digits and a few signs, all else a dot."""
    clean = re.sub(r"[^A-Za-z0-9_:;,/ .-]", ".", text)
    clean = clean.replace("//", "/")
    return clean if len(clean) <= limit else clean[: limit - 3] + "..."
