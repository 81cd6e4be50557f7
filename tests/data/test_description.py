"""Descriptions of datasets in TOML: presets, what is given beside them, and what can be wrong."""

import numpy as np
import pytest
from cityscapes import CLASSES, LABEL_IDS, PALETTE
from PIL import Image

from fastscnn_opt.data.dataset import Classes
from fastscnn_opt.data.description import read_description
from fastscnn_opt.data.preprocess import IMAGENET, Preprocess, Resize
from fastscnn_opt.data.presets import preset_classes, preset_names, read_preset
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import DataError, ModelError
from fastscnn_opt.model.metadata import Metadata


@pytest.fixture
def described(tmp_path):
    """Write a description and read it: ``described('root = "x"')``."""

    def read(text, heading="[data]\n"):
        file = tmp_path / "own.toml"
        file.write_text(heading + text)
        return read_description(file)

    return read


def test_the_presets_are_those_of_the_documentation():
    assert preset_names() == ("ade20k", "camvid", "camvid32", "cityscapes", "folder", "voc")


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_complete_with_a_root_and_classes(described, name):
    table = described(f'preset = "{name}"\nroot = "x"' + ('\nclasses = ["a", "b"]' if name == "folder" else ""))
    assert table.images
    assert table.masks
    assert table.classes


@pytest.mark.parametrize(("name", "count"), [("ade20k", 150), ("camvid", 11), ("camvid32", 32), ("voc", 21)])
def test_presets_have_as_many_classes_as_their_datasets(name, count):
    classes = preset_classes(name)
    assert len(classes) == len(classes.palette) == count


def test_the_classes_of_cityscapes_are_those_of_its_scripts():
    official = pytest.importorskip("cityscapesscripts.helpers.labels", reason="cityscapesscripts is not installed")
    preset = read_preset("cityscapes")
    evaluated = sorted((label for label in official.labels if not label.ignoreInEval), key=lambda label: label.trainId)
    assert preset["classes"] == [label.name for label in evaluated]
    assert preset["palette"] == [list(label.color) for label in evaluated]
    assert preset["label_map"] == {str(label.id): label.trainId for label in evaluated}
    assert preset["largest_value"] == max(label.id for label in official.labels)


def test_the_colours_of_voc_are_those_of_its_development_kit():
    colours = preset_classes("voc").palette
    assert colours[:3] == ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    assert colours[15] == (192, 128, 128)  # a person
    assert colours[20] == (0, 64, 128)


def test_a_root_without_anything_else_is_a_cityscapes_tree(described, tmp_path):
    table = described('root = "tree"')
    assert table.root == str(tmp_path / "tree")
    assert table.images == read_preset("cityscapes")["images"]
    assert DataSource.of(table, tmp_path / "own.toml").description == {}


def test_patterns_of_ones_own_need_no_preset(described):
    table = described('root = "x"\nimages = "i/*.jpg"\nmasks = "m/*.png"\nclasses = ["a", "b"]')
    assert (table.images, table.masks, table.label_map, table.fallback) == ("i/*.jpg", "m/*.png", {}, None)


def test_what_is_given_beside_a_preset_wins(described):
    table = described('preset = "camvid"\nroot = "x"\nsplit = "val"\nignore_index = 255')
    assert (table.split, table.ignore_index, len(table.classes)) == ("val", 255, 11)


def test_classes_by_the_name_of_a_preset_bring_their_colours(described):
    table = described('preset = "camvid"\nroot = "x"\nclasses = "cityscapes"\nlabel_map = {0 = 10, 3 = 0}')
    assert table.classes == CLASSES
    assert table.palette == tuple(map(tuple, PALETTE.tolist()))
    assert table.label_map == {0: 10, 3: 0}


def test_other_classes_leave_the_colours_of_the_preset(described, tmp_path):
    table = described('preset = "camvid"\nroot = "x"\nclasses = ["a", "b"]')
    assert DataSource.of(table, tmp_path / "own.toml").classes.palette == ((0, 0, 0), (128, 0, 0))


def test_other_classes_leave_what_the_preset_says_of_values(described):
    table = described('preset = "cityscapes"\nroot = "x"\nclasses = ["road", "rest"]')
    assert (table.label_map, table.largest_value, table.fallback) == ({}, None, None)
    assert described('preset = "ade20k"\nroot = "x"\nclasses = ["a"]').reduce_zero_label is False


@pytest.mark.parametrize("more", [[], ["anything else"]])
def test_the_same_classes_and_more_keep_what_the_preset_says_of_values(described, more):
    names = [name.replace(" ", "_").title() for name in CLASSES] + more
    table = described(f'preset = "cityscapes"\nroot = "x"\nclasses = {names}')
    assert table.label_map == {label_id: index for index, label_id in enumerate(LABEL_IDS)}
    assert len(table.classes) == 19 + len(more)


def test_a_label_map_takes_the_place_of_a_reduced_zero_label(described):
    assert not described('preset = "ade20k"\nroot = "x"\nlabel_map = {1 = 0}').reduce_zero_label


