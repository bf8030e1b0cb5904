#!/usr/bin/env python3
"""Draws the results of scripts/bench as an SVG picture: a bar for each peer, how many times as good dlc is.

    bench/picture.py RESULTS.json PICTURE.svg"""
import json
import math
import pathlib
import sys
from xml.sax.saxutils import escape

WIDTH, LABELS, RIGHT, BAR, GAP = 980, 320, 90, 10, 8
# Told apart by lightness as well as hue; they stand out on white and on near-black.
COLOURS = ["#4477aa", "#cc7733", "#228866", "#aa4499", "#999933", "#66aacc", "#bb5566", "#777777", "#7766dd", "#dd9999", "#55aa55",
           "#886644"]
STYLE = """
  svg { color: #1f2328 } .paper { fill: #ffffff }
  text { font: 12px system-ui, sans-serif; fill: currentColor }
  .title { font-size: 15px; font-weight: 600 } .small { font-size: 10px } .end { text-anchor: end } .mid { text-anchor: middle }
  .grid { stroke: currentColor; opacity: .15 } .one { stroke: currentColor; opacity: .8 }
  .spread { stroke: currentColor; opacity: .7 }
  @media (prefers-color-scheme: dark) { svg { color: #e6edf3 } .paper { fill: #0d1117 } }
"""


def colours_of(results):
    peers = dict.fromkeys(p for s in results["sections"] for r in s["rows"] for p in r["ratio"])
    return {peer: COLOURS[k % len(COLOURS)] for k, peer in enumerate(peers)}


def ticks_of(low, high):
    """1, 2, 5, 10, ... or, where those are many, powers of ten."""
    for digits in (1, 2, 5), (1,):
        ticks = [m * 10.0**e for e in range(-6, 9) for m in digits if low <= m * 10.0**e <= high]
        if len(ticks) <= 9:
            break
    return ticks


class Drawing:
    def __init__(self):
        self.parts, self.y = [], 0

    def text(self, x, y, text, classes=""):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{classes}">{escape(text)}</text>')

    def line(self, x1, y1, x2, y2, classes):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{classes}"/>')

    def rect(self, x, y, width, height, colour, title=""):
        title = f"<title>{escape(title)}</title>" if title else ""
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}">'
                          f"{title}</rect>")


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def times(ratio):
    return f"{ratio:.2f}x" if ratio < 10 else f"{ratio:.1f}x" if ratio < 100 else f"{ratio:.0f}x"


def draw_section(d, section, colours):
    rows = [r for r in section["rows"] if r["ratio"]]
    if not rows:
        return
    ratios = [v for r in rows for s in r["ratio"].values() for v in (s["q1"], s["q3"])]
    low, high = min(0.8, *ratios), max(1.25, *ratios)
    low, high = low / (high / low)**0.03, high * (high / low)**0.03

    def x_of(ratio):  # logarithmic: twice as good is as far from 1 as half as good
        return LABELS + (WIDTH - LABELS - RIGHT) * math.log(ratio / low) / math.log(high / low)

    d.y += 34
    d.text(16, d.y, section["title"], "title")
    d.y += 12
    top = d.y
    bottom = top + 18 + sum(len(r["ratio"]) * BAR + GAP for r in rows)
    for tick in ticks_of(low, high):
        d.line(x_of(tick), top + 16, x_of(tick), bottom, "one" if tick == 1 else "grid")
        d.text(x_of(tick), top + 10, f"{number(tick)}x", "small mid")
    d.y += 18 + GAP / 2
    threads_differ = len({r["threads"] for r in rows}) > 1
    for r in rows:
        name = r["case"] + (f", {r['threads']} thread{'s' * (r['threads'] > 1)}" if threads_differ else "")
        d.text(LABELS - 12, d.y + len(r["ratio"]) * BAR / 2 + 4, name, "end")
        for peer, ratio in r["ratio"].items():
            left, right = sorted((x_of(1), x_of(ratio["median"])))
            d.rect(left, d.y + 1, max(right - left, 1), BAR - 2, colours[peer],
                   f"{peer}: {number(r['systems'][peer]['median'])} {r['unit']}, "
                   f"dlc: {number(r['systems']['dlc']['median'])} {r['unit']}")
            d.line(x_of(ratio["q1"]), d.y + BAR / 2, x_of(ratio["q3"]), d.y + BAR / 2, "spread")
            d.text(max(x_of(1), x_of(ratio["q3"])) + 4, d.y + BAR - 1.5, times(ratio["median"]), "small")
            d.y += BAR
        d.y += GAP


def draw(results):
    colours = colours_of(results)
    d = Drawing()
    d.y = 30
    d.text(16, d.y, "How many times as good dlc is", "title")
    d.y += 20
    machine = results["machine"]
    d.text(16, d.y, f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; medians of "
                    f"{results['settings']['rounds']} rounds, quartiles as lines; logarithmic")
    d.y += 22
    x = 16
    for peer, colour in colours.items():
        if x + 40 + 7 * len(peer) > WIDTH:
            x, d.y = 16, d.y + 18
        d.rect(x, d.y - 10, 11, 11, colour)
        d.text(x + 16, d.y, peer)
        x += 40 + 7 * len(peer)
    for section in results["sections"]:
        draw_section(d, section, colours)
    height = d.y + 20
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" '
            f'viewBox="0 0 {WIDTH} {height:.0f}">\n<style>{STYLE}</style>\n<rect class="paper" width="100%" height="100%"/>\n' + "\n".join(d.parts) + "\n</svg>\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    pathlib.Path(sys.argv[2]).write_text(draw(json.loads(pathlib.Path(sys.argv[1]).read_text())))
