"""Preparing a folder: what the files hold, and that a run can stop anywhere and go on."""

import hashlib
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from cityscapes import LABEL_IDS
from PIL import Image

from fastscnn_opt.ascend.prepare import binary
from fastscnn_opt.ascend.prepare import plan as planning
from fastscnn_opt.ascend.prepare.binary import encode_image, encode_label
from fastscnn_opt.ascend.prepare.folder import read_manifest
from fastscnn_opt.ascend.prepare.plan import plan
from fastscnn_opt.ascend.prepare.request import ImageType, Request
from fastscnn_opt.data import folder
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import DataError

HEIGHT, WIDTH = 4, 6
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def prepare(request, on_image=None):
    return binary.prepare(plan(request), on_image)


def write_pair(root, city, stem, seed):
    rng = np.random.default_rng(seed)
    for kind, suffix, pixels in (
        ("leftImg8bit", "leftImg8bit", rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)),
        ("gtFine", "gtFine_labelIds", rng.integers(0, 34, (HEIGHT, WIDTH), dtype=np.uint8)),
    ):
        folder = root / kind / "val" / city
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{stem}_{suffix}.png")


@pytest.fixture
def tree(tmp_path):
    for index in range(3):
        write_pair(tmp_path / "tree", "ulm", f"ulm_00000{index}_000019", index)
    return tmp_path / "tree"


@pytest.fixture
def request_(tree, tmp_path):
    return Request(DataSource(str(tree)), tmp_path / "out")


def image_of(tree, stem):
    return np.asarray(Image.open(tree / "leftImg8bit/val/ulm" / f"{stem}_leftImg8bit.png"))


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.bin")}


def test_an_image_file_is_the_normalised_image_in_nchw(request_, tree):
    prepare(request_)
    stem = "ulm_000001_000019"
    values = np.fromfile(request_.root / f"leftImg8bit/{stem}_leftImg8bit.bin", dtype="<f4").reshape(3, HEIGHT, WIDTH)
    expected = (image_of(tree, stem) / 255 - MEAN) / STD
    np.testing.assert_allclose(values, expected.transpose(2, 0, 1), rtol=1e-6)


def test_a_label_file_is_float32_train_ids_with_minus_one_for_ignored(request_, tree):
    prepare(request_)
    ids = np.asarray(Image.open(tree / "gtFine/val/ulm/ulm_000000_000019_gtFine_labelIds.png"))
    expected = [[LABEL_IDS.index(value) if value in LABEL_IDS else -1 for value in row] for row in ids.tolist()]
    values = np.fromfile(request_.root / "gtFine/ulm_000000_000019_gtFine_labelIds.bin", dtype="<f4")
    np.testing.assert_array_equal(values.reshape(HEIGHT, WIDTH), expected)


def test_an_image_of_type_uint8_is_raw_rgb_in_nhwc(request_, tree):
    prepare(replace(request_, dtype=ImageType.UINT8))
    values = np.fromfile(request_.root / "leftImg8bit/ulm_000002_000019_leftImg8bit.bin", dtype=np.uint8)
    np.testing.assert_array_equal(values.reshape(HEIGHT, WIDTH, 3), image_of(tree, "ulm_000002_000019"))


def test_full_size_files_have_the_sizes_of_the_recipe():
    image = np.zeros((1024, 2048, 3), dtype=np.uint8)
    assert len(encode_image(image, ImageType.FLOAT32)) == 25_165_824
    assert len(encode_label(image[..., 0], 19)) == 1024 * 2048 * 4


def test_the_info_file_lists_index_path_width_height(request_):
    prepare(request_)
    lines = (request_.root / "fast_scnn_prep_bin.info").read_text().splitlines()
    paths = [f"{request_.root}/leftImg8bit/ulm_00000{index}_000019_leftImg8bit.bin" for index in range(3)]
    assert lines == [f"{index} {path} {WIDTH} {HEIGHT}" for index, path in enumerate(paths)]


