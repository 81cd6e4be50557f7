"""Segmentation networks in small, as torch modules, for tests of passes that follow sizes through a graph."""

import io
import warnings

import onnx
import torch
from torch import nn
from torch.nn import functional


class Pyramid(nn.Module):
    """Two branches and a pyramid of adaptive poolings, each resized to the size of another tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.low = nn.Conv2d(8, 8, 3, 2, 1)
        self.bins = nn.ModuleList(nn.Conv2d(8, 4, 1) for _ in range(3))
        self.head = nn.Conv2d(20, 5, 1)
        self.fuse = nn.Conv2d(13, 5, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        high = functional.relu(self.stem(image))
        low = functional.relu(self.low(high))
        parts = [low]
        for bins, level in zip((1, 2, 4), self.bins, strict=True):
            pooled = level(functional.adaptive_avg_pool2d(low, bins))
            parts.append(functional.interpolate(pooled, low.shape[2:], mode="bilinear", align_corners=True))
        fused = functional.interpolate(self.head(torch.cat(parts, 1)), high.shape[2:], mode="bilinear")
        logits = self.fuse(torch.cat([fused, high], 1))
        return functional.interpolate(logits, image.shape[2:], mode="bilinear")


class Transformer(nn.Module):
    """A block of SegFormer: attention with spatial reduction, a mixed feed-forward layer, logits of a quarter."""

    def __init__(self, width: int = 8, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.embed = nn.Conv2d(3, width, 7, 4, 3)
        self.norm = nn.LayerNorm(width)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.reduce = nn.Conv2d(width, width, 2, 2)
        self.wide, self.narrow = nn.Linear(width, 16), nn.Linear(16, width)
        self.mix = nn.Conv2d(16, 16, 3, 1, 1, groups=16)
        self.down = nn.Conv2d(width, width, 3, 2, 1)
        self.head = nn.Conv2d(2 * width, 4, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.embed(image)
        batch, channels, height, width = x.shape
        rows = self.norm(x.flatten(2).transpose(1, 2))
        reduced = self.reduce(rows.permute(0, 2, 1).reshape(batch, channels, height, width))
        reduced = reduced.reshape(batch, channels, -1).permute(0, 2, 1)

        def split(values: torch.Tensor) -> torch.Tensor:
            return values.reshape(batch, -1, self.heads, channels // self.heads).permute(0, 2, 1, 3)

        weights = (split(self.query(rows)) @ split(self.key(reduced)).transpose(-2, -1)).softmax(-1)
        seen = (weights @ split(self.value(reduced))).transpose(1, 2).reshape(batch, -1, channels)
        rows = rows + self.out(seen)
        mixed = self.mix(self.wide(rows).transpose(1, 2).view(batch, 16, height, width)).flatten(2).transpose(1, 2)
        rows = rows + self.narrow(functional.gelu(mixed))
        x = rows.reshape(batch, height, width, channels).permute(0, 3, 1, 2)
        coarse = functional.interpolate(self.down(x), size=x.shape[2:], mode="bilinear", align_corners=False)
        return self.head(torch.cat([x, coarse], 1))


class Gated(nn.Module):
    """LR-ASPP behind a squeeze-and-excitation: hard activations, a gate from a global mean, and two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.high = nn.Sequential(nn.Conv2d(3, 8, 3, 4, 1), nn.Hardswish())
        self.low = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.Hardswish())
        self.squeeze, self.excite = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)
        self.branch = nn.Sequential(nn.Conv2d(16, 8, 1), nn.ReLU())
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 8, 1, bias=False), nn.Sigmoid())
        self.heads = nn.ModuleList([nn.Conv2d(8, 5, 1), nn.Conv2d(8, 5, 1)])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        high = self.high(image)
        low = self.low(high)
        scale = self.excite(functional.relu(self.squeeze(functional.adaptive_avg_pool2d(low, 1))))
        low = functional.hardsigmoid(scale) * low
        gated = self.branch(low) * self.gate(low)
        gated = functional.interpolate(gated, size=high.shape[-2:], mode="bilinear", align_corners=False)
        logits = self.heads[0](gated) + self.heads[1](high)
        return functional.interpolate(logits, size=image.shape[-2:], mode="bilinear", align_corners=False)


class Attention(nn.Module):
    """Attention with rows in front of the batch, whose heads are folded into the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 4, 4)
        self.attention = nn.MultiheadAttention(8, 2)
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.embed(image)
        rows = x.flatten(2).permute(2, 0, 1)
        rows = rows + self.attention(rows, rows, rows, need_weights=False)[0]
        return self.head(rows.permute(1, 2, 0).reshape(x.shape))


def traced(module: nn.Module, shape: tuple[int, ...], *, opset: int = 14, open_size: bool = False) -> onnx.ModelProto:
    """Export a module with PyTorch's older exporter, which writes sizes as arithmetic."""
    buffer = io.BytesIO()
    axes = {"image": {2: "height", 3: "width"}} if open_size else None
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            module.eval(),
            (torch.zeros(shape),),
            buffer,
            opset_version=opset,
            dynamo=False,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes=axes,
        )
    return onnx.load_from_string(buffer.getvalue())
