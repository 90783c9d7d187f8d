#!/usr/bin/env python3
"""Writes wav/*: short WAV files, and the log-mel features that NumPy computes for one of them.

    /usr/bin/python3 tests/golden/make_wav_golden.py        (Debian: python3-numpy)

Files are written from the description of RIFF WAVE, not by a library. The features follow the
formula in client/include/chorus/client/audio.hpp with numpy.fft; log_mel.npy is float64, 20 bands
by 11 windows.
"""
import pathlib
import struct

import numpy as np

HERE = pathlib.Path(__file__).parent / "wav"
RATE = 8000


def chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def wav(kind, bits, channels, data, extra=b""):
    frame = channels * bits // 8
    fmt = struct.pack("<HHIIHH", kind, channels, RATE, RATE * frame, frame, bits) + extra
    body = b"WAVE" + chunk(b"fmt ", fmt) + chunk(b"LIST", b"odd") + chunk(b"data", data)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def log_mel(x, rate, window, hop, fft, mels, low, high, eps):
    w = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    frames = np.lib.stride_tricks.sliding_window_view(x, window)[::hop]
    power = np.abs(np.fft.rfft(frames * w, fft)) ** 2
    mel = lambda hz: 2595 * np.log10(1 + hz / 700)
    points = np.linspace(mel(low), mel(high), mels + 2)
    edges = 700 * (10 ** (points / 2595) - 1)
    hz = np.arange(fft // 2 + 1) * rate / fft
    bank = [np.clip(np.minimum((hz - a) / (b - a), (c - hz) / (c - b)), 0, None)
            for a, b, c in zip(edges, edges[1:], edges[2:])]
    return np.log(np.array(bank) @ power.T + eps)


HERE.mkdir(exist_ok=True)
# Four frames of two channels: the mean of left and right is what a reader must give.
left = np.array([0.5, -1.0, 0.25, 0.0])
right = np.array([0.5, -0.5, -0.25, 0.5])
both = np.stack([left, right], axis=1).ravel()
u8 = (both * 128 + 128).astype("u1").tobytes()
i24 = b"".join(struct.pack("<i", int(v * 2**23))[:3] for v in both)
guid = b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
(HERE / "u8.wav").write_bytes(wav(1, 8, 2, u8))
(HERE / "i16.wav").write_bytes(wav(1, 16, 2, (both * 2**15).astype("<i2").tobytes()))
(HERE / "i24.wav").write_bytes(wav(1, 24, 2, i24))
(HERE / "i32.wav").write_bytes(wav(1, 32, 2, (both * 2**31).astype("<i4").tobytes()))
(HERE / "f32.wav").write_bytes(wav(3, 32, 2, both.astype("<f4").tobytes()))
(HERE / "f64.wav").write_bytes(wav(3, 64, 2, both.astype("<f8").tobytes()))
(HERE / "extensible.wav").write_bytes(
    wav(0xFFFE, 16, 2, (both * 2**15).astype("<i2").tobytes(),
        struct.pack("<HHIH", 22, 16, 3, 1) + guid))

t = np.arange(1000)
sound = 0.4 * np.sin(2 * np.pi * 440 * t / RATE) + 0.2 * np.sin(2 * np.pi * (500 + t) * t / RATE)
sound[600:700] = 0
samples = np.round(sound * 2**15).astype("<i2")
(HERE / "tone.wav").write_bytes(wav(1, 16, 1, samples.tobytes()))
np.save(HERE / "log_mel.npy",
        np.ascontiguousarray(log_mel(samples / 2**15, RATE, 200, 80, 256, 20, 60, 3800, 1e-6)))
