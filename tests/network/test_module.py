import numpy as np
import pytest

from fastscnn_opt.network.layouts import SEGMENTRON, TRAMAC

torch = pytest.importorskip("torch", reason="the module needs torch")

from torch.nn import functional  # noqa: E402 - only where torch is

from fastscnn_opt.network.module import FastSCNN  # noqa: E402 - only where torch is


class PlainNetwork:
    """FastSCNN written down once more, straight from the paper and the checkpoint keys, to compare with."""

    def __init__(self, layout, state):
        self.segmentron = layout is SEGMENTRON
        self.state = state

    def conv(self, x, conv, norm, act=functional.relu, **how):
        x = functional.conv2d(x, self.state[f"{conv}.weight"], self.state.get(f"{conv}.bias"), **how)
        if norm:
            mean, var = self.state[f"{norm}.running_mean"], self.state[f"{norm}.running_var"]
            x = functional.batch_norm(x, mean, var, self.state[f"{norm}.weight"], self.state[f"{norm}.bias"], eps=1e-5)
        return act(x) if act else x

    def plain(self, x, block, **how):
        names = (f"{block}.conv", f"{block}.bn") if self.segmentron else (f"{block}.conv.0", f"{block}.conv.1")
        return self.conv(x, *names, **how)

    def separable(self, x, block, stride=1):
        names = ("block.depthwise", "block.bn_depth", "block.pointwise", "block.bn_point")
        if not self.segmentron:
            names = ("conv.0", "conv.1", "conv.3", "conv.4")
        conv1, norm1, conv2, norm2 = (f"{block}.{name}" for name in names)
        x = self.conv(x, conv1, norm1, stride=stride, padding=1, groups=x.shape[1])
        return self.conv(x, conv2, norm2)

    def inverted(self, x, name, stride, residual):
        block = f"{name}.conv" if self.segmentron else f"{name}.block"
        act = functional.relu6 if self.segmentron else functional.relu
        y = self.plain(x, f"{block}.0", act=act)
        y = self.plain(y, f"{block}.1", act=act, stride=stride, padding=1, groups=y.shape[1])
        y = self.conv(y, f"{block}.2", f"{block}.3", act=None)
        return x + y if residual else y

    def __call__(self, image):
        def up(x, size):
            return functional.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)

        high = self.plain(image, "learning_to_downsample.conv", stride=2)
        high = self.separable(high, "learning_to_downsample.dsconv1", 2)
        high = self.separable(high, "learning_to_downsample.dsconv2", 2)
        low = high
        gfe = "global_feature_extractor"
        for stage, stride in ((1, 2), (2, 2), (3, 1)):
            low = self.inverted(low, f"{gfe}.bottleneck{stage}.0", stride, residual=False)
            low = self.inverted(low, f"{gfe}.bottleneck{stage}.1", 1, residual=True)
            low = self.inverted(low, f"{gfe}.bottleneck{stage}.2", 1, residual=True)
        levels = [low]
        for index, bins in enumerate((1, 2, 3, 6)):
            name = f"{gfe}.ppm.convs.{index}" if self.segmentron else f"{gfe}.ppm.conv{index + 1}"
            pooled = self.plain(functional.adaptive_avg_pool2d(low, bins), name)
            levels.append(up(pooled, low.shape[2:]))
        low = self.plain(torch.cat(levels, 1), f"{gfe}.out" if self.segmentron else f"{gfe}.ppm.out")
        fused = up(low, (4 * low.shape[2], 4 * low.shape[3]))
        how = {} if self.segmentron else {"padding": 1, "groups": 128}
        fused = self.plain(fused, "feature_fusion.dwconv", **how)
        fused = self.conv(fused, "feature_fusion.conv_lower_res.0", "feature_fusion.conv_lower_res.1", act=None)
        fine = self.conv(high, "feature_fusion.conv_higher_res.0", "feature_fusion.conv_higher_res.1", act=None)
        main = self.separable(functional.relu(fused + fine), "classifier.dsconv1")
        main = self.conv(self.separable(main, "classifier.dsconv2"), "classifier.conv.1", None, act=None)
        outputs = [main]
        for head, source in (("auxlayer1", high), ("auxlayer2", low), ("auxlayer", high)):
            if f"{head}.0.weight" in self.state:
                hidden = self.conv(source, f"{head}.0", f"{head}.1", padding=1)
                outputs.append(self.conv(hidden, f"{head}.4", None, act=None))
        return [up(x, image.shape[2:]) for x in outputs]


def network_with(state, layout, heads):
    network = FastSCNN(layout, 19, heads).eval()
    network.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in state.items()}, strict=True)
    return network


@pytest.mark.parametrize("layout", [SEGMENTRON, TRAMAC], ids=str)
def test_the_module_computes_the_network_of_the_paper(layout, image, random_state):
    state = random_state(layout, layout.heads)
    network = network_with(state, layout, layout.heads)
    with torch.no_grad():
        found = network(torch.from_numpy(image), auxiliary=True)
        expected = PlainNetwork(layout, network.state_dict())(torch.from_numpy(image))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("layout", "parameters"), [(SEGMENTRON, 1_209_961), (TRAMAC, 1_138_051)])
def test_the_number_of_parameters(layout, parameters):
    heads = layout.heads if layout is SEGMENTRON else ()
    assert sum(parameter.numel() for parameter in FastSCNN(layout, 19, heads).parameters()) == parameters


def test_only_the_main_output_is_computed_unless_asked():
    network = FastSCNN(SEGMENTRON, 19, SEGMENTRON.heads).eval()
    with torch.no_grad():
        outputs = network(torch.zeros(2, 3, 64, 96))
    assert [tuple(output.shape) for output in outputs] == [(2, 19, 64, 96)]


def test_outputs_have_the_size_that_is_asked_for():
    network = FastSCNN(TRAMAC, 19).eval()
    with torch.no_grad():
        (output,) = network(torch.zeros(1, 3, 64, 64), size=(8, 16))
    assert tuple(output.shape) == (1, 19, 8, 16)


def test_a_gradient_reaches_every_parameter():
    network = FastSCNN(SEGMENTRON, 19, SEGMENTRON.heads).train()
    outputs = network(torch.randn(2, 3, 64, 64), auxiliary=True)
    sum(output.square().mean() for output in outputs).backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []
