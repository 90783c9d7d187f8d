#!/usr/bin/env python3
"""Pictures and what Pillow and NumPy make of them, for images_test.cpp.

    tests/golden/make_image_golden.py     (python3-pil, python3-numpy)

Writes images/NAME.jpg and .png; NAME.pixels, the decoded bytes as Pillow has them (16 bits: nearest
of 8, by NumPy); and NAME.C.H.W.FIT.f32, the features, computed in float64 straight from the formula
in chorus/client/images.hpp and compared with Pillow's resize before they are written.
"""
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image

FOLDER = pathlib.Path(__file__).parent / "images"
WIDTH, HEIGHT = 13, 9


def picture():
    """A smooth picture with an edge: u8[HEIGHT, WIDTH, 3]."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    red = 20 + 17 * x
    green = 250 - 25 * y
    blue = np.where(x + y > 10, 230, 30)
    return np.stack([red, green, blue], axis=2).clip(0, 255).astype(np.uint8)


def chunk(kind, data):
    crc = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def write_png(path, samples, colour, interlaced=False):
    """What Pillow cannot write: 16-bit colours, Adam7. samples: u8 or u16 [h, w, c]."""
    height, width = samples.shape[:2]
    depth = 8 * samples.itemsize
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4),
                  (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b""
    for x, y, step_x, step_y in passes:
        part = samples[y::step_y, x::step_x]
        if part.size:
            rows += b"".join(b"\0" + row.astype(">u%d" % samples.itemsize).tobytes()
                             for row in part)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) +
                     chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def write_pictures():
    rgb = picture()
    image = Image.fromarray(rgb)
    grey = image.convert("L")
    image.save(FOLDER / "rgb.jpg", quality=90)
    image.save(FOLDER / "progressive.jpg", quality=90, progressive=True)
    grey.save(FOLDER / "grey.jpg", quality=90)
    image.convert("CMYK").save(FOLDER / "cmyk.jpg", quality=90)
    image.save(FOLDER / "rgb.png")
    grey.save(FOLDER / "grey.png")
    alpha = image.copy()
    alpha.putalpha(Image.fromarray((rgb[..., 0] // 2)))
    alpha.save(FOLDER / "rgba.png")
    grey.convert("1").save(FOLDER / "bit.png")
    palette = image.quantize(16)
    palette.save(FOLDER / "palette.png", transparency=3)
    write_png(FOLDER / "interlaced.png", rgb, 2, interlaced=True)
    wide = rgb.astype(np.uint16) * 257 - (rgb > 100) * np.uint16(100)
    write_png(FOLDER / "rgb16.png", wide, 2)
    return {"rgb16.png": np.round(wide / 257.0).astype(np.uint8)}


def taps(pixels, start, length, outputs):
    """f64[outputs, pixels]: U of the formula."""
    step = length / outputs
    i = np.arange(pixels) + 0.5
    centre = start + (np.arange(outputs) + 0.5) * step
    k = np.maximum(0.0, 1.0 - np.abs(i[None, :] - centre[:, None]) / max(step, 1.0))
    return k / k.sum(axis=1, keepdims=True)


def features(pixels, shape, fit):
    channels, height, width = shape
    h, w = pixels.shape[:2]
    part_w, part_h = float(w), float(h)
    if fit == "crop":
        part_w, part_h = min(w, h * width / height), min(h, w * height / width)
    x0, y0 = (w - part_w) / 2, (h - part_h) / 2
    values = pixels.reshape(h, w, -1) / 255.0
    if channels == 1 and values.shape[2] == 3:
        values = values @ np.array([0.299, 0.587, 0.114])[:, None]
    if channels == 3 and values.shape[2] == 1:
        values = np.repeat(values, 3, axis=2)
    out = np.einsum("yj,xi,jic->cyx", taps(h, y0, part_h, height), taps(w, x0, part_w, width),
                    values)
    image = Image.fromarray(pixels).convert("L" if channels == 1 else "RGB")
    theirs = np.asarray(image.resize((width, height), Image.BILINEAR,
                                     box=(x0, y0, x0 + part_w, y0 + part_h)))
    theirs = theirs.reshape(height, width, channels).transpose(2, 0, 1) / 255.0
    assert np.abs(out - theirs).max() < 1.6 / 255, (shape, fit, np.abs(out - theirs).max())
    return out.astype("<f4")


def main():
    FOLDER.mkdir(exist_ok=True)
    known = write_pictures()
    for path in sorted(FOLDER.glob("*.jpg")) + sorted(FOLDER.glob("*.png")):
        if path.name == "cmyk.jpg":
            continue
        if path.name in known:
            pixels = known[path.name]
        else:
            image = Image.open(path)
            pixels = np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
        (FOLDER / (path.name + ".pixels")).write_bytes(pixels.tobytes())
        cases = []
        if path.name == "rgb.png":
            cases = [((3, 9, 13), "stretch"), ((3, 4, 4), "crop"), ((1, 5, 3), "stretch"),
                     ((3, 20, 30), "stretch"), ((3, 6, 2), "crop"), ((1, 1, 1), "crop")]
        if path.name == "grey.png":
            cases = [((3, 7, 5), "crop")]
        for shape, fit in cases:
            name = ".".join([path.name] + [str(n) for n in shape] + [fit, "f32"])
            (FOLDER / name).write_bytes(features(pixels, shape, fit).tobytes())


if __name__ == "__main__":
    main()
