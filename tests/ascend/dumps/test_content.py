"""What a dump holds, deduced from its size, and the label maps in it."""

import numpy as np
import pytest

from fastscnn_opt.ascend.dumps.content import DumpContent, content_of, read_dump
from fastscnn_opt.ascend.dumps.files import DumpFile, ElementType
from fastscnn_opt.errors import DataError

HEIGHT, WIDTH = 3, 4
PIXELS = HEIGHT * WIDTH
SIZE = (HEIGHT, WIDTH)


def logits_of(labels, dtype):
    """Logits between -1 and 1 with the greatest at the label."""
    logits = np.random.default_rng(0).uniform(-1, 0.5, (19, *labels.shape))
    np.put_along_axis(logits, labels[None].astype(int), 1.0, axis=0)
    return logits.astype(dtype)


@pytest.fixture
def labels():
    return np.random.default_rng(1).integers(0, 19, SIZE, dtype=np.uint8)


def dump(path, *arrays, count=None, capacity=None):
    path.write_bytes(b"".join(array.tobytes() for array in arrays))
    count = len(arrays) if count is None else count
    return DumpFile(path, 0, count, capacity or count)


def read(item, dtype=None):
    return read_dump(item, content_of([item], PIXELS, dtype, 19), SIZE)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_logits_are_known_by_their_size(tmp_path, labels, dtype):
    item = dump(tmp_path / "a_1.bin", logits_of(labels, dtype))
    assert content_of([item], PIXELS, None, 19) == DumpContent(ElementType(dtype), logits=True, classes=19)
    np.testing.assert_array_equal(read(item), labels[None])


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_label_maps_are_known_by_their_size(tmp_path, labels, dtype):
    item = dump(tmp_path / "a_1.bin", labels.astype(dtype))
    assert content_of([item], PIXELS, None, 19) == DumpContent(ElementType(dtype), logits=False, classes=19)
    np.testing.assert_array_equal(read(item), labels[None])


@pytest.mark.parametrize("classes", [2, 300])
def test_the_classes_are_those_of_the_data(tmp_path, classes):
    maps = np.random.default_rng(3).integers(0, classes, SIZE)
    item = dump(tmp_path / "a_1.bin", np.eye(classes, dtype=np.float32)[maps].transpose(2, 0, 1))
    content = DumpContent(ElementType.FLOAT32, logits=True, classes=classes)
    np.testing.assert_array_equal(read_dump(item, content, SIZE), maps[None])
    labels = dump(tmp_path / "b_1.bin", maps.astype(np.int32))
    np.testing.assert_array_equal(read_dump(labels, content_of_labels(classes), SIZE), maps[None])
    with pytest.raises(DataError, match=f"the classes are 0 to {classes - 1}"):
        read_dump(dump(tmp_path / "c_1.bin", np.full(SIZE, classes, np.int32)), content_of_labels(classes), SIZE)


def content_of_labels(classes):
    return DumpContent(ElementType.INT32, logits=False, classes=classes)


def test_of_two_classes_the_size_says_too_little(tmp_path):
    item = dump(tmp_path / "a_1.bin", np.zeros((2, *SIZE), np.float16))
    with pytest.raises(DataError, match="may be float16 logits or int32 label map; say which with --dtype"):
        content_of([item], PIXELS, None, 2)


def test_a_label_map_of_floats_needs_its_type(tmp_path, labels):
    item = dump(tmp_path / "a_1.bin", labels.astype(np.float16))
    with pytest.raises(DataError, match="--dtype"):
        content_of([item], PIXELS, None, 19)
    np.testing.assert_array_equal(read(item, ElementType.FLOAT16), labels[None])


def test_float16_can_be_read_as_int16_as_the_original_script_does(tmp_path, labels):
    # Both orders agree on the greatest value where it is positive.
    np.testing.assert_array_equal(
        read(dump(tmp_path / "a_1.bin", logits_of(labels, np.float16)), ElementType.INT16), labels[None]
    )
    # Of negative values that reading takes the smallest.
    negative = -np.arange(1, 20, dtype=np.float16)[:, None].repeat(PIXELS, axis=1)
    assert (read(dump(tmp_path / "b_1.bin", negative), ElementType.INT16) == 18).all()


@pytest.mark.parametrize("images", [1, 2, 3])
def test_what_follows_the_last_image_of_a_batch_is_padding(tmp_path, labels, images):
    maps = [labels, labels[::-1], labels[:, ::-1]]
    logits = [logits_of(item, np.float32) for item in maps]
    item = dump(tmp_path / "a_1.bin", *logits, count=images, capacity=3)
    content = DumpContent(ElementType.FLOAT32, logits=True, classes=19)
    np.testing.assert_array_equal(read_dump(item, content, SIZE), maps[:images])


