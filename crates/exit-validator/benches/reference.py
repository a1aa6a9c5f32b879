#!/usr/bin/env python3
"""The same merging in plain Python: result files and a previous report in, a report out.

What the benchmark compares with. No history, no checks of what is read, no syncing.

usage: reference.py ANALYSIS_DIR PREVIOUS OUTPUT
"""

import json
import os
import sys

TESTED = ("success", "wrong_ip", "dns_fail", "timeout")
STATUSES = TESTED + ("circuit_fail", "error", "exception")
MARKS = dict(zip(STATUSES, "swdtcex"))


def main():
    directory, previous_path, output = sys.argv[1:]
    with open(os.path.join(directory, "run.json")) as file:
        run = json.load(file)
    with open(previous_path) as file:
        previous = json.load(file)
    known = {row["exit_fingerprint"]: row for row in previous["results"]}
    absent = {row["exit_fingerprint"]: row for row in previous["absent"]}

    results = []
    for name in sorted(os.listdir(directory)):
        if not name.startswith("dnshealth_"):
            continue
        with open(os.path.join(directory, name)) as file:
            row = json.load(file)
        before = known.pop(row["exit_fingerprint"], None) or absent.pop(row["exit_fingerprint"], {})
        failures = before.get("consecutive_failures", 0)
        since = before.get("failing_since")
        success = before.get("last_success")
        if row["status"] == "success":
            failures, since, success = 0, None, run["ended"]
        elif row["status"] in TESTED:
            failures, since = failures + 1, since or run["ended"]
        row["consecutive_failures"] = failures
        row["failing_since"] = since
        row["last_success"] = success
        row["recent"] = (before.get("recent", "") + MARKS[row["status"]])[-60:]
        if row["status"] == "success":
            row["attempts"] = []
        row["relay"].pop("family")
        results.append(row)

    counts = {status: 0 for status in STATUSES}
    codes, by_ip = {}, {}
    failures = []
    for row in results:
        counts[row["status"]] += 1
        if row["error_code"]:
            codes[row["error_code"]] = codes.get(row["error_code"], 0) + 1
        if row["status"] in TESTED[1:]:
            failures.append(row)
            by_ip.setdefault(row["exit_address"], []).append(row["exit_fingerprint"])
    times = sorted(row["latency_ms"] for row in results if row["status"] == "success")
    tested = sum(counts[status] for status in TESTED)
    for row in list(known.values()) + list(absent.values()):
        row["recent"] = (row["recent"] + ".")[-60:]
    report = {
        "metadata": {
            "timestamp": run["ended"],
            "total_relays": len(results),
            **counts,
            "success_rate_percent": round(100 * counts["success"] / len(results), 2),
            "dns_success_rate_percent": round(100 * counts["success"] / tested, 2),
            "error_codes": codes,
            "resolve_ms": {p: times[len(times) * p // 100] for p in (50, 90, 95, 99)},
        },
        "results": results,
        "failures": failures,
        "failures_by_ip": by_ip,
        "absent": list(known.values()) + list(absent.values()),
    }
    with open(output, "w") as file:
        json.dump(report, file)


main()
