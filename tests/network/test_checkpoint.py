import builtins
import pickle
import re
import tarfile
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from fastscnn_opt.errors import CheckpointError
from fastscnn_opt.network.checkpoint import load_checkpoint
from fastscnn_opt.network.layout import expected_entries
from fastscnn_opt.network.layouts import LAYOUTS, MMSEGMENTATION, PADDLESEG, SEGMENTRON, TRAMAC

torch = pytest.importorskip("torch", reason="checkpoints need torch")


class Hostile:
    """Runs a command when it is unpickled by anything that trusts it."""

    def __reduce__(self):
        return exec, ("raise SystemExit('the checkpoint ran code')",)


@pytest.mark.parametrize("layout", [SEGMENTRON, TRAMAC, MMSEGMENTATION], ids=str)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"epoch": 3, "state_dict": state, "optimizer": {}, "lr_scheduler": None},
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {"state_dict": {f"module.{key}": value for key, value in state.items()}},
        lambda state: {"model": {"state_dict": {f"net.{key}": value for key, value in state.items()}}, "epoch": 1},
        lambda state: {"model_state_dict": {f"module.model.{key}": value for key, value in state.items()}},
    ],
    ids=["bare", "with state_dict", "DataParallel", "both", "nested", "two prefixes"],
)
def test_every_published_form_is_read(write_checkpoint, layout, wrap):
    found = load_checkpoint(write_checkpoint(layout, wrap=wrap))
    shapes = {key: value.shape for key, value in found.weights.items()}
    assert (found.layout, found.heads, shapes) == (layout, layout.heads, expected_entries(layout, 19, layout.heads))


def test_auxiliary_heads_may_be_absent(write_checkpoint):
    found = load_checkpoint(write_checkpoint(SEGMENTRON, heads=()))
    assert (found.layout, found.heads, len(found.weights)) == (SEGMENTRON, (), 268)


def test_the_old_file_format_is_read(write_checkpoint):
    path = write_checkpoint(TRAMAC, heads=())
    torch.save(torch.load(path, weights_only=True), path, _use_new_zipfile_serialization=False)
    assert load_checkpoint(path).layout is TRAMAC


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("classes", [1, 2, 150])
def test_the_number_of_classes_is_read(write_checkpoint, layout, classes):
    assert load_checkpoint(write_checkpoint(layout, classes=classes)).classes == classes


def paddle_file(tmp_path, state, protocol=4):
    path = tmp_path / "model.pdparams"
    path.write_bytes(pickle.dumps(state, protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: OrderedDict(state) | {"StructuredToParameterName@@": {"a": "conv2d_0.w_0"}},
        lambda state: {key: Pair(key, value) for key, value in state.items()},
        lambda state: {key: np.asfortranarray(value) for key, value in state.items()},
        lambda state: {key: value.astype(">f8") for key, value in state.items()},
    ],
    ids=["arrays", "with other names", "of newer versions", "columns first", "of another machine"],
)
def test_a_pickle_of_arrays_is_read_without_torch(tmp_path, random_state, monkeypatch, protocol, wrap):
    without_torch(monkeypatch)
    state = random_state(PADDLESEG, PADDLESEG.heads)
    found = load_checkpoint(paddle_file(tmp_path, wrap(state), protocol))
    assert (found.layout, found.heads, found.weights.keys()) == (PADDLESEG, PADDLESEG.heads, state.keys())
    for key, value in state.items():
        np.testing.assert_array_equal(found.weights[key], value)


class Pair:
    """A tensor as paddle.save writes it since version 2.1."""

    def __init__(self, name, value):
        self.content = (name, value)

    def __reduce__(self):
        return tuple, (self.content,)


def without_torch(monkeypatch):
    real_import = builtins.__import__

    def guarded(name, *rest):
        if name == "torch":
            raise ModuleNotFoundError(name)
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", guarded)


CLASSES = ["road", "car"]
PALETTE = [[128, 64, 128], [0, 0, 142]]


@pytest.mark.parametrize(
    ("meta", "names", "palette"),
    [
        ({"CLASSES": tuple(CLASSES), "PALETTE": PALETTE}, CLASSES, PALETTE),
        ({"dataset_meta": {"classes": CLASSES, "palette": PALETTE}}, CLASSES, PALETTE),
        ({"CLASSES": CLASSES, "PALETTE": None}, CLASSES, []),
        ({"CLASSES": [*CLASSES, "bus"], "PALETTE": [[0, 0, 256], [0, 0, 0]]}, [], []),
        ({"CLASSES": "ab", "PALETTE": [[1, 2], [3, 4]]}, [], []),
        ({"CLASSES": [1, 2]}, [], []),
        ({}, [], []),
        (3, [], []),
    ],
)
def test_classes_of_mmsegmentation_are_read_if_there_is_one_for_each(write_checkpoint, meta, names, palette):
    found = load_checkpoint(
        write_checkpoint(MMSEGMENTATION, classes=2, wrap=lambda state: {"meta": meta, "state_dict": state})
    )
    assert (list(found.names), [list(colour) for colour in found.palette]) == (names, palette)


