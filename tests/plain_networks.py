"""FastSCNN of mmsegmentation and PaddleSeg in plain torch, written from their sources and not from the code under test.

The modules are named as in the published checkpoints, so that `state_dict` has their keys.
"""

import torch
from torch import nn
from torch.nn import functional


def seq(**parts):
    """Named modules that run one after the other."""
    found = nn.Sequential()
    for name, part in parts.items():
        found.add_module(name, part)
    return found


def group(bottleneck, channels_in, channels_out, stride):
    rest = [bottleneck(channels_out, channels_out, 1) for _ in range(2)]
    return nn.Sequential(bottleneck(channels_in, channels_out, stride), *rest)


def inverted(blocks, x):
    """Three inverted residuals; the first changes stride or width."""
    first, *rest = blocks
    x = first(x)
    for block in rest:
        x = x + block(x)
    return x


def up(x, like, align_corners=False):
    return functional.interpolate(x, like.shape[2:], mode="bilinear", align_corners=align_corners)


class Mmsegmentation(nn.Module):
    """`mmseg/models/backbones/fast_scnn.py`, the separable head, and the two auxiliary heads of its configuration."""

    def __init__(self, classes, *, old, stem_padding=1):
        super().__init__()
        relu, residual = nn.ReLU, nn.ReLU6 if old else nn.ReLU

        def conv(channels_in, channels_out, kernel=1, act=None, padding=None, **how):
            padding = kernel // 2 if padding is None else padding
            plain = nn.Conv2d(channels_in, channels_out, kernel, padding=padding, bias=False, **how)
            return seq(conv=plain, bn=nn.BatchNorm2d(channels_out), **({"activate": act()} if act else {}))

        def separable(channels_in, channels_out, stride=1):
            depthwise = conv(channels_in, channels_in, 3, relu if old else None, stride=stride, groups=channels_in)
            return seq(depthwise_conv=depthwise, pointwise_conv=conv(channels_in, channels_out, act=relu))

        def bottleneck(channels_in, channels_out, stride):
            wide = 6 * channels_in
            depthwise = conv(wide, wide, 3, residual, stride=stride, groups=wide)
            return seq(conv=nn.Sequential(conv(channels_in, wide, act=residual), depthwise, conv(wide, channels_out)))

        self.backbone = seq(
            learning_to_downsample=seq(
                conv=conv(3, 32, 3, relu, padding=stem_padding, stride=2),
                dsconv1=separable(32, 48, 2),
                dsconv2=separable(48, 64, 2),
            ),
            global_feature_extractor=seq(
                bottleneck1=group(bottleneck, 64, 64, 2),
                bottleneck2=group(bottleneck, 64, 96, 2),
                bottleneck3=group(bottleneck, 96, 128, 1),
                ppm=nn.ModuleList(
                    nn.Sequential(nn.AdaptiveAvgPool2d(bins), conv(128, 32, act=relu)) for bins in (1, 2, 3, 6)
                ),
                out=conv(256, 128, 1 if old else 3, relu),
            ),
            feature_fusion=seq(
                dwconv=conv(128, 128, 1, relu) if old else conv(128, 128, 3, relu, groups=128),
                conv_lower_res=conv(128, 128),
                conv_higher_res=conv(64, 128),
            ),
        )
        self.decode_head = seq(
            convs=nn.Sequential(separable(128, 128), separable(128, 128)), conv_seg=nn.Conv2d(128, classes, 1)
        )
        self.auxiliary_head = nn.ModuleList(
            seq(convs=nn.Sequential(conv(width, 32, 3, relu)), conv_seg=nn.Conv2d(32, classes, 1))
            for width in (128, 64)
        )

    def forward(self, image):
        high = self.backbone.learning_to_downsample(image)
        extractor, fusion = self.backbone.global_feature_extractor, self.backbone.feature_fusion
        low = inverted(extractor.bottleneck1, high)
        low = inverted(extractor.bottleneck3, inverted(extractor.bottleneck2, low))
        low = extractor.out(torch.cat([low, *(up(stage(low), low) for stage in extractor.ppm)], 1))
        fused = fusion.conv_higher_res(high) + fusion.conv_lower_res(fusion.dwconv(up(low, high)))
        outputs = [self.decode_head(functional.relu(fused)), self.auxiliary_head[0](low), self.auxiliary_head[1](high)]
        return [up(output, image) for output in outputs]