def test_a_variants_file_is_a_description_too(described):
    described('root = "x"\n[model]\npath = "m.onnx"\n[[variant]]\nname = "a"')
    with pytest.raises(DataError, match="the table 'data' is missing"):
        described("", heading='[model]\npath = "m.onnx"\n')


def test_other_masks_leave_the_second_kind_of_the_preset(described):
    assert described('root = "x"\nmasks = "own/{split}/*.png"').fallback is None


def test_preprocessing_that_is_not_stated_is_that_of_imagenet(described, tmp_path):
    source = DataSource.of(described('root = "x"'), tmp_path / "own.toml")
    assert source.preprocess_for(Metadata()) == IMAGENET


def test_stated_preprocessing_is_taken_key_by_key(described, tmp_path):
    text = '[data.preprocess]\nimage_mean = [0.5]\nchannel_order = "bgr"\nresize = "stretch"'
    source = DataSource.of(described('root = "x"\n' + text), tmp_path / "own.toml")
    assert source.preprocess_for(Metadata()) == Preprocess(
        image_mean=(0.5,), channel_order="bgr", resize=Resize.STRETCH
    )


def test_classes_that_the_description_does_not_name_are_those_of_the_model(described, tmp_path):
    source = DataSource.of(described('preset = "folder"\nroot = "x"'), tmp_path / "own.toml")
    metadata = Metadata(("soil", "crop", "weed"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)))
    assert source.for_model(metadata).classes == Classes(metadata.names, metadata.palette)


def test_the_colour_of_ignored_pixels_is_no_colour_of_a_class(described, tmp_path):
    text = 'root = "x"\nclasses = ["a", "b"]\npalette = [[1, 1, 1], [2, 2, 2], [3, 3, 3]]\nignore_index = 2'
    source = DataSource.of(described(text), tmp_path / "own.toml")
    assert source.classes == Classes(("a", "b"), ((1, 1, 1), (2, 2, 2)))


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (Metadata(("soil", "soil")), "classes has 'soil' twice"),
        (Metadata(("soil",), ((1, 2, 300),)), "300"),
    ],
)
def test_classes_of_the_model_that_fit_no_dataset_are_refused(described, tmp_path, metadata, words):
    source = DataSource.of(described('preset = "folder"\nroot = "x"'), tmp_path / "own.toml")
    with pytest.raises(ModelError, match=f"the classes that the model names: .*{words}.*; give classes"):
        source.for_model(metadata)


def test_classes_that_nothing_names_are_asked_for(described, tmp_path):
    source = DataSource.of(described('preset = "folder"\nroot = "x"'), tmp_path / "own.toml")
    with pytest.raises(DataError, match="the key 'classes' is missing, and the model names no classes; give it"):
        _ = source.for_model(Metadata()).classes


def test_a_map_beyond_the_classes_of_the_model_is_an_error(described, tmp_path):
    source = DataSource.of(described('preset = "folder"\nroot = "x"\nlabel_map = {7 = 2}'), tmp_path / "own.toml")
    with pytest.raises(DataError, match="label_map maps 7 to class 2, and the classes are 0 to 1"):
        _ = source.for_model(Metadata(("soil", "crop"))).classes


def test_the_model_states_what_the_description_leaves_out(described, tmp_path):
    source = DataSource.of(described('root = "x"\n[data.preprocess]\nimage_mean = [0.1]'), tmp_path / "own.toml")
    carried = Metadata(preprocess={"image_mean": [0.5], "image_std": [0.25], "channel_order": "bgr"})
    expected = Preprocess(image_mean=(0.1,), image_std=(0.25,), channel_order="bgr")
    assert source.preprocess_for(carried) == expected


