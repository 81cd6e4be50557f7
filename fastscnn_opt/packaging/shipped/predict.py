"""Turn images into label maps and coloured pictures: python predict.py IMAGE_OR_FOLDER ... -o DIR."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from segmenter import Segmenter

FOLDER = Path(__file__).resolve().parent
FORMATS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def main() -> int:
    """Run the command, and return its exit code."""
    parser = argparse.ArgumentParser(description="Turn images into label maps and coloured pictures.")
    parser.add_argument("images", nargs="*", type=Path, metavar="IMAGE_OR_FOLDER")
    parser.add_argument("-o", "--output", type=Path, default=Path("predictions"), metavar="DIR")
    parser.add_argument("--check", action="store_true", help="compare the labels of the example on this machine")
    given = parser.parse_args()
    segmenter = Segmenter(FOLDER)
    if given.check:
        return check(segmenter)
    files = files_in(given.images)
    if not files:
        parser.error("give images or folders with images, or --check")
    if len({file.stem for file in files}) < len(files):
        parser.error("two images have the same name without its suffix, so one would replace the other")
    for file in files:
        try:
            labels = segmenter.label_map(read_image(file))
        except (OSError, ValueError) as error:
            sys.exit(f"{file}: {error}")
        write(labels, given.output / "labels" / f"{file.stem}.png")
        write(coloured(labels, segmenter), given.output / "colours" / f"{file.stem}.png")
    return 0


def check(segmenter: Segmenter) -> int:
    """Compare the labels of the example with those of this machine; return 0 if they are equal."""
    expected = np.asarray(Image.open(FOLDER / "example" / "labels.png"))
    different = np.count_nonzero(segmenter.label_map(read_image(FOLDER / "example" / "image.png")) != expected)
    print(f"{different} of {expected.size} pixels differ" if different else f"equal: all {expected.size} pixels")
    return int(different > 0)


def files_in(places: Sequence[Path]) -> list[Path]:
    """Return the images among files and folders."""
    images: list[Path] = []
    for place in places:
        inside = sorted(place.iterdir()) if place.is_dir() else []
        images += [file for file in inside if file.suffix.lower() in FORMATS] if place.is_dir() else [place]
    return images


def read_image(file: Path) -> NDArray[np.uint8]:
    """Return an image as H, W, 3, RGB, turned upright as its EXIF orientation tells."""
    with Image.open(file) as image:
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"pixels of the kind {image.mode}; convert them to 8 bits")
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def coloured(labels: NDArray[np.integer], segmenter: Segmenter) -> NDArray[np.uint8]:
    """Return a label map in the colours of its classes (H, W, 3)."""
    palette = [*segmenter.config["palette"], segmenter.config["other_colour"]]
    picture: NDArray[np.uint8] = np.array(palette, np.uint8)[np.minimum(labels, len(palette) - 1)]
    return picture


def write(pixels: NDArray[np.integer], file: Path) -> None:
    """Write a label map, of 8 bits where that is enough, or a picture."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8 if pixels.max() < 256 else np.uint16)).save(file)


if __name__ == "__main__":
    sys.exit(main())