class PaddleSeg(nn.Module):
    """`paddleseg/models/fast_scnn.py` with its auxiliary head; batch normalisation has torch's names."""

    def __init__(self, classes):
        super().__init__()
        relu = nn.ReLU

        def conv(channels_in, channels_out, kernel=1, act=None, padding=None, bias=True, **how):
            padding = kernel // 2 if padding is None else padding
            plain = nn.Conv2d(channels_in, channels_out, kernel, padding=padding, bias=bias, **how)
            return seq(_conv=plain, _batch_norm=nn.BatchNorm2d(channels_out), **({"_relu": act()} if act else {}))

        def separable(channels_in, channels_out, stride=1):
            depthwise = conv(channels_in, channels_in, 3, stride=stride, groups=channels_in)
            return seq(depthwise_conv=depthwise, piontwise_conv=conv(channels_in, channels_out, act=relu))

        def bottleneck(channels_in, channels_out, stride):
            wide = 6 * channels_in
            return seq(
                block=nn.Sequential(
                    conv(channels_in, wide, act=relu, bias=False),
                    conv(wide, wide, 3, relu, bias=False, stride=stride, groups=wide),
                    conv(wide, channels_out, bias=False),
                )
            )

        self.learning_to_downsample = seq(
            conv_bn_relu=conv(3, 32, 3, relu, padding=0, stride=2),
            dsconv_bn_relu1=separable(32, 48, 2),
            dsconv_bn_relu2=separable(48, 64, 2),
        )
        self.global_feature_extractor = seq(
            bottleneck1=group(bottleneck, 64, 64, 2),
            bottleneck2=group(bottleneck, 64, 96, 2),
            bottleneck3=group(bottleneck, 96, 128, 1),
            ppm=seq(
                stages=nn.ModuleList(
                    nn.Sequential(nn.AdaptiveAvgPool2d(bins), conv(128, 32, act=relu)) for bins in (1, 2, 3, 6)
                ),
                conv_bn_relu2=conv(256, 128, 3, relu),
            ),
        )
        self.feature_fusion = seq(
            dwconv=conv(128, 128, 3, relu, bias=False, groups=128),
            conv_low_res=conv(128, 128),
            conv_high_res=conv(64, 128),
        )
        self.classifier = seq(dsconv1=separable(128, 128), dsconv2=separable(128, 128), conv=nn.Conv2d(128, classes, 1))
        self.auxlayer = seq(conv_bn_relu=conv(64, 32, 3, relu), conv=nn.Conv2d(32, classes, 1))

    def forward(self, image):
        high = self.learning_to_downsample(functional.pad(image, (0, 1, 0, 1)))
        extractor, fusion = self.global_feature_extractor, self.feature_fusion
        low = inverted(extractor.bottleneck1, high)
        low = inverted(extractor.bottleneck3, inverted(extractor.bottleneck2, low))
        pooled = [up(stage(low), low, align_corners=True) for stage in extractor.ppm.stages]
        low = extractor.ppm.conv_bn_relu2(torch.cat([low, *reversed(pooled)], 1))
        fused = fusion.conv_high_res(high) + fusion.conv_low_res(fusion.dwconv(up(low, high)))
        return [up(output, image) for output in (self.classifier(functional.relu(fused)), self.auxlayer(high))]


def paddle_state(network):
    """The arrays that paddle.save writes: without the counters of torch, and with Paddle's names of the statistics."""
    names = {"running_mean": "_mean", "running_var": "_variance"}
    state = {}
    for key, value in network.state_dict().items():
        block, _, part = key.rpartition(".")
        if part != "num_batches_tracked":
            state[f"{block}.{names.get(part, part)}"] = value.numpy()
    return state


def with_random_weights(network):
    """Weights that keep activations near one, and batch normalisation that is far from the identity."""
    torch.manual_seed(7)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0, (2 / module.weight[0].numel()) ** 0.5)
            if module.bias is not None:
                nn.init.normal_(module.bias, 0, 0.2)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()
