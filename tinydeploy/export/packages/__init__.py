"""A generated C library as what build systems take: plain C, PlatformIO, Arduino, Zephyr, ESP-IDF, CMSIS pack.

One folder can be all of these at once: `layout.py` makes what they share, and each of the other modules adds the files
of one form. `package.py` is what a package says of itself, `forms.py` brings all together.
"""

from tinydeploy.export.packages.forms import FORMS, Form, package_files
from tinydeploy.export.packages.package import Package, PackagedModel, package_of

__all__ = ["FORMS", "Form", "Package", "PackagedModel", "package_files", "package_of"]
