"""How a user names a dataset."""

import dataclasses

import pytest

from fastscnn_opt.data.source import DataSource, open_dataset
from fastscnn_opt.errors import DataError


@pytest.mark.parametrize("both", [{}, {"root": "a", "synthetic": 1}])
def test_exactly_one_source_is_named(both):
    with pytest.raises(DataError, match="either"):
        DataSource(**both)


@pytest.mark.parametrize(
    "wrong",
    [
        {"synthetic": 0},
        {"synthetic": 1, "limit": 0},
        {"synthetic": 1, "seed": -1},
        {"synthetic": 10**12},
        {"root": ".", "limit": 10**30},
        {"synthetic": 1, "seed": 2**32},
    ],
)
def test_numbers_that_make_no_dataset_are_refused(wrong):
    with pytest.raises(DataError, match=r"use|ask|lower"):
        DataSource(**wrong)


def test_scenes_are_counted_from_the_seed():
    dataset = DataSource(synthetic=5, seed=3, limit=2).open(scene_size=(32, 64))
    assert dataset.names == ("scene_000003", "scene_000004")
    assert dataset.size == (32, 64)


def test_scenes_have_the_size_of_cityscapes_by_default():
    assert DataSource(synthetic=1).open().size == (1024, 2048)


def test_a_root_opens_its_split(tmp_path, add_pair):
    add_pair(split="train")
    assert DataSource(root=str(tmp_path), split="train").open().names == ("ulm_000000_000019",)


def test_fingerprints_tell_choices_apart(tmp_path, add_pair):
    add_pair("ulm_000000_000019")
    add_pair("ulm_000001_000019")
    root = str(tmp_path)
    sources = [
        DataSource(root=root),
        DataSource(root=root, limit=1),
        DataSource(synthetic=2),
        DataSource(synthetic=3),
        DataSource(synthetic=2, seed=1),
    ]
    assert len({source.fingerprint() for source in sources}) == len(sources)
    assert sources[0].fingerprint() == DataSource(root=root, limit=2).fingerprint()


@pytest.mark.parametrize("source", [DataSource(synthetic=9, seed=3, limit=5), None])
def test_parts_are_the_images_in_their_order(source, tmp_path, add_pair):
    for number in range(5):
        add_pair(f"ulm_00000{number}_000019")
    source = source or DataSource(root=str(tmp_path), limit=5)
    parts = [part.open().names for part in source.parts(2)]
    assert [len(names) for names in parts] == [2, 2, 1]
    assert sum(parts, ()) == source.open().names


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (DataSource(root="a/b", limit=3), "a/b, val, first 3"),
        (DataSource(root="a/b", split="train"), "a/b, train"),
        (DataSource(synthetic=4, seed=2), "4 synthetic scenes from seed 2"),
    ],
)
def test_a_source_describes_itself(source, text):
    assert source.describe() == text


def test_a_source_survives_being_a_dictionary():
    source = DataSource(synthetic=4, seed=2, limit=1)
    assert DataSource(**dataclasses.asdict(source)) == source


def test_a_toml_file_as_the_root_is_refused_with_what_reads_it(tmp_path):
    (tmp_path / "own.toml").touch()
    with pytest.raises(
        DataError, match=r"own\.toml: is a file, not the folder of a dataset; .* DataSource\.at and --data"
    ):
        DataSource(root=str(tmp_path / "own.toml")).open()


def test_a_source_is_opened_with_another_limit(tmp_path, add_pair):
    for name in ("bonn_000000_000001", "bonn_000000_000002"):
        add_pair(name)
    assert len(open_dataset(tmp_path)) == 2
    assert len(open_dataset(DataSource.at(tmp_path), limit=1)) == 1


@pytest.mark.parametrize(
    ("given", "limit"), [({"root": "a"}, 8), ({"root": "a", "limit": 3}, 3), ({"synthetic": 20}, None)]
)
def test_a_comparison_takes_few_images_where_nothing_says_how_many(given, limit):
    assert DataSource(**given).few().limit == limit
