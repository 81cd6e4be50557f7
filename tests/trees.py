"""Looks into the operator sources of a toolkit, for the tests that patch them."""

from collections.abc import Callable
from pathlib import Path

from fastscnn_opt.ascend.whitelists.patchfile import Patch, WhiteListEntry

MakeTree = Callable[..., Path]
KilledBefore = Callable[[int, Callable[[], object]], bool]
FILES = ("five_2_four.py", "four_2_five.py")


def contents(impl: Path) -> dict[str, bytes]:
    """Return every file of a tree, and where every link goes, the record of patches included."""
    return {
        str(path.relative_to(impl)): str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        for path in impl.rglob("*")
        if path.is_file() or path.is_symlink()
    }


def sources(impl: Path) -> dict[str, bytes]:
    """Return the content of the files that the recipe patches."""
    return {file: (impl / file).read_bytes() for file in FILES}


def one_shape(name: str, shape: tuple[int, ...], recipe: Patch, file: str = "five_2_four.py") -> Patch:
    """Return a patch that lists one shape, in the first statement of a file that the recipe patches."""
    edit = recipe.edits_of(file)[0].model_copy(update={"entries": (WhiteListEntry(shape=shape, why="test"),)})
    return recipe.model_copy(update={"name": name, "edits": (edit,)})
