"""The standard output beside threads of Ray that print."""

import logging
import sys
import threading

from fastscnn_opt.cluster.ray_output import ray_prints_to_log


def test_what_a_thread_of_ray_prints_goes_to_the_log(capsys, caplog):
    caplog.set_level(logging.INFO)
    with ray_prints_to_log():
        thread = threading.Thread(
            target=lambda: sys.stdout.write("the log of a node\n"), name="ray_listen_error_messages"
        )
        thread.start()
        thread.join()
        sys.stdout.write(f"a figure {sys.stdout.encoding}")
    assert capsys.readouterr().out == f"a figure {sys.stdout.encoding}"
    assert caplog.messages == ["the log of a node"]