def refused(path):
    """Load a bad checkpoint and return what the user reads, which must name the file and be one line."""
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_a_missing_file_is_named(tmp_path):
    assert "No such file" in refused(tmp_path / "absent.pth")


def test_a_folder_is_refused(tmp_path):
    assert "directory" in refused(tmp_path).lower()


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x02", b"PK\x03\x04", bytes(range(256)) * 8])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "bad.pth"
    path.write_bytes(content)
    assert "not a checkpoint written by torch.save or paddle.save" in refused(path)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
def test_a_truncated_checkpoint_is_refused(write_checkpoint, share):
    path = write_checkpoint()
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "truncated" in refused(path)


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value, protocol=2))])
def test_a_hostile_pickle_does_not_run(tmp_path, save):
    path = tmp_path / "hostile.pth"
    save({"state_dict": Hostile()}, path)
    assert "exec" in refused(path)


def test_an_archive_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("fastscnn_opt.network.unpickling.MOST_BYTES", 1 << 20)
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes((1 << 20) + 1))
    assert path.stat().st_size < 1 << 12
    with pytest.raises(CheckpointError, match=r"bomb.pth: unpacks to 0\.0 GiB, which no FastSCNN needs"):
        load_checkpoint(path)


@pytest.mark.parametrize("protocol", range(6))
def test_a_hostile_pickle_of_any_protocol_does_not_run(tmp_path, protocol):
    path = tmp_path / "hostile.pth"
    path.write_bytes(pickle.dumps({"a": np.ones(3), "b": Hostile()}, protocol))
    assert "exec' and not only read tensors; save model.state_dict() alone" in refused(path)


@pytest.mark.parametrize("content", [np.ones(2, "O"), np.ones(2, "S8"), np.ones(2, [("a", "f4")]), np.ones(2, "c8")])
def test_arrays_of_other_values_than_numbers_are_refused(tmp_path, content):
    path = tmp_path / "objects.pdparams"
    path.write_bytes(pickle.dumps({"a": content}, 4))
    refused(path)


def test_a_pickled_module_is_refused_with_the_cure(tmp_path):
    path = tmp_path / "module.pth"
    torch.save(torch.nn.Linear(2, 2), path)
    assert "save model.state_dict()" in refused(path)


@pytest.mark.parametrize("content", [[1, 2], {}, {"epoch": 3}, {"state_dict": {}}, torch.zeros(3), {1: torch.zeros(1)}])
def test_a_file_without_a_state_dict_is_refused(tmp_path, content):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    assert "holds no state_dict" in refused(path)


def test_another_network_is_refused(tmp_path):
    path = tmp_path / "other.pth"
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    known = "segmentron, tramac, mmsegmentation, mmsegmentation-2020, paddleseg"
    assert f"not a FastSCNN checkpoint in a known layout ({known}): its 2 keys begin with weight, bias" in refused(path)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_missing_key_is_named_with_the_layout(write_checkpoint, layout):
    key = next(key for key in expected_entries(layout, 19) if "bottleneck2.1" in key)
    message = refused(write_checkpoint(layout, wrap=lambda state: {k: v for k, v in state.items() if k != key}))
    assert message.endswith(f"does not fit FastSCNN in the {layout} layout, keys are 1 missing ({key})")


def test_several_copies_of_the_network_are_refused(write_checkpoint):
    def twice(state):
        return {f"{prefix}{key}": value for prefix in ("model.", "ema.") for key, value in state.items()}

    assert "several times, under 'model.', 'ema.'; save one of them alone" in refused(write_checkpoint(wrap=twice))


def test_missing_and_unexpected_keys_are_listed_in_short(write_checkpoint):
    def damage(state):
        kept = {key: value for key, value in state.items() if "bottleneck2.1" not in key}
        return kept | {"extra.weight": torch.zeros(1)}

    message = refused(write_checkpoint(SEGMENTRON, wrap=damage))
    shortened = (
        r"18 missing \(global_feature_extractor\.bottleneck2\.1\.\S+, \S+, \S+ and 15 more\) and 1 unexpected \(extra"
    )
    assert re.search(shortened, message)


