"""Runs Autobahn cases against a server that is already there, and judges the outcome.

Exit status 0: the expected number of cases ran and each ended as it must. Python and packages as
made by `setup`.
"""

import argparse
import asyncio
import collections
import fnmatch
import json
import pathlib
import sys

import port

ACCEPTED = {"OK", "INFORMATIONAL"}
MESSAGE_TOO_BIG = 1009
POLICY_VIOLATION = 1008

# Most cases give their server less, those that cut writes to pieces give it 1000 s.
CASE_SECONDS = 150
# Most cases sleep for a second to see that nothing happens. Those of group 9 keep a processor
# busy, and so run alone.
SIDE_BY_SIDE = 8


def main():
    options = parse_options()
    cases = port.load_cases(options.packages)
    wanted = [number for number in cases if matches(number, options.cases)]
    outcomes = asyncio.run(run_all(options.url, cases, wanted))
    faults = judge(outcomes, options)
    print_summary(outcomes)
    for number, outcome in outcomes.items():
        if outcome.behavior == "NON-STRICT":
            print(f"non-strict {number}: {outcome.result}")
    for fault in faults:
        print(f"WRONG {fault}")
    if options.json:
        write_json(options.json, options.url, outcomes, faults)
    print(f"{len(outcomes)} cases, {len(faults)} wrong")
    return 1 if faults else 0


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="WebSocket URL that echoes messages")
    parser.add_argument("cases", help="comma-separated patterns, such as 1.*,9.1.[2-6]")
    parser.add_argument("--packages", type=pathlib.Path, required=True)
    parser.add_argument("--expect", type=int, required=True, help="how many cases must run")
    parser.add_argument(
        "--non-strict", default="", help="patterns of cases that may end NON-STRICT"
    )
    parser.add_argument("--limit", type=int, help="the server's message limit in bytes")
    parser.add_argument(
        "--over-limit", default="", help="cases that send more than --limit: must be closed by 1009"
    )
    parser.add_argument(
        "--over-fragments",
        default="",
        help="cases that send more than --limit, in so many fragments: must be closed by 1008",
    )
    parser.add_argument("--json", type=pathlib.Path, help="where to write the results")
    options = parser.parse_args()
    for name in ("cases", "non_strict", "over_limit", "over_fragments"):
        setattr(options, name, [p for p in getattr(options, name).split(",") if p])
    return options


def matches(number, patterns):
    return any(fnmatch.fnmatchcase(number, pattern) for pattern in patterns)


async def run_all(url, cases, wanted):
    import client  # needs the packages that load_cases has put in reach

    outcomes = {}
    left = collections.Counter(group(number) for number in wanted)

    async def run(number):
        outcomes[number] = await client.run_case(url, cases[number], CASE_SECONDS)
        left[group(number)] -= 1
        if left[group(number)] == 0:
            print(f"group {group(number)} done, {len(outcomes)} of {len(wanted)}", flush=True)

    places = asyncio.Semaphore(SIDE_BY_SIDE)

    async def run_in_place(number):
        async with places:
            await run(number)

    light = [number for number in wanted if group(number) != "9"]
    async with asyncio.TaskGroup() as tasks:
        for number in light:
            tasks.create_task(run_in_place(number))
    for number in wanted:
        if number not in outcomes:
            await run(number)
    return {number: outcomes[number] for number in wanted}


def group(number):
    return number.partition(".")[0]


def judge(outcomes, options):
    """What is wrong, one sentence for each fault."""
    faults = []
    if len(outcomes) != options.expect:
        faults.append(f"{len(outcomes)} cases ran instead of {options.expect}")
    for number, outcome in outcomes.items():
        refused = refusal(number, options)
        over = options.limit is not None and outcome.longest_message > options.limit
        if over != (refused is not None):
            faults.append(
                f"{number}: its longest message has {outcome.longest_message} bytes, "
                "which the lists of refused cases do not say"
            )
        if refused is not None:
            if outcome.close_code != refused:
                faults.append(f"{number}: closed with {outcome.close_code}, not {refused}")
            continue
        accepted = ACCEPTED | ({"NON-STRICT"} if matches(number, options.non_strict) else set())
        if outcome.behavior not in accepted:
            faults.append(f"{number}: {outcome.behavior}: {outcome.result}")
        if outcome.behavior_close not in ACCEPTED:
            faults.append(f"{number}: close {outcome.behavior_close}: {outcome.result_close}")
    return faults


def refusal(number, options):
    """The close code with which this case must be refused, or None."""
    if matches(number, options.over_limit):
        return MESSAGE_TOO_BIG
    if matches(number, options.over_fragments):
        return POLICY_VIOLATION
    return None


def print_summary(outcomes):
    behaviors = collections.defaultdict(collections.Counter)
    for number, outcome in outcomes.items():
        behaviors[group(number)][outcome.behavior] += 1
    columns = sorted({name for counts in behaviors.values() for name in counts})
    print("group  cases  " + "  ".join(columns))
    for name, counts in behaviors.items():
        cells = (str(counts[column]).rjust(len(column)) for column in columns)
        print(f"{name:>5}  {counts.total():>5}  " + "  ".join(cells))


def write_json(path, url, outcomes, faults):
    path.parent.mkdir(parents=True, exist_ok=True)
    cases = {number: vars(outcome) for number, outcome in outcomes.items()}
    path.write_text(json.dumps({"url": url, "faults": faults, "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
