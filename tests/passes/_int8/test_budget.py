"""With max_drop: the figure of each layer, and which layers a budget leaves in float."""

import numpy as np
from graphs import run
from quantised import LAYERS, SIZE, scenes

from fastscnn_opt.demo.scenes import render_scene
from fastscnn_opt.rewriting.manager import PassManager


def class_iou(labels: list[np.ndarray], predictions: list[np.ndarray]) -> np.ndarray:
    """Return the IoU of each of 19 classes over all images, NaN where a class is absent, straight from the formula."""
    valid = [label != 255 for label in labels]
    label = np.concatenate([label[mask] for label, mask in zip(labels, valid, strict=True)])
    prediction = np.concatenate([each[mask] for each, mask in zip(predictions, valid, strict=True)])
    both = np.array([((label == index) & (prediction == index)).sum() for index in range(19)])
    either = np.array([((label == index) | (prediction == index)).sum() for index in range(19)])
    return np.where(either > 0, both / np.maximum(either, 1), np.nan)


def test_the_figure_of_a_layer_is_the_change_that_it_makes_alone(network):
    step = PassManager("int8{images=2 max_drop=100}", verify=False).run(network).steps[0]
    (told,) = (change.what for change in step.changes if change.node == "out")
    alone = PassManager("int8{images=2 keep=stem|deep|point}", verify=False).run(network).model
    labels = [render_scene(seed, height=SIZE[0], width=SIZE[1])[1] for seed in range(2)]
    before, after = (
        class_iou(labels, [run(model, image)[0][0].argmax(axis=0) for image in scenes(2)]) for model in (network, alone)
    )
    change = 100 * np.nanmean(np.abs(after - before))
    assert change > 0
    assert f"changes the IoU of a class by {change:.3f} points" in told


def test_a_budget_that_nothing_fits_leaves_the_graph_as_it_was_and_tells_the_ranking(network):
    result = PassManager("int8{images=1 max_drop=1e-9}", verify=False).run(network)
    assert result.model.SerializeToString() == network.SerializeToString()
    *layers, graph = result.steps[0].skips
    assert sorted(skip.node for skip in layers) == sorted(LAYERS)
    assert [skip.why.split(":")[0] for skip in layers] == [f"kept in float, rank {rank}" for rank in (1, 2, 3, 4)]
    figures = [float(skip.why.split(" by ")[1].split()[0]) for skip in layers]
    assert figures == sorted(figures, reverse=True)
    assert (graph.node, graph.why) == ("graph", "no layer fits max_drop in int8")


def test_what_was_scored_is_not_scored_again(network, monkeypatch):
    from fastscnn_opt.passes._int8 import images

    text = "int8{images=1 max_drop=1}"
    first = PassManager(text, verify=False).run(network)
    monkeypatch.delattr(images, "evaluate_session")
    again = PassManager(text, verify=False).run(network)
    assert again.model.SerializeToString() == first.model.SerializeToString()
    assert list(map(repr, again.steps[0].changes)) == list(map(repr, first.steps[0].changes))