def test_a_model_with_a_broken_preprocessing_is_refused():
    broken = Metadata(preprocess={"image_std": [0]})
    with pytest.raises(ModelError, match=r"the metadata 'fastscnn_opt\.preprocess': image_std.* export the model"):
        DataSource("x").preprocess_for(broken)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('imges = "a/*"', r"\[data\]: unknown key 'imges'; did you mean 'images'\?"),
        ('preset = "citiscapes"', "unknown preset 'citiscapes'; did you mean 'cityscapes'"),
        ('classes = "camvidd"', "unknown preset 'camvidd'; did you mean 'camvid'"),
        ('classes = "folder"', "the preset 'folder' has no classes; name the classes"),
        ("classes = []", r"classes should be a list of names, or the name of a preset, and is \[\]"),
        ('classes = ["a", "a"]', "classes has 'a' twice"),
        ('images = "/a/*.png"', "images should start from root, and is '/a/"),
        ('images = "a.png"', r"images should have a \* for the name of each image, and is 'a.png'"),
        ("label_map = {3 = 40}", "label_map maps 3 to class 40, and the classes are 0 to 18; name more classes"),
        ("prediction_map = {3 = 19}", "prediction_map maps 3 to class 19, and the classes are 0 to 18"),
        ("label_map = {a = 4}", "label_map: key 'a' should be a valid integer, and is 'a'"),
        ('classes = ["a", "b"]\npalette = [[1, 2, 3]]', "palette has 1 colour, and there are 2 classes"),
        ('classes = ["a"]\npalette = [[1, 2, 3], [4, 5, 6]]', "there are 1 class; .* say ignore_index = 1"),
        ('preset = "voc"\npalette = [[1, 2, 3]]', "palette has 1 colour, and there are 21 classes"),
        ("palette = [[1, 2, 300]]", "palette number 1 number 3 should be at most 255, and is 300"),
        ("ignore_index = 7\nlabel_map = {7 = 0}", "label_map has the value 7, which ignore_index ignores"),
        ("reduce_zero_label = true", "give reduce_zero_label or label_map, not both"),
        ("limit = 0", "limit should be at least 1, and is 0"),
        ('fallback = "x"', r"fallback should be a table, written \[data.fallback\]"),
        ("synthetic = 3", "give either root, a folder, or synthetic, a number of scenes"),
        (
            "[data.preprocess]\nimage_men = [1]",
            r"\[data.preprocess\]: unknown key 'image_men'; did you mean 'image_mean'",
        ),
        ("[data.preprocess]\nimage_mean = [1, 2]", "image_mean should be a list of one number, or of three"),
        ("[data.preprocess]\nimage_std = [1, 0, 1]", "image_std number 2 should be greater than 0, and is 0"),
        ('[data.preprocess]\nresize = "strech"', "resize should be 'none', 'stretch' or 'keep-ratio', and is 'strech'"),
        ('[data.preprocess]\nchannel_order = "gbr"', "channel_order should be 'rgb' or 'bgr', and is 'gbr'"),
        ("[data.preprocess]\nsize = [9, 100000]", "size number 2 should be at most 16384, and is 100000"),
        ("[data.preprocess]\nstride = [2, 2]", "stride goes with window"),
        ('[data.preprocess]\nwindow = [4, 4]\nresize = "stretch"', "a window slides over images of their own size"),
        ("[data.preprocess]\nwindow = [4, 4]\nsize = [8, 8]", "a window slides over images of their own size"),
        ("[data.preprocess]\nstride = [9, 2]\nwindow = [4, 4]", "stride should be at most the window"),
    ],
)
def test_a_wrong_description_is_answered_with_a_sentence_about_the_key(described, text, words):
    with pytest.raises(DataError, match=rf"own\.toml: .*{words}") as error:
        described('root = "x"\n' + text)
    assert "\n" not in str(error.value)
    assert "]: [" not in str(error.value), "the inner heading says it all"


def test_a_description_needs_a_root_or_scenes(described):
    with pytest.raises(DataError, match="give either root"):
        described('split = "val"')


def test_a_table_of_another_name_is_answered_with_the_right_one(described):
    with pytest.raises(DataError, match="unknown key 'dta'; did you mean 'data'"):
        described('root = "x"', heading="[dta]\n")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.toml: the description of the dataset cannot be read \(No such file"):
        DataSource.at(str(tmp_path / "none.toml"))


@pytest.fixture
def folder(tmp_path):
    """A dataset of three images in a layout of its own, with RGB masks and a description."""
    rng = np.random.default_rng(0)
    for kind in ("photos", "truth"):
        (tmp_path / kind).mkdir()
    colours = np.array([(0, 0, 0), (255, 0, 0)], np.uint8)
    for name in "abc":
        Image.fromarray(rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)).save(tmp_path / "photos" / f"{name}.jpg")
        Image.fromarray(colours[rng.integers(0, 2, (4, 6))]).save(tmp_path / "truth" / f"{name}.png")
    (tmp_path / "own.toml").write_text("""
        [data]
        root = "."
        images = "photos/*.jpg"
        masks = "truth/*.png"
        classes = ["rest", "road"]
        palette = [[0, 0, 0], [255, 0, 0]]
        limit = 2
    """)
    return tmp_path


def test_a_description_opens_its_dataset(folder):
    dataset = DataSource.at(str(folder / "own.toml")).open()
    assert dataset.names == ("a", "b")
    assert dataset.classes.names == ("rest", "road")
    red = np.asarray(Image.open(folder / "truth" / "b.png"))[..., 0]
    np.testing.assert_array_equal(dataset.load(1).label, red == 255)


def test_a_limit_on_the_command_line_wins(folder):
    assert len(DataSource.at(str(folder / "own.toml"), limit=1).open()) == 1


def test_other_preprocessing_makes_another_fingerprint(folder):
    file = folder / "own.toml"
    before = DataSource.at(str(file)).fingerprint()
    assert DataSource.at(str(file)).fingerprint() == before
    file.write_text(file.read_text() + '[data.preprocess]\nchannel_order = "bgr"\n')
    assert DataSource.at(str(file)).fingerprint() != before


def test_the_preset_folder_takes_images_and_masks_of_the_same_name(tmp_path):
    for kind, name in (("images", "a.jpg"), ("images", "b.c.png"), ("masks", "a.png"), ("masks", "b.c.png")):
        (tmp_path / kind / "val").mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(tmp_path / kind / "val" / name)
    (tmp_path / "own.toml").write_text('[data]\npreset = "folder"\nroot = "."\nclasses = ["a"]\n')
    assert DataSource.at(str(tmp_path / "own.toml")).open().names == ("a", "b.c")
