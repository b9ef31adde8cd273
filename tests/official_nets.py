"""Networks as other codebases build them, written anew: their names of layers, and how they compute."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv3(inside: int, outside: int, stride: int = 1, padding: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 3, stride, padding, bias=False)


class TradesBlock(nn.Module):
    """A projection wherever the number of channels changes; it takes what the first activation gives."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inside), conv3(inside, outside, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(outside), conv3(outside, outside)
        self.convShortcut = nn.Conv2d(inside, outside, 1, stride, bias=False) if inside != outside else None

    def forward(self, x: Tensor) -> Tensor:
        active = torch.relu(self.bn1(x))
        out = self.conv2(torch.relu(self.bn2(self.conv1(active))))
        return out + (x if self.convShortcut is None else self.convShortcut(active))


class TradesGroup(nn.Module):
    def __init__(self, blocks: int, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(
            *(TradesBlock(outside if i else inside, outside, 1 if i else stride) for i in range(blocks))
        )


class TradesWideResNet(nn.Module):
    """With the group that its authors' code builds and never calls."""

    def __init__(self, depth: int, width: int, classes: int = 10, sub_block: bool = True) -> None:
        super().__init__()
        n, a, b, c = (depth - 4) // 6, 16 * width, 32 * width, 64 * width
        self.conv1 = conv3(3, 16)
        self.block1 = TradesGroup(n, 16, a, 1)
        if sub_block:
            self.sub_block1 = TradesGroup(n, 16, a, 1)
        self.block2, self.block3 = TradesGroup(n, a, b, 2), TradesGroup(n, b, c, 2)
        self.bn1, self.fc = nn.BatchNorm2d(c), nn.Linear(c, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        for group in (self.block1, self.block2, self.block3):
            x = group.layer(x)
        return self.fc(F.avg_pool2d(torch.relu(self.bn1(x)), 8).flatten(1))


class GowalBlock(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int, active: nn.Module) -> None:
        super().__init__()
        self.batchnorm_0, self.conv_0 = nn.BatchNorm2d(inside), conv3(inside, outside, stride, 0)
        self.batchnorm_1, self.conv_1 = nn.BatchNorm2d(outside), conv3(outside, outside)
        self.shortcut = nn.Conv2d(inside, outside, 1, stride, bias=False) if inside != outside else None
        self.around, self.active = (1, 1, 1, 1) if stride == 1 else (0, 1, 0, 1), active

    def forward(self, x: Tensor) -> Tensor:
        active = self.active(self.batchnorm_0(x))
        out = self.conv_0(F.pad(active, self.around))
        out = self.conv_1(self.active(self.batchnorm_1(out)))
        return out + (x if self.shortcut is None else self.shortcut(active))


class GowalGroup(nn.Module):
    def __init__(self, blocks: int, inside: int, outside: int, stride: int, active: nn.Module) -> None:
        super().__init__()
        pairs = [(outside if i else inside, 1 if i else stride) for i in range(blocks)]
        self.block = nn.Sequential(*(GowalBlock(before, outside, step, active) for before, step in pairs))

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class GowalWideResNet(nn.Module):
    """It normalises itself, by buffers; pads as TensorFlow does."""

    def __init__(self, depth: int, width: int, classes: int = 10, active: type[nn.Module] = nn.SiLU) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1))
        self.register_buffer("std", torch.tensor([0.2471, 0.2435, 0.2616]).view(3, 1, 1))
        n, widths = (depth - 4) // 6, [16, 16 * width, 32 * width, 64 * width]
        self.init_conv, self.active = conv3(3, 16), active()
        groups = zip(widths, widths[1:], (1, 2, 2), strict=False)
        self.layer = nn.Sequential(*(GowalGroup(n, a, b, stride, self.active) for a, b, stride in groups))
        self.batchnorm, self.logits = nn.BatchNorm2d(widths[3]), nn.Linear(widths[3], classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(self.init_conv((x - self.mean) / self.std))
        return self.logits(F.avg_pool2d(self.active(self.batchnorm(x)), 8).flatten(1))


class PreActBlock18(nn.Module):
    """``raw``: the projection takes the input as it is."""

    def __init__(self, inside: int, outside: int, stride: int, raw: bool) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inside), conv3(inside, outside, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(outside), conv3(outside, outside)
        if stride > 1 or inside != outside:
            self.shortcut = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False))
        self.raw = raw

    def forward(self, x: Tensor) -> Tensor:
        active = torch.relu(self.bn1(x))
        skip = self.shortcut(x if self.raw else active) if hasattr(self, "shortcut") else x
        return self.conv2(torch.relu(self.bn2(self.conv1(active)))) + skip


class OfficialPreActResNet18(nn.Module):
    def __init__(self, classes: int = 10, final_norm: bool = True, raw: bool = False) -> None:
        super().__init__()
        self.conv1, inside = conv3(3, 64), 64
        for number, outside in enumerate((64, 128, 256, 512), 1):
            first = PreActBlock18(inside, outside, 1 if number == 1 else 2, raw)
            setattr(self, f"layer{number}", nn.Sequential(first, PreActBlock18(outside, outside, 1, raw)))
            inside = outside
        if final_norm:
            self.bn = nn.BatchNorm2d(512)
        self.linear = nn.Linear(512, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.conv1(x)))))
        x = torch.relu(self.bn(x)) if hasattr(self, "bn") else x
        return self.linear(F.avg_pool2d(x, 4).flatten(1))
