#!/usr/bin/env python3
"""scripts/bench on tiny sizes: every section gives rows, the JSON has its form, the picture is XML with a bar for each
ratio. Of speed nothing is asked.

    quick.py BUILD_DIR"""
import json
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "bench"))
import results  # noqa: E402

SECTIONS = ["gemm", "convolution", "steps", "nets", "sequences", "epochs", "predict", "compile", "vector", "streams", "memory"]
SVG = "{http://www.w3.org/2000/svg}"


def bench(*arguments):
    return subprocess.run([sys.executable, str(ROOT / "scripts/bench"), *arguments], capture_output=True, text=True)


def expect(condition, message):
    if not condition:
        sys.exit(message)


def rejected(broken):
    try:
        results.check(broken)
    except ValueError:
        return True
    return False


def check_run(build):
    with tempfile.TemporaryDirectory() as folder:
        to_json, to_svg = pathlib.Path(folder) / "results.json", pathlib.Path(folder) / "picture.svg"
        done = bench("--quick", "--build", build, "--json", str(to_json), "--picture", str(to_svg))
        expect(done.returncode == 0, f"scripts/bench ended with {done.returncode}\n{done.stdout}{done.stderr}")
        measured = json.loads(to_json.read_text())
        root = xml.etree.ElementTree.parse(to_svg).getroot()
    results.check(measured)
    expect([s["name"] for s in measured["sections"]] == SECTIONS, "not all sections were measured, in their order")
    for section in measured["sections"]:
        expect(section["rows"], f"{section['name']} has no rows")
        expect(section["title"] in done.stdout, f"no table of {section['name']}")
        for row in section["rows"]:
            expect(row["case"] in done.stdout, f"the table of {section['name']} lacks {row['case']}")
    rows = {(s["name"], r["case"]): r for s in measured["sections"] for r in s["rows"]}
    expect("FMA peak" in rows["gemm", "64x64x64"]["limits"], "the products lack the peak of multiply-adds")
    expect(rows["gemm", "10x2x1"]["unit"] == "ns", "a tiny product is not reported as time")
    expect("libm" in rows["vector", "exp"]["ratio"], "vector math lacks libm")
    expect("read" in rows["streams", "sum"]["limits"], "reductions lack the bandwidth of reading")
    expect("C++ loop" in rows["streams", "relu(2x + 1)"]["ratio"], "chains lack the loop beside them")
    bars = [e for e in root.iter(SVG + "rect") if e.find(SVG + "title") is not None]
    peers = {p for r in rows.values() for p in r["ratio"]}
    ratios = sum(len(r["ratio"]) for r in rows.values())
    expect(len(bars) == ratios, f"{len(bars)} bars for {ratios} ratios")
    texts = {e.text for e in root.iter(SVG + "text")}
    expect(peers <= texts, f"the legend lacks {peers - texts}")
    # What is not of the form is found.
    for spoil in (lambda r: r.pop("machine"), lambda r: r.update(schema=0),
                  lambda r: r["sections"][0]["rows"][0]["systems"].pop("dlc"),
                  lambda r: r["sections"][0]["rows"][0]["systems"]["dlc"].update(median=0)):
        broken = json.loads(json.dumps(measured))
        spoil(broken)
        expect(rejected(broken), "results of a wrong form pass the check")


def check_mistakes(build):
    for arguments, message in [(["speed"], "there is no section `speed`"), (["--rounds", "0"], "positive"),
                               (["gemm", "--build", "/nonexistent"], "has no dlc")]:
        done = bench("--build", build, *arguments)
        expect(done.returncode != 0 and message in done.stderr, f"{arguments}: {done.returncode}\n{done.stderr}")


if __name__ == "__main__":
    check_mistakes(sys.argv[1])
    check_run(sys.argv[1])