def test_a_last_batch_may_be_saved_without_its_padding(tmp_path, labels):
    item = dump(tmp_path / "a_1.bin", logits_of(labels, np.float32), count=1, capacity=4)
    np.testing.assert_array_equal(
        read_dump(item, DumpContent(ElementType.FLOAT32, logits=True, classes=19), SIZE), labels[None]
    )


def test_one_float32_image_may_be_two_of_float16_so_the_type_is_asked_for(tmp_path, labels):
    item = dump(tmp_path / "a_1.bin", logits_of(labels, np.float32), count=1, capacity=2)
    with pytest.raises(DataError, match="--dtype"):
        content_of([item], PIXELS, None, 19)
    assert content_of([item], PIXELS, ElementType.FLOAT32, 19) == DumpContent(
        ElementType.FLOAT32, logits=True, classes=19
    )


def test_truncated_dumps_are_named_with_their_sizes(tmp_path, labels):
    whole = [dump(tmp_path / f"{name}_1.bin", logits_of(labels, np.float32)) for name in "abcd"]
    whole[2].path.write_bytes(b"12345")
    with pytest.raises(DataError, match=r"1 of 4 dumps are truncated.*c_1.bin \(5 bytes\).*912 bytes"):
        content_of(whole, PIXELS, None, 19)


def test_a_size_that_fits_nothing_lists_what_would(tmp_path):
    item = dump(tmp_path / "a_1.bin", np.zeros(7, dtype=np.uint8))
    with pytest.raises(DataError, match=r"7 bytes.*float32 logits 912, float16 logits 456, uint8 label map 12"):
        content_of([item], PIXELS, None, 19)


def test_an_empty_dump_is_refused(tmp_path):
    with pytest.raises(DataError, match="0 bytes"):
        content_of([dump(tmp_path / "a_1.bin", np.zeros(0))], PIXELS, None, 19)


@pytest.mark.parametrize("separator", [" ", "\n", "  \n"])
def test_a_text_holds_numbers_between_blanks(tmp_path, labels, separator):
    (tmp_path / "a_1.txt").write_text(separator.join(f"{value:.6f}" for value in logits_of(labels, np.float64).ravel()))
    np.testing.assert_array_equal(read(DumpFile(tmp_path / "a_1.txt", 0, 1, 1)), labels[None])


def test_a_text_may_hold_a_label_map(tmp_path, labels):
    (tmp_path / "a_1.txt").write_text("\n".join(" ".join(map(str, row)) for row in labels.tolist()))
    np.testing.assert_array_equal(read(DumpFile(tmp_path / "a_1.txt", 0, 1, 1)), labels[None])


@pytest.mark.parametrize("text", ["", "1 2 3", "1 2 three", "1, 2, 3"])
def test_a_text_that_is_cut_off_or_no_list_of_numbers_is_refused(tmp_path, text):
    (tmp_path / "a_1.txt").write_text(text)
    with pytest.raises(DataError, match=r"a_1\.txt"):
        read(DumpFile(tmp_path / "a_1.txt", 0, 1, 1))


def test_an_array_file_brings_its_own_type(tmp_path, labels):
    np.save(tmp_path / "a_0.npy", logits_of(labels, np.float16)[None])
    np.testing.assert_array_equal(read(DumpFile(tmp_path / "a_0.npy", 0, 1, 1)), labels[None])


def test_a_pickle_in_an_array_file_is_not_loaded(tmp_path):
    np.save(tmp_path / "a_0.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="not an array file"):
        read(DumpFile(tmp_path / "a_0.npy", 0, 1, 1))


def test_a_truncated_array_file_is_refused(tmp_path, labels):
    np.save(tmp_path / "a_0.npy", logits_of(labels, np.float32))
    path = tmp_path / "a_0.npy"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="truncated"):
        read(DumpFile(path, 0, 1, 1))


@pytest.mark.parametrize("value", [19, 255])
def test_a_label_map_with_another_class_is_refused(tmp_path, labels, value):
    labels[0, 0] = value
    with pytest.raises(DataError, match=f"to {value}, but the classes are 0 to 18"):
        read(dump(tmp_path / "a_1.bin", labels))


def test_a_label_map_of_fractions_is_refused(tmp_path, labels):
    with pytest.raises(DataError, match="between two classes"):
        read(dump(tmp_path / "a_1.bin", labels.clip(0, 17).astype(np.float32) + 0.5), ElementType.FLOAT32)
