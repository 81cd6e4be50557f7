"""Finding dumps by the names that the tools give them."""

import pytest

from fastscnn_opt.ascend.dumps.files import DumpChoice, DumpFile, Tool, find_dumps
from fastscnn_opt.errors import DataError

NAMES = ("aachen_000000_000019", "ulm_000001_000019", "ulm_000002_000019", "ulm_000003_000019", "ulm_000004_000019")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "dumps"


def touch(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()


def every(pattern, names=NAMES):
    return [pattern.format(name=name) for name in names]


@pytest.mark.parametrize(
    "pattern",
    [
        "{name}_leftImg8bit_1.bin",  # benchmark
        "{name}_leftImg8bit_1.txt",
        "{name}_leftImg8bit_0.bin",  # ais_bench
        "{name}_leftImg8bit_0.npy",
        "{name}_leftImg8bit_output_0.bin",  # msame
        "{name}_0.bin",  # from input files of another name
    ],
)
def test_the_first_output_of_every_tool_is_found(folder, pattern):
    touch(folder, *every(pattern))
    assert [dump.path.name for dump in find_dumps(DumpChoice(folder), NAMES)] == every(pattern)


def test_outputs_count_from_0_whatever_the_tool_writes(folder):
    for number in (1, 2, 3):
        touch(folder, *every(f"{{name}}_leftImg8bit_{number}.bin"))
    assert find_dumps(DumpChoice(folder, output_index=2), NAMES)[0].path.name == f"{NAMES[0]}_leftImg8bit_3.bin"


def test_a_tool_that_is_named_decides_about_the_number(folder):
    touch(folder, *every("{name}_leftImg8bit_1.bin"))
    with pytest.raises(DataError, match="ais_bench left no output 0 there; it has 1"):
        find_dumps(DumpChoice(folder, tool=Tool.AIS_BENCH), NAMES)


def test_an_output_that_was_not_dumped_is_refused_with_those_that_were(folder):
    touch(folder, *every("{name}_leftImg8bit_1.bin"), *every("{name}_leftImg8bit_2.bin"))
    with pytest.raises(DataError, match="no output 2 there; it has 0, 1"):
        find_dumps(DumpChoice(folder, output_index=2), NAMES)


def test_dumps_of_two_tools_need_a_choice(folder):
    touch(folder, *every("{name}_leftImg8bit_0.bin"), *every("{name}_leftImg8bit_output_0.bin"))
    with pytest.raises(DataError, match="--tool"):
        find_dumps(DumpChoice(folder), NAMES)
    chosen = find_dumps(DumpChoice(folder, tool=Tool.MSAME), NAMES)
    assert chosen[0].path.name.endswith("_output_0.bin")


def test_missing_dumps_are_named(folder):
    touch(folder, *every("{name}_leftImg8bit_1.bin", [NAMES[0], NAMES[1], NAMES[4]]))
    with pytest.raises(DataError, match=f"output 0 of 2 out of 5 images is missing: {NAMES[2]}, {NAMES[3]};"):
        find_dumps(DumpChoice(folder), NAMES)


def test_many_missing_dumps_are_counted(folder):
    names = [f"ulm_{index:06}" for index in range(20)]
    touch(folder, f"{names[0]}_1.bin")
    with pytest.raises(DataError, match=r"19 out of 20 .* and 14 more"):
        find_dumps(DumpChoice(folder), names)


def test_files_that_hold_batches_are_named_after_their_first_image(folder):
    touch(folder, *every("{name}_leftImg8bit_output_0.bin", NAMES[::2]))
    found = find_dumps(DumpChoice(folder, batch=2), NAMES)
    assert [(dump.first, dump.count, dump.capacity) for dump in found] == [(0, 2, 2), (2, 2, 2), (4, 1, 2)]


def test_files_that_may_hold_batches_lead_to_the_option(folder):
    touch(folder, *every("{name}_leftImg8bit_output_0.bin", NAMES[::2]))
    with pytest.raises(DataError, match="--batch 2"):
        find_dumps(DumpChoice(folder), NAMES)


def test_a_batch_model_whose_tool_splits_batches_leaves_one_file_per_image(folder):
    touch(folder, *every("{name}_leftImg8bit_1.bin"))
    found = find_dumps(DumpChoice(folder, batch=4), NAMES)
    assert [(dump.first, dump.count, dump.capacity) for dump in found] == [(index, 1, 1) for index in range(5)]


def test_other_files_in_the_folder_do_not_matter(folder):
    touch(folder, *every("{name}_leftImg8bit_1.bin"), "summary.json", "jena_000001_leftImg8bit_0.bin", "x_1.bin")
    assert len(find_dumps(DumpChoice(folder), NAMES)) == 5


def test_binary_files_come_before_texts_of_the_same_output(folder):
    touch(folder, *every("{name}_leftImg8bit_1.bin"), *every("{name}_leftImg8bit_1.txt"))
    assert isinstance(find_dumps(DumpChoice(folder), NAMES)[0], DumpFile)
    assert {dump.path.suffix for dump in find_dumps(DumpChoice(folder), NAMES)} == {".bin"}


def test_the_folder_above_leads_to_the_one_with_the_dumps(folder, tmp_path):
    touch(folder, *every("{name}_leftImg8bit_1.bin"))
    with pytest.raises(DataError, match=f"give {folder}"):
        find_dumps(DumpChoice(tmp_path), NAMES)


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_without_dumps_is_refused(folder, made):
    if made:
        folder.mkdir()
    with pytest.raises(DataError, match="give the"):
        find_dumps(DumpChoice(folder), NAMES)
