from collections.abc import Callable
from pathlib import Path

import pytest

from fastscnn_opt.ascend.whitelists.impl_folder import VARIABLES, find_impl
from fastscnn_opt.errors import PatchError

Place = Callable[[str], Path]
IMPL = "opp/op_impl/built-in/ai_core/tbe/impl"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return a function that makes a folder; no toolkit is installed on the machine of the test."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("fastscnn_opt.ascend.whitelists.impl_folder.DEFAULT_ROOT", tmp_path / "not installed")

    def make(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        return folder

    return make


@pytest.mark.parametrize("levels", range(8))
def test_any_folder_on_the_way_down_will_do(place: Place, levels: int) -> None:
    impl = place(f"toolkit/{IMPL}")
    assert find_impl(impl.parents[levels - 1] if levels else impl) == impl


@pytest.mark.parametrize("platform", ["x86_64-linux", "arm64-linux"])
def test_a_platform_level_is_passed_through(place: Place, tmp_path: Path, platform: str) -> None:
    impl = place(f"toolkit/{platform}/{IMPL}")
    assert find_impl(tmp_path / "toolkit") == impl


def test_links_to_one_real_folder_count_once(place: Place, tmp_path: Path) -> None:
    impl = place(f"toolkit/5.0.2/x86_64-linux/{IMPL}")
    (tmp_path / "toolkit" / "latest").symlink_to("5.0.2")
    (tmp_path / "toolkit" / "5.0.2" / "opp").symlink_to("x86_64-linux/opp")
    assert find_impl(tmp_path / "toolkit") == impl


def test_links_in_a_circle_end(place: Place, tmp_path: Path) -> None:
    impl = place(f"toolkit/{IMPL}")
    (impl.parent / "up").symlink_to(tmp_path)
    assert find_impl(tmp_path) == impl


def test_the_opp_of_a_toolkit_is_meant_even_if_it_has_others_below(place: Place, tmp_path: Path) -> None:
    impl = place(f"toolkit/{IMPL}")
    place("toolkit/tools/samples/tbe/impl")
    assert find_impl(tmp_path / "toolkit") == impl


def test_several_are_an_error_that_lists_them(place: Place, tmp_path: Path) -> None:
    found = [place(f"toolkit/{platform}/{IMPL}") for platform in ("arm64-linux", "x86_64-linux")]
    with pytest.raises(PatchError, match="2 folders") as caught:
        find_impl(tmp_path / "toolkit")
    assert all(str(impl) in str(caught.value) for impl in found)


def test_none_is_an_error_that_says_what_to_name(place: Place) -> None:
    with pytest.raises(PatchError, match="name the toolkit folder"):
        find_impl(place("toolkit"))


@pytest.mark.usefixtures("place")
def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PatchError, match="there is no such folder"):
        find_impl(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("variable", "below"), [("ASCEND_OPP_PATH", "opp"), ("ASCEND_HOME_PATH", ""), ("ASCEND_TOOLKIT_HOME", "")]
)
def test_the_environment_names_the_toolkit(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, below: str
) -> None:
    impl = place(f"toolkit/{IMPL}")
    monkeypatch.setenv(variable, str(tmp_path / "toolkit" / below))
    assert find_impl(None) == impl


def test_a_wrong_variable_is_named_and_not_skipped(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(f"toolkit/{IMPL}")
    monkeypatch.setenv("ASCEND_OPP_PATH", str(tmp_path / "gone"))
    monkeypatch.setenv("ASCEND_HOME_PATH", str(tmp_path / "toolkit"))
    with pytest.raises(PatchError, match=r"\$ASCEND_OPP_PATH .*gone"):
        find_impl(None)


def test_the_default_place_is_the_last_resort(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    impl = place(f"toolkit/{IMPL}")
    monkeypatch.setattr("fastscnn_opt.ascend.whitelists.impl_folder.DEFAULT_ROOT", tmp_path / "toolkit")
    assert find_impl(None) == impl


@pytest.mark.usefixtures("place")
def test_no_toolkit_at_all_says_how_to_get_one() -> None:
    with pytest.raises(PatchError, match=r"set_env\.sh"):
        find_impl(None)