def test_the_info_file_names_the_images_as_the_folder_was_given(tree, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepare(Request(DataSource(str(tree), limit=1), tmp_path.relative_to(tmp_path) / "out"))
    assert (tmp_path / "out/fast_scnn_prep_bin.info").read_text().split()[1].startswith("out/leftImg8bit/")


def test_the_manifest_has_size_and_sha256_of_every_file(request_):
    prepare(request_)
    listed = {
        record["file"]: (record["size"], record["sha256"])
        for entry in json.loads((request_.root / "manifest.json").read_text())["images"]
        for record in (entry["image"], entry["label"])
    }
    there = {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in contents(request_.root).items()}
    assert listed == there


def test_a_second_run_leaves_finished_files_alone(request_):
    prepare(request_)
    before = {path: path.stat().st_mtime_ns for path in request_.root.rglob("*.bin")}
    assert prepare(request_).pending == ()
    assert {path: path.stat().st_mtime_ns for path in request_.root.rglob("*.bin")} == before


@pytest.mark.parametrize("stop_after", [0, 1, 2])
def test_an_interrupted_run_is_finished_by_the_next(request_, stop_after, tmp_path):
    done = []

    def interrupt(count):
        done.extend([1] * count)
        if len(done) >= stop_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(request_, interrupt)
    assert not list(request_.root.rglob("*.part"))
    assert len(plan(request_).finished) == stop_after
    prepare(request_)
    whole = replace(request_, root=tmp_path / "whole")
    prepare(whole)
    assert contents(request_.root) == contents(whole.root)


@pytest.fixture
def read_files(monkeypatch):
    """The files of the dataset and of the folder that were read to hash them, in order."""
    files = []
    for module, name in ((folder, "_content_hash"), (planning, "sha256_of")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda file, real=real: files.append(file) or real(file))
    return files


def test_every_file_of_the_dataset_is_hashed_once(request_, tree, read_files):
    prepare(request_)
    assert sorted(read_files) == sorted(tree.rglob("*.png"))


def test_only_what_another_limit_had_prepared_is_hashed_again(request_, tree, read_files):
    prepare(replace(request_, source=replace(request_.source, limit=1)))
    read_files.clear()
    prepare(request_)
    first = [file for file in tree.rglob("*.png") if "000000" in file.name]
    assert sorted(read_files) == sorted([*tree.rglob("*.png"), *first])  # what was prepared has a hash of its own


def test_verify_reads_every_finished_file_once(request_, read_files):
    prepare(request_)
    read_files.clear()
    prepare(replace(request_, verify=True))
    finished = [file for file in read_files if file.suffix == ".bin"]
    assert sorted(finished) == sorted(request_.root.rglob("*.bin"))


def test_a_truncated_file_is_written_again(request_):
    prepare(request_)
    path = request_.root / "leftImg8bit/ulm_000001_000019_leftImg8bit.bin"
    data = path.read_bytes()
    path.write_bytes(data[:-4])
    assert prepare(request_).pending == (1,)
    assert path.read_bytes() == data


def test_verify_finds_a_file_of_the_right_size_with_other_content(request_):
    prepare(request_)
    path = request_.root / "gtFine/ulm_000002_000019_gtFine_labelIds.bin"
    data = path.read_bytes()
    path.write_bytes(bytes(len(data)))
    assert prepare(request_).pending == ()
    assert prepare(replace(request_, verify=True)).pending == (2,)
    assert path.read_bytes() == data


def test_parts_of_a_killed_run_are_removed(request_):
    prepare(request_)
    part = request_.root / "leftImg8bit/.ulm_000001_000019_leftImg8bit.bin.x.part"
    part.write_bytes(b"half")
    prepare(request_)
    assert not part.exists()


def test_a_larger_limit_adds_images_to_the_folder(request_):
    source = request_.source
    prepare(replace(request_, source=replace(source, limit=1)))
    assert prepare(request_).pending == (1, 2)
    assert read_manifest(request_.root).count == 3


def test_a_smaller_limit_is_refused_because_the_folder_holds_more(request_):
    prepare(request_)
    with pytest.raises(DataError, match="holds 3 images, not only the 1 asked for"):
        plan(replace(request_, source=replace(request_.source, limit=1)))


def test_a_folder_of_another_dataset_is_refused_and_untouched(request_, tmp_path):
    prepare(request_)
    before = contents(request_.root)
    write_pair(tmp_path / "other", "ulm", "ulm_000009_000019", 9)
    with pytest.raises(DataError, match=r"another dataset.*--force"):
        prepare(replace(request_, source=DataSource(str(tmp_path / "other"))))
    assert contents(request_.root) == before


def test_force_replaces_the_files_of_another_dataset(request_, tmp_path):
    prepare(request_)
    write_pair(tmp_path / "other", "ulm", "ulm_000009_000019", 9)
    prepare(replace(request_, source=DataSource(str(tmp_path / "other")), force=True))
    assert {name.rpartition("/")[2][:10] for name in contents(request_.root)} == {"ulm_000009"}


def test_a_changed_image_makes_it_another_dataset(request_, tree):
    prepare(request_)
    image = tree / "leftImg8bit/val/ulm/ulm_000000_000019_leftImg8bit.png"
    image.write_bytes(image.read_bytes() + b" ")
    with pytest.raises(DataError, match="files of it have changed"):
        plan(request_)


def test_another_type_is_refused(request_):
    prepare(request_)
    with pytest.raises(DataError, match="was prepared as float32, not uint8"):
        plan(replace(request_, dtype=ImageType.UINT8))


def test_the_dataset_itself_is_no_place_for_the_files(request_, tree):
    with pytest.raises(DataError, match="not made by `prepare`"):
        prepare(replace(request_, root=tree, force=True))


def test_a_blank_in_the_folder_is_refused_since_the_info_file_is_split_there(request_, tmp_path):
    with pytest.raises(DataError, match="blank"):
        prepare(replace(request_, root=tmp_path / "with blank"))
    assert not (tmp_path / "with blank").exists()


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(request_, monkeypatch):
    monkeypatch.setattr("fastscnn_opt.ascend.prepare.plan.shutil.disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(DataError, match="free"):
        prepare(request_)
    assert not request_.root.exists()


def test_a_second_process_is_told_to_wait(request_):
    from filelock import FileLock

    request_.root.mkdir()
    with FileLock(request_.root / ".lock"), pytest.raises(DataError, match="another process"):
        prepare(request_)


def test_a_full_disk_names_the_file_and_keeps_what_is_finished(request_, monkeypatch):
    write = binary.write_atomically

    def full(path, content):
        if "ulm_000002" in path.name:
            raise OSError(28, "No space left on device")
        write(path, content)

    monkeypatch.setattr(binary, "write_atomically", full)
    with pytest.raises(DataError, match=r"ulm_000002.*No space left"):
        prepare(request_)
    assert len(read_manifest(request_.root).images) == 2


def test_a_damaged_manifest_is_refused(request_):
    prepare(request_)
    (request_.root / "manifest.json").write_text('{"schema_version": 1}')
    with pytest.raises(DataError, match="manifest"):
        plan(request_)


def test_the_plan_counts_bytes(request_):
    prepare(replace(request_, source=replace(request_.source, limit=1)))
    work = plan(request_)
    assert (work.image_bytes, work.label_bytes) == (HEIGHT * WIDTH * 12, HEIGHT * WIDTH * 4)
    assert (work.total_bytes, work.needed_bytes) == (3 * HEIGHT * WIDTH * 16, 2 * HEIGHT * WIDTH * 16)


def test_images_of_several_sizes_are_refused_with_the_name(request_, tree):
    file = tree / "leftImg8bit/val/ulm/ulm_000001_000019_leftImg8bit.png"
    for path in (file, tree / "gtFine/val/ulm/ulm_000001_000019_gtFine_labelIds.png"):
        Image.open(path).crop((0, 0, WIDTH - 1, HEIGHT)).save(path)
    with pytest.raises(DataError, match=r"ulm_000001_000019: 5 x 4 \(width x height\), but the first image is 6 x 4"):
        prepare(request_)


@pytest.fixture
def described(tmp_path):
    """A description of two images with their masks; ``described(text)`` adds to its ``[data.preprocess]``."""
    rng = np.random.default_rng(4)
    for place, kind, high, shape in (("i/a", "one", 256, (4, 6, 3)), ("i/b", "two", 256, (4, 6, 3)),
                                      ("m/a", "one", 3, (4, 6)), ("m/b", "two", 3, (4, 6))):  # fmt: skip
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, high, shape, dtype=np.uint8)).save(tmp_path / place / f"{kind}.png")

    def source(text=""):
        (tmp_path / "own.toml").write_text(f"""
            [data]
            root = "."
            images = "i/*.png"
            masks = "m/*.png"
            classes = ["a", "b"]
            ignore_index = 2

            [data.preprocess]
            image_mean = [10, 20, 30]
            image_std = [2, 4, 8]
            rescale_factor = 1.0
            channel_order = "bgr"
            {text}
        """)
        return DataSource.at(str(tmp_path / "own.toml"))

    return source


