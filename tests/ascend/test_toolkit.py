"""The installed parts of the toolkit are found, and missing ones are reported."""

from pathlib import Path

import pytest

from fastscnn_opt.ascend import toolkit


@pytest.mark.usefixtures("install")
def test_without_a_toolkit_the_cure_is_to_install_it():
    missing = toolkit.missing_atc()
    assert missing is not None
    assert "install the CANN toolkit" in missing.cure
    assert "set_env.sh" in missing.cure


@pytest.mark.usefixtures("install")
def test_with_a_toolkit_off_the_path_the_cure_is_its_script(tmp_path, monkeypatch):
    script = tmp_path / "toolkit" / "set_env.sh"
    script.parent.mkdir()
    script.touch()
    monkeypatch.setenv("ASCEND_HOME_PATH", str(tmp_path / "toolkit" / "latest"))
    missing = toolkit.missing_atc()
    assert missing is not None
    assert missing.cure == f"run `source {script}` first"


def test_nothing_is_missing_once_atc_is_on_the_path(install):
    install("atc", "")
    assert toolkit.missing_atc() is None


def test_the_version_is_in_the_install_note(tmp_path):
    atc = tmp_path / "latest" / "x86_64-linux" / "bin" / "atc"
    atc.parent.mkdir(parents=True)
    atc.touch()
    (tmp_path / "latest" / "x86_64-linux" / "ascend_toolkit_install.info").write_text(
        "package_name=Ascend-cann-toolkit\nversion=5.0.2\narch=x86_64\n"
    )
    assert toolkit.cann_version(str(atc)) == "5.0.2"


def test_the_version_is_in_the_real_path_without_a_note(tmp_path):
    real = tmp_path / "ascend-toolkit" / "5.0.2.alpha003" / "bin" / "atc"
    real.parent.mkdir(parents=True)
    real.touch()
    (tmp_path / "latest").symlink_to(real.parent)
    assert toolkit.cann_version(str(tmp_path / "latest" / "atc")) == "5.0.2.alpha003"


def test_a_version_that_nothing_tells_is_unknown(tmp_path):
    assert toolkit.cann_version(str(tmp_path / "atc")) == "unknown"


@pytest.mark.usefixtures("all_tools")
def test_the_driver_tells_its_version():
    assert toolkit.driver_version() == "21.0.2"


@pytest.mark.usefixtures("install")
def test_without_a_driver_its_version_is_unknown():
    assert toolkit.driver_version() == "unknown"


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/usr/local/Ascend/ascend-toolkit/5.0.2/x86_64-linux/opp", "5.0.2"),
        ("/usr/local/Ascend/ascend-toolkit/5.0.2.alpha003/opp", "5.0.2.alpha003"),
        ("/opt/toolkit/opp", None),
        ("/opt/python3.11/opp", None),
    ],
)
def test_the_version_is_read_from_the_path(path, version):
    assert toolkit.version_in(Path(path)) == version
