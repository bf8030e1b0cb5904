"""The results of scripts/bench: their form (see README.md), and as tables on the terminal."""
SCHEMA = 1
STATS = {"median": float, "q1": float, "q3": float, "n": int}


def check(results):
    """Raises ValueError, naming the place, when `results` is not of the form that README.md describes."""
    def need(condition, where, what):
        if not condition:
            raise ValueError(f"{where}: {what}")

    def fields(value, where, types):
        need(isinstance(value, dict), where, "is not an object")
        for name, kind in types.items():
            need(name in value, where, f"lacks `{name}`")
            given = value[name]
            number = kind is float and isinstance(given, int)
            need((isinstance(given, kind) or number) and not isinstance(given, bool) or kind is bool and given in (True, False),
                 f"{where}.{name}", f"is not of type {kind.__name__}: {given!r}")

    def numbers(value, where, types):
        fields(value, where, types)
        need(value["n"] >= 1 and 0 < value["q1"] <= value["median"] <= value["q3"], where,
             f"wants 0 < q1 <= median <= q3: {value}")

    fields(results, "results", {"schema": int, "date": str, "commit": str, "machine": dict, "settings": dict,
                                "systems": dict, "skipped": list, "sections": list})
    need(results["schema"] == SCHEMA, "schema", f"is {results['schema']}, not {SCHEMA}")
    fields(results["machine"], "machine", {"processor": str, "cores": int, "system": str})
    fields(results["settings"], "settings", {"rounds": int, "seconds": float, "quick": bool})
    for k, entry in enumerate(results["skipped"]):
        fields(entry, f"skipped[{k}]", {"section": str, "system": str, "reason": str, "package": str})
    for section in results["sections"]:
        fields(section, "section", {"name": str, "title": str, "rows": list})
        for row in section["rows"]:
            fields(row, f"{section['name']}: row", {"case": str, "unit": str, "better": str, "threads": int,
                                                    "systems": dict, "ratio": dict, "variants": dict, "limits": dict})
            where = f"{section['name']}: {row['case']}"
            need(row["better"] in ("higher", "lower"), where, f"`better` is {row['better']!r}")
            need("dlc" in row["systems"], where, "has no dlc")
            need(set(row["ratio"]) == set(row["systems"]) - {"dlc"}, where, "a ratio for each peer is wanted")
            for name, value in {**row["systems"], **row["ratio"]}.items():
                numbers(value, f"{where}: {name}", STATS)
            for name, value in row["variants"].items():
                numbers(value, f"{where}: {name}", dict(STATS, speedup=float))
            for name, value in row["limits"].items():
                numbers(value, f"{where}: {name}", dict(STATS, reached=float))


def short(value):
    return f"{value:.0f}" if value >= 1000 else f"{value:.4g}" if value >= 100 else f"{value:.3g}"


def times(ratio):
    return f"{ratio:.2f}x" if ratio < 10 else f"{short(ratio)}x"


def cells(row):
    """Column -> text of one row."""
    ours = row["systems"]["dlc"]
    columns = {"case": row["case"], "threads": str(row["threads"]), "unit": row["unit"], "dlc": short(ours["median"]),
               "quartiles": f"{short(ours['q1'])} - {short(ours['q3'])}"}
    for name, value in row["variants"].items():
        columns[name] = f"{short(value['median'])} ({times(value['speedup'])})"
    for name, value in row["limits"].items():
        columns["of " + name] = f"{100 * value['reached']:.0f}%"
    for name, ratio in row["ratio"].items():
        columns[name] = f"{short(row['systems'][name]['median'])} ({times(ratio['median'])})"
    return columns


def table(section):
    """A section as lines of text. In parentheses how many times as good dlc is as that system."""
    rows = [cells(row) for row in section["rows"]]
    names = list(dict.fromkeys(name for columns in rows for name in columns))
    names.sort(key=lambda n: n.startswith("of "))  # what the machine could do goes last
    if all(columns["threads"] == "1" for columns in rows):
        names = [n for n in names if n != "threads"]
    widths = {n: max(len(n), *(len(columns.get(n, "-")) for columns in rows)) for n in names}
    lines = [section["title"]]
    for columns in [{n: n for n in names}, *rows]:
        lines.append("  ".join(columns.get(n, "-").ljust(widths[n]) if n == "case" else columns.get(n, "-").rjust(widths[n])
                               for n in names).rstrip())
    return lines
