"""The layouts there are: those of the product, and a centre's own out of a directory.

Read once, when a process starts: a bad descriptor is told to whoever starts it.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Final

from gateway.acquirer_reports.layout import AUTO, Layout, LayoutMisfit, read_layout
from gateway.domain.refusals import Refusal
from gateway.storage.descriptors import read_own

# In the order in which `auto` tries them.
BUILT_IN: Final = ("sber12", "sber15", "sber15_early", "qiwi", "gorod", "post")


class Layouts:
    """Layouts by the name of their format, in the order in which `auto` tries them."""

    def __init__(self, layouts: Iterable[Layout]) -> None:
        self._all = tuple(layouts)
        self._named: dict[str, list[Layout]] = {}
        for layout in self._all:
            self._named.setdefault(layout.format, []).append(layout)

    @property
    def named(self) -> Mapping[str, Sequence[Layout]]:
        """The layouts of each format."""
        return self._named

    def of(self, format_name: str) -> Sequence[Layout]:
        """The layouts of a format, all of them for `auto`; Refusal malformed."""
        if format_name == AUTO:
            return self._all
        if format_name not in self._named:
            raise Refusal("malformed", "Expected format auto or one that is known")
        return self._named[format_name]


def built_in() -> list[Layout]:
    """The product's own layouts."""
    folder = resources.files(__package__).joinpath("built_in")
    return [read_layout(folder.joinpath(f"{name}.toml").read_bytes()) for name in BUILT_IN]


def load(directory: Path | None) -> Layouts:
    """The product's layouts and those of `directory`, a TOML file each; raises StartRefused."""
    layouts = built_in()
    if directory is None:
        return Layouts(layouts)
    taken = {layout.format for layout in layouts}

    def read(content: bytes) -> Layout:
        layout = read_layout(content)
        if layout.format in taken:
            raise LayoutMisfit(f"Expected another format than the product's {layout.format}")
        return layout

    return Layouts([*layouts, *read_own(directory, "layout", read, LayoutMisfit)])