def test_half_an_auxiliary_head_is_refused(write_checkpoint):
    message = refused(write_checkpoint(wrap=lambda state: {k: v for k, v in state.items() if k != "auxlayer2.4.bias"}))
    assert "1 missing (auxlayer2.4.bias)" in message


@pytest.mark.parametrize(
    ("shape", "needed"),
    [
        ((21, 96, 1, 1), "for 21 classes needs [21, 128, 1, 1] (and 5 more)"),
        ((), "for 1 class needs [1, 128, 1, 1] (and 5 more)"),
    ],
)
def test_another_shape_is_refused(write_checkpoint, shape, needed):
    changed = {"classifier.conv.1.weight": torch.zeros(shape)}
    message = refused(write_checkpoint(wrap=lambda state: state | changed))
    assert f"classifier.conv.1.weight has shape {list(shape)}, FastSCNN in the segmentron layout" in message
    assert needed in message


@pytest.mark.parametrize("change", [lambda value: value.bfloat16(), lambda value: value.double().to_sparse()])
def test_floats_of_any_kind_are_read(write_checkpoint, change):
    key = "classifier.conv.1.bias"
    path = write_checkpoint(wrap=lambda state: state | {key: change(torch.ones(19))})
    np.testing.assert_array_equal(load_checkpoint(path).weights[key], np.ones(19, np.float32))


def test_integer_weights_are_refused(write_checkpoint):
    message = refused(write_checkpoint(wrap=lambda state: state | {"classifier.conv.1.bias": torch.zeros(19).long()}))
    assert "classifier.conv.1.bias is int64" in message


def test_weights_of_a_diverged_training_are_refused(write_checkpoint):
    message = refused(
        write_checkpoint(wrap=lambda state: state | {"classifier.conv.1.bias": torch.full((19,), torch.nan)})
    )
    assert "classifier.conv.1.bias holds NaN or infinity" in message


def test_without_torch_the_cure_is_named(write_checkpoint, monkeypatch):
    path = write_checkpoint()
    without_torch(monkeypatch)
    assert "pip install 'fastscnn-opt[export]'" in refused(path)


def test_the_real_checkpoint_is_read(real_data):
    found = load_checkpoint(real_data / "weights" / "fast_scnn_tramac_layout.pth")
    assert (found.layout, found.classes, len(found.weights)) == (TRAMAC, 19, 268)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda value: value.to("meta"), "has no values"),
        (lambda value: value.double() * 1e300, "too large for float32"),
        (lambda value: value * float("nan"), "NaN or infinity"),
        (lambda value: torch.nested.nested_tensor([value, value[:2]], layout=torch.strided), "is a nested tensor"),
        (lambda value: value.to(torch.complex64), "is torch.complex64, not a floating-point tensor"),
    ],
)
def test_a_tensor_without_usable_values_is_named(write_checkpoint, change, reason):
    key = "classifier.conv.1.weight"
    path = write_checkpoint(wrap=lambda state: state | {key: change(state[key])})
    assert f"{key} " in (message := refused(path))
    assert reason in message


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_a_quantised_tensor_is_named(write_checkpoint):
    key = "classifier.conv.1.weight"
    quantised = torch.quantize_per_tensor
    path = write_checkpoint(wrap=lambda state: state | {key: quantised(state[key], 0.1, 0, torch.qint8)})
    assert f"{key} is quantised (torch.qint8)" in refused(path)


@pytest.mark.skipif(not hasattr(torch, "float4_e2m1fn_x2"), reason="this torch has no float4")
def test_a_type_that_torch_only_stores_is_named(write_checkpoint):
    key = "classifier.conv.1.weight"
    path = write_checkpoint(wrap=lambda state: state | {key: state[key].byte().view(torch.float4_e2m1fn_x2)})
    assert f"{key} is torch.float4_e2m1fn_x2, which torch cannot turn into float32" in refused(path)


def test_an_archive_of_another_kind_is_named(tmp_path):
    path = tmp_path / "scripted.pth"
    with zipfile.ZipFile(path, "w") as archive:  # torch.jit.save has these parts
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"scripted/{name}", pickle.dumps({}, 2))
    assert "such as a TorchScript" in refused(path)


def test_a_tar_archive_is_named(tmp_path):
    path = tmp_path / "weights.pth.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("weights.pth"))
    assert "is a tar archive; unpack it" in refused(path)


def test_a_pickle_of_too_many_objects_is_refused_before_it_makes_them(tmp_path):
    path = tmp_path / "many.pdparams"
    path.write_bytes(b"\x80\x02" + b"]" * (1 << 21) + b".")
    assert "objects" in refused(path)
