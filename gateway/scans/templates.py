"""The templates of linear barcodes: a centre's own out of a directory, then the product's.

Read once, when a process starts: a bad descriptor is told to whoever starts it.
"""

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Final

from gateway.scans.barcodes import Reading, Template, TemplateMisfit, read_template
from gateway.storage.descriptors import read_own

BUILT_IN: Final = ("sber", "tomsk")


class Templates:
    """Templates in the order in which they are tried."""

    def __init__(self, templates: Iterable[Template]) -> None:
        self._all = tuple(templates)

    def read(self, code: str, symbology: str | None = None) -> Reading | None:
        """What the first template that fits reads in a code; None where none fits."""
        for template in self._all:
            reading = template.read(code, symbology)
            if reading is not None:
                return reading
        return None


def built_in() -> list[Template]:
    """The product's own templates."""
    folder = resources.files(__package__).joinpath("built_in")
    return [read_template(folder.joinpath(f"{name}.toml").read_bytes()) for name in BUILT_IN]


def load(directory: Path | None) -> Templates:
    """The templates of `directory`, a TOML file each, before the product's; raises StartRefused."""
    ours = built_in()
    if directory is None:
        return Templates(ours)
    taken = {template.name for template in ours}

    def read(content: bytes) -> Template:
        template = read_template(content)
        if template.name in taken:
            raise TemplateMisfit(f"Expected another name than {template.name}, which is taken")
        taken.add(template.name)
        return template

    return Templates([*read_own(directory, "template", read, TemplateMisfit), *ours])
