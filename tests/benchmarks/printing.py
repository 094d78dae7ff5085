"""The report as people read it."""

from typing import Any


def show(report: dict[str, Any]) -> None:
    """Print a report: the ground first, then each case."""
    machine, made = report["machine"], report["input"]
    print(", ".join(f"{name} {number}" for name, number in machine["versions"].items()))
    print(f"{machine['cores']} cores, {machine['memory_mb']:,} MB")
    print("server: " + ", ".join(f"{name} {value}" for name, value in machine["server"].items()))
    print(
        f"input: {made['records']:,} records of {made['bytes_a_record']} bytes, {made['accounts']:,} accounts,"
        f" {made['classes']} classes, {made['workers']} workers, seed {made['seed']}"
    )
    for name, case in report["cases"].items():
        print(f"\n{name}")
        for line in _lines(case):
            print(f"  {line}")


def _lines(case: dict[str, Any]) -> list[str]:
    lines = [f"load      {case['load_before']:.1f} on the machine before"]
    lines += [f"took      {case['wall_seconds']:.2f} s, {case['records_a_second']:,.0f} records/s"]
    if "limit_seconds" in case:
        lines.append(f"          of that receiving the file {case['receive_seconds']:.2f} s")
        lines.append(f"limit     {case['limit_seconds']:.2f} s")
        for table, runs in case["limit_runs"].items():
            copied = case["limit_rows"][table]
            told = ", ".join(f"{seconds:.2f}" for seconds in runs)
            lines.append(f"          {table}: {told} s for {copied['rows']:,} rows, {copied['bytes']:,} bytes")
        lines.append("memory    " + ", ".join(f"{peak} MB" for peak in case["worker_peak_mb"]) + " at most, by worker")
    elif "post_to_charge_seconds" in case:
        lines += _since_post(case)
    elif "reading_seconds" in case:
        lines.append(f"limit     {case['reading_seconds']:.2f} s to read every charge with its UDR")
        lines.append("memory    " + ", ".join(f"{peak} MB" for peak in case["worker_peak_mb"]) + " at most, by worker")
    elif "held" in case:
        lines.append(f"empty     {case['empty_seconds']:.2f} s; this with {case['held']:,} UDRs there already")
        lines += [f"page      {taken:6.0f} ms  {name}" for name, taken in list(case["page_milliseconds"].items())[:12]]
        for name, shares in case["usage_milliseconds"].items():
            lines.append(f"usage     p50 {shares['p50']:.0f} ms, p95 {shares['p95']:.0f} ms  {name}")
    elif "plain_seconds" in case:
        lines += _beside_plain(case)
    else:
        lines.append(f"limit     {case['limit_records_a_second']:,.0f} records/s")
        for name, rates in case["turns"].items():
            lines.append(f"          {name}: " + ", ".join(f"{rate:,.0f}" for rate in rates) + " records/s by turn")
    lines.append(f"ratio     {case['ratio']:.2f}; must be {case['must']}, aim {case['aim']}; reaches {case['reaches']}")
    return lines + [f"{'right' if is_right else 'WRONG':9} {check}" for check, is_right in case["checks"].items()]


def _since_post(case: dict[str, Any]) -> list[str]:
    lines = []
    for title, name in (("answer", "post_to_answer_seconds"), ("charge", "post_to_charge_seconds")):
        told = ", ".join(f"{share} {seconds * 1_000:,.0f} ms" for share, seconds in case[name].items())
        lines.append(f"{title:9} {told} after the post was due")
    lines.append(f"load      the latest post left {case['latest_start_seconds'] * 1_000:,.0f} ms after it was due;")
    lines.append(f"          sending and looking used {case['load_cpu_share']:.0%} of a core")
    return lines


def _beside_plain(case: dict[str, Any]) -> list[str]:
    lines = [f"plain     {case['plain_seconds']:.2f} s"]
    for name, seconds in case["turns"].items():
        told = zip(seconds, case["loads"][name], strict=True)
        lines.append(f"          {name}: " + ", ".join(f"{each:.2f} s (load {load:.1f})" for each, load in told))
    steps = ", ".join(f"{name} {seconds * 1_000:.0f} ms" for name, seconds in case["part_seconds"].items())
    lines.append(f"a part    of {case['part_records']:,} rows, CPU: {steps}; together {case['part_ratio']:.2f} times")
    return lines
