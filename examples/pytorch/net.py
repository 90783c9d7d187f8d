"""A small convolutional network for 8 × 8 digits, as one would write it in PyTorch."""
from torch import nn


def digits():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Dropout(0.1), nn.Linear(256, 10))
