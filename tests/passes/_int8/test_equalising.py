"""Channels of unequal range get equal ones, and the network computes the same."""

import numpy as np
import onnx
from graphs import add_initializers, parse, run
from quantised import scenes, tap


def imported(model):
    import onnx_graphsurgeon as gs

    graph = gs.import_onnx(onnx.shape_inference.infer_shapes(model))
    graph.defaults = {}
    return graph


def test_equalised_channels_leave_the_function_as_it_is(network):
    import onnx_graphsurgeon as gs
    from fastscnn_opt.passes._int8.body import find_body
    from fastscnn_opt.passes._int8.equalising import find_links

    graph = imported(network)
    links = {link.tensor: link for link in find_links(find_body(graph).layers, graph.outputs)}
    assert {name: link.depthwise for name, link in links.items()} == {"d": False}  # b goes into a sum, too
    (image,) = scenes(1)
    expected = run(network, image)[0]
    links["d"].scale(run(tap(network, "d"), image)[0].max(axis=(0, 2, 3)).astype(np.float64))
    scaled = gs.export_onnx(graph)
    np.testing.assert_allclose(run(scaled, image)[0], expected, atol=1e-4)
    assert not np.allclose(run(tap(scaled, "d"), image)[0], run(tap(network, "d"), image)[0])


def test_depthwise_readers_get_equal_ranges():
    import onnx_graphsurgeon as gs
    from fastscnn_opt.passes._int8.body import find_body
    from fastscnn_opt.passes._int8.equalising import find_links

    model = parse("""
        g (float[1,3,8,8] x) => (float[1,3,8,8] y) {
            a = Conv(x, w1)
            b = Relu(a)
            y = Conv<group=3>(b, w2)
        }
    """)
    rng = np.random.default_rng(2)
    for name, shape in (("w1", (3, 3, 1, 1)), ("w2", (3, 1, 1, 1))):
        weight = (rng.uniform(0.5, 1, shape) * np.array([0.1, 1, 5]).reshape(3, 1, 1, 1)).astype(np.float32)
        add_initializers(model, **{name: weight})
    image = rng.uniform(0, 1, (1, 3, 8, 8)).astype(np.float32)
    graph = imported(model)
    (link,) = find_links(find_body(graph).layers, graph.outputs)
    link.scale(run(tap(model, "b"), image)[0].max(axis=(0, 2, 3)).astype(np.float64))
    scaled = gs.export_onnx(graph)
    largest = run(tap(scaled, "b"), image)[0].max(axis=(0, 2, 3))
    np.testing.assert_allclose(largest, largest[0], rtol=1e-5)
    np.testing.assert_allclose(run(scaled, image)[0], run(model, image)[0], rtol=1e-5)
