"""Contrast by WCAG 2.2: relative luminance, (L1 + 0.05) / (L2 + 0.05)."""

import re

import pytest

from assay.ui import assets

TOKENS = (assets.DIRECTORY / "tokens.css").read_text()
PAIRS = re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", TOKENS)
THEMES = {"light": {name: light for name, light, _ in PAIRS}, "dark": {name: dark for name, _, dark in PAIRS}}

SURFACES = ["paper", "surface", "sunken", "hover"]
TEXT = [(ink, ground) for ink in ("ink", "ink-2", "ink-3", "accent") for ground in SURFACES]
TONES = ["better", "worse", "equivalent", "inconclusive", "invalid", "warning", "running"]
TEXT += [(tone, ground) for tone in TONES for ground in (f"{tone}-soft", "surface", "paper")]
TEXT += [("ink", f"{tone}-soft") for tone in TONES] + [
    ("ink", "accent-soft"),
    ("ink-2", "neutral-soft"),
    ("on-accent", "accent"),
]
GRAPHICS = [
    (name, "surface")
    for name in ("focus", "control-line", "kind-model", "kind-task", "kind-tool", "kind-other")
]


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_signs_can_be_read_in_both_themes(theme: str) -> None:
    colours = THEMES[theme]
    weak = {
        (a, b): round(contrast(colours[a], colours[b]), 2)
        for a, b in TEXT
        if contrast(colours[a], colours[b]) < 4.5
    }
    faint = {
        (a, b): round(contrast(colours[a], colours[b]), 2)
        for a, b in GRAPHICS
        if contrast(colours[a], colours[b]) < 3
    }
    assert weak == {}
    assert faint == {}


def test_only_tokens_name_colours() -> None:
    for name in ("assay.css", "charts.css"):
        if name in assets.ASSETS:
            assert not re.search(r"#[0-9a-f]{3,8}\b(?![^{]*\{)", assets.ASSETS[name].body.decode()), name