def test_described_images_are_normalised_as_described(described, tmp_path):
    prepare(Request(described(), tmp_path / "out"))
    values = np.fromfile(tmp_path / "out/leftImg8bit/one_leftImg8bit.bin", "<f4").reshape(3, 4, 6)
    bgr = np.asarray(Image.open(tmp_path / "i/a/one.png"))[..., ::-1]
    np.testing.assert_allclose(values, ((bgr - np.array([10.0, 20, 30])) / [2, 4, 8]).transpose(2, 0, 1), rtol=1e-6)
    prepare(Request(described(), tmp_path / "bytes", ImageType.UINT8))
    raw = np.fromfile(tmp_path / "bytes/leftImg8bit/one_leftImg8bit.bin", np.uint8)
    np.testing.assert_array_equal(raw.reshape(4, 6, 3), bgr)


def test_described_labels_are_the_classes_of_the_description(described, tmp_path):
    prepare(Request(described(), tmp_path / "out"))
    values = np.fromfile(tmp_path / "out/gtFine/one_gtFine_labelIds.bin", "<f4").reshape(4, 6)
    mask = np.asarray(Image.open(tmp_path / "m/a/one.png")).astype(int)
    np.testing.assert_array_equal(values, np.where(mask == 2, -1, mask))
    assert read_manifest(tmp_path / "out").classes == ("a", "b")


def test_another_description_is_another_dataset(described, tmp_path):
    prepare(Request(described(), tmp_path / "out"))
    with pytest.raises(DataError, match="was prepared from another dataset"):
        prepare(Request(described("pad_value = 3"), tmp_path / "out"))


@pytest.mark.parametrize(("text", "key"), [('resize = "stretch"', "resize"), ("window = [2, 2]", "window")])
def test_images_that_would_get_another_size_are_refused(described, tmp_path, text, key):
    words = rf"own\.toml: \[data\.preprocess\]: {key} is stated, but .* size of the images; leave {key} out, and give"
    with pytest.raises(DataError, match=words):
        prepare(Request(described(text), tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_two_images_of_one_name_are_refused(described, tmp_path):
    for place in ("i", "m"):
        (tmp_path / place / "b" / "two.png").rename(tmp_path / place / "b" / "one.png")
    with pytest.raises(DataError, match="1 name of images are there twice, such as one; rename"):
        prepare(Request(described(), tmp_path / "out"))
