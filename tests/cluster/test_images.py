"""Images that a node lacks."""

import signal
import subprocess
import sys

import pytest

from fastscnn_opt.cluster.connection import connected
from fastscnn_opt.cluster.images import ImageServer, images_here
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.demo.scene_files import write_cityscapes
from fastscnn_opt.errors import DataError


def test_files_are_sent_unless_the_node_has_them(address, tmp_path):
    import ray

    write_cityscapes(tmp_path / "host", "val", range(3), height=32, width=64)
    (part,) = DataSource(str(tmp_path / "host")).parts(3)
    wanted = [(pair.image.read_bytes(), pair.mask.read_bytes()) for pair in part.pairs]
    with connected(address):
        server = ray.remote(Renamed).options(num_cpus=0).remote()
        ray.get(server.keep.remote([file for pair in part.pairs for file in (pair.image, pair.mask)]))
        part.pairs[1].image.unlink()
        part.pairs[2].mask.write_bytes(b"another")
        with images_here(part, server, tmp_path, 60) as here:
            assert [(pair.image.read_bytes(), pair.mask.read_bytes()) for pair in here.pairs] == wanted
            assert here.pairs[0] == part.pairs[0]
            assert here.pairs[1].image != part.pairs[1].image
        assert not here.pairs[1].image.exists()
        with pytest.raises(DataError, match=str(part.pairs[1].image)), images_here(part, server, tmp_path, 60) as here:
            raise DataError("is broken", where=here.pairs[1].image)


class Renamed(ImageServer):
    """The files as they were, as another host would have them."""

    def keep(self, files):
        for file in files:
            file.with_suffix(".kept").write_bytes(file.read_bytes())

    def hashes(self, files):
        return super().hashes([file.with_suffix(".kept") for file in files])

    def read(self, file):
        return super().read(file.with_suffix(".kept"))


@pytest.mark.parametrize(("seconds", "code"), [(60, -signal.SIGKILL), (0, 0)])
def test_a_file_that_takes_too_long_ends_the_process(seconds, code):
    program = (
        f"import time; from fastscnn_opt.cluster import images\nwith images._ending_after(1): time.sleep({seconds})"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == code
