import builtins
import pickle
import re
import zipfile

import pytest

from fastscnn_opt.errors import CheckpointError
from fastscnn_opt.network.checkpoint import load_checkpoint
from fastscnn_opt.network.layout import CheckpointLayout, expected_entries

torch = pytest.importorskip("torch", reason="checkpoints need torch")


class Hostile:
    """Runs a command when it is unpickled by anything that trusts it."""

    def __reduce__(self):
        return exec, ("raise SystemExit('the checkpoint ran code')",)


@pytest.mark.parametrize("layout", CheckpointLayout)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"epoch": 3, "state_dict": state, "optimizer": {}, "lr_scheduler": None},
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {"state_dict": {f"module.{key}": value for key, value in state.items()}},
    ],
    ids=["bare", "with state_dict", "DataParallel", "both"],
)
def test_every_published_form_is_read(write_checkpoint, layout, wrap):
    found, state = load_checkpoint(write_checkpoint(layout, wrap=wrap))
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    assert (found, shapes) == (layout, expected_entries(layout, layout.auxiliary_heads))


def test_auxiliary_heads_may_be_absent(write_checkpoint):
    layout, state = load_checkpoint(write_checkpoint(CheckpointLayout.SEGMENTRON, heads=()))
    assert (layout, len(state)) == (CheckpointLayout.SEGMENTRON, 268)


def test_the_old_file_format_is_read(write_checkpoint):
    path = write_checkpoint(CheckpointLayout.TRAMAC, heads=())
    torch.save(torch.load(path, weights_only=True), path, _use_new_zipfile_serialization=False)
    assert load_checkpoint(path)[0] is CheckpointLayout.TRAMAC


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
    assert "not a checkpoint written by torch.save" in refused(path)


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
    monkeypatch.setattr("fastscnn_opt.network.checkpoint.MOST_BYTES", 1 << 20)
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes((1 << 20) + 1))
    assert path.stat().st_size < 1 << 12
    with pytest.raises(CheckpointError, match=r"bomb.pth: unpacks to 0\.0 GiB, which no FastSCNN needs"):
        load_checkpoint(path)


def test_a_hostile_pickle_of_a_newer_protocol_does_not_run(tmp_path):
    path = tmp_path / "hostile.pth"
    path.write_bytes(pickle.dumps(Hostile(), protocol=5))
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
    assert "not a FastSCNN checkpoint" in refused(path)


def test_missing_and_unexpected_keys_are_listed_in_short(write_checkpoint):
    def damage(state):
        kept = {key: value for key, value in state.items() if "bottleneck2.1" not in key}
        return kept | {"extra.weight": torch.zeros(1)}

    message = refused(write_checkpoint(CheckpointLayout.SEGMENTRON, wrap=damage))
    shortened = (
        r"18 missing \(global_feature_extractor\.bottleneck2\.1\.\S+, \S+, \S+ and 15 more\) and 1 unexpected \(extra"
    )
    assert re.search(shortened, message)


def test_half_an_auxiliary_head_is_refused(write_checkpoint):
    message = refused(write_checkpoint(wrap=lambda state: {k: v for k, v in state.items() if k != "auxlayer2.4.bias"}))
    assert "1 missing (auxlayer2.4.bias)" in message


def test_another_number_of_classes_is_refused(write_checkpoint):
    def twenty_one_classes(state):
        return state | {
            "classifier.conv.1.weight": torch.zeros(21, 128, 1, 1),
            "classifier.conv.1.bias": torch.zeros(21),
        }

    message = refused(write_checkpoint(wrap=twenty_one_classes))
    assert "classifier.conv.1.weight has shape [21, 128, 1, 1]" in message
    assert "[19, 128, 1, 1] (and 1 more)" in message


def test_integer_weights_are_refused(write_checkpoint):
    message = refused(write_checkpoint(wrap=lambda state: state | {"classifier.conv.1.bias": torch.zeros(19).long()}))
    assert "classifier.conv.1.bias is torch.int64" in message


def test_weights_of_a_diverged_training_are_refused(write_checkpoint):
    message = refused(
        write_checkpoint(wrap=lambda state: state | {"classifier.conv.1.bias": torch.full((19,), torch.nan)})
    )
    assert "classifier.conv.1.bias holds NaN or infinity" in message


def test_without_torch_the_cure_is_named(tmp_path, monkeypatch):
    real_import = builtins.__import__

    def without_torch(name, *rest):
        if name == "torch":
            raise ModuleNotFoundError(name)
        return real_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_torch)
    assert "pip install 'fastscnn-opt[export]'" in refused(tmp_path / "any.pth")


def test_the_real_checkpoint_is_read(real_data):
    layout, state = load_checkpoint(real_data / "weights" / "fast_scnn_tramac_layout.pth")
    assert (layout, len(state)) == (CheckpointLayout.TRAMAC, 268)
