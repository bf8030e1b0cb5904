"""The convolutional example models in PyTorch, as a user writes them."""
import torch
from torch import nn


class Residual(nn.Module):
    def __init__(self, n, m, stride=1):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(n, m, 3, padding=1, stride=stride), nn.BatchNorm2d(m)
        self.conv2, self.norm2 = nn.Conv2d(m, m, 3, padding=1), nn.BatchNorm2d(m)
        self.skip = nn.Conv2d(n, m, 1, stride=stride) if stride != 1 or n != m else nn.Identity()

    def forward(self, x):
        y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        return torch.relu(y + self.skip(x))


def conv_relu(n, m, kernel, **settings):
    return [nn.Conv2d(n, m, kernel, **settings), nn.ReLU()]


class Inception(nn.Module):
    def __init__(self, n, c1, c2, c3, c4):
        super().__init__()
        self.paths = nn.ModuleList([
            nn.Sequential(*conv_relu(n, c1, 1)),
            nn.Sequential(*conv_relu(n, c2[0], 1), *conv_relu(c2[0], c2[1], 3, padding=1)),
            nn.Sequential(*conv_relu(n, c3[0], 1), *conv_relu(c3[0], c3[1], 5, padding=2)),
            nn.Sequential(nn.MaxPool2d(3, 1, 1), *conv_relu(n, c4, 1))])

    def forward(self, x):
        return torch.cat([path(x) for path in self.paths], 1)


class DenseBlock(nn.Module):
    def __init__(self, convs, n, growth):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(n + k * growth), nn.ReLU(), nn.Conv2d(n + k * growth, growth, 3, padding=1))
            for k in range(convs))

    def forward(self, x):
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


def transition(n, m):
    return nn.Sequential(nn.BatchNorm2d(n), nn.ReLU(), nn.Conv2d(n, m, 1), nn.AvgPool2d(2))


def stem():
    return [nn.Conv2d(1, 64, 7, 2, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]


def mean_of_places(channels):
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]


def classifier(n, units):
    return [nn.Flatten(), nn.Linear(n, units), nn.ReLU(), nn.Dropout(0.5), nn.Linear(units, units), nn.ReLU(),
            nn.Dropout(0.5), nn.Linear(units, 10)]


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.Sigmoid(), nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10))


def alexnet():
    return nn.Sequential(
        *conv_relu(1, 96, 11, stride=4, padding=1), nn.MaxPool2d(3, 2), *conv_relu(96, 256, 5, padding=2), nn.MaxPool2d(3, 2),
        *conv_relu(256, 384, 3, padding=1), *conv_relu(384, 384, 3, padding=1), *conv_relu(384, 256, 3, padding=1),
        nn.MaxPool2d(3, 2), *classifier(6400, 4096))


def vgg(ratio=8):
    layers, n = [], 1
    for convs, channels in ((1, 64), (1, 128), (2, 256), (2, 512), (2, 512)):
        for _ in range(convs):
            layers += conv_relu(n, channels // ratio, 3, padding=1)
            n = channels // ratio
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, *classifier(n * 49, 4096 // ratio))


def googlenet():
    pool = lambda: nn.MaxPool2d(3, 2, 1)
    return nn.Sequential(
        *conv_relu(1, 64, 7, stride=2, padding=3), pool(), *conv_relu(64, 64, 1), *conv_relu(64, 192, 3, padding=1), pool(),
        Inception(192, 64, (96, 128), (16, 32), 32), Inception(256, 128, (128, 192), (32, 96), 64), pool(),
        Inception(480, 192, (96, 208), (16, 48), 64), Inception(512, 160, (112, 224), (24, 64), 64),
        Inception(512, 128, (128, 256), (24, 64), 64), Inception(512, 112, (144, 288), (32, 64), 64),
        Inception(528, 256, (160, 320), (32, 128), 128), pool(),
        Inception(832, 256, (160, 320), (32, 128), 128), Inception(832, 384, (192, 384), (48, 128), 128),
        *mean_of_places(1024))


def resnet18():
    blocks = [Residual(n, m, s) for n, m, s in ((64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2),
                                               (256, 256, 1), (256, 512, 2), (512, 512, 1))]
    return nn.Sequential(*stem(), *blocks, *mean_of_places(512))


def densenet():
    layers, n = [], 64
    for block in range(4):
        layers.append(DenseBlock(4, n, 32))
        n += 4 * 32
        if block < 3:
            layers.append(transition(n, n // 2))
            n //= 2
    return nn.Sequential(*stem(), *layers, nn.BatchNorm2d(n), nn.ReLU(), *mean_of_places(n))
