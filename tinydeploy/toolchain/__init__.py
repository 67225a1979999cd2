"""Builds an image from C: two interchangeable toolchains, one linker script made from the board, one object cache.

`types.py` has `Toolchain` and `Image`; `gcc.py` and `zig.py` say how each compiler is called; `driver.py` does what is
the same for both; `linker.py` writes the script and reads the linker's refusals; `cache.py` keeps objects.
"""

from tinydeploy.toolchain.find import TOOLCHAINS, find_toolchain
from tinydeploy.toolchain.types import ArenaPart, CxxLibrary, Image, ImageSymbol, Toolchain

__all__ = ["TOOLCHAINS", "ArenaPart", "CxxLibrary", "Image", "ImageSymbol", "Toolchain", "find_toolchain"]
