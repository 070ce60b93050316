#!/usr/bin/env python3
"""Runs the session tests: the real postern against scripted and real peers.

    run.py [-j JOBS] [--build DIR] [--tests DIR] [--slow] [--list] [PATTERN ...]

A test is a function test_*(env) in test/session/test_*.py. Each runs in a process of
its own, with its own folder and its own 127.A.B.0/24, so that all can run at once; one
marked @netns has a network namespace to itself and may use wildcard and fixed ports.
DIR may hold other tests of that kind: those of test/package want a folder of packages
in place of a build.
A PATTERN is a part of module.test. The closing line is "N passed, N failed".
"""
import argparse
import concurrent.futures
import fcntl
import importlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
NUMBERS = 4000          # for one run, of all the 60000 that Env.ip() has addresses for
sys.path.insert(0, str(HERE))

import harness  # noqa: E402


def collect(folder, patterns, slow):
    """All tests, or the slow ones, as (module, name), those that need long last in the alphabet first in time."""
    found = []
    for path in sorted(folder.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        for name, test in vars(module).items():
            if not name.startswith("test_") or not callable(test):
                continue
            if getattr(test, "slow", False) != slow:
                continue
            full = f"{path.stem[5:]}.{name[5:]}"
            if not patterns or any(p in full for p in patterns):
                found.append((full, path.stem, name, test))
    found.sort(key=lambda t: -getattr(t[3], "weight", 1))
    return found


def reserve_numbers(count):
    """The first of NUMBERS, and so addresses, that no other run on this machine uses; held until we end."""
    if count > NUMBERS:
        sys.exit(f"run.py: {count} tests, and {NUMBERS} addresses for them")
    for slot in range(60000 // NUMBERS):
        lock = open(pathlib.Path(tempfile.gettempdir()) / f"postern-tests.{slot}.lock", "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        return NUMBERS * slot, lock
    sys.exit("run.py: too many runs at once")


def command(number, full, module, name, test, build, folder):
    inside = [sys.executable, str(HERE / "run.py"), "--one", f"{module}:{name}", "--number", str(number),
              "--tests", os.path.dirname(sys.modules[module].__file__), "--build", str(build), "--folder", folder]
    # In a PID namespace of its own nothing that the test starts outlives it.
    spaces = ["--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--propagation", "private"]
    if getattr(test, "cgroupns", False):
        spaces += ["--cgroup", "--uts", "--ipc"]
    if getattr(test, "netns", False):
        return ["unshare", "--net", *spaces, "sh", "-c", 'ip link set lo up && exec "$@"', "sh"] + inside
    return ["unshare", *spaces] + inside


def run_one(number, entry, build, keep):
    """Runs one test in a process of its own; returns (full name, verdict, text, seconds)."""
    full, module, name, test = entry
    folder = tempfile.mkdtemp(prefix="postern-test.")
    os.chmod(folder, 0o755)
    begun = time.monotonic()
    proc = subprocess.Popen(command(number, full, module, name, test, build, folder),
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            start_new_session=True, text=True, errors="replace")
    try:
        text, _ = proc.communicate(timeout=getattr(test, "limit", 120))
    except subprocess.TimeoutExpired:
        os.killpg(proc.pid, signal.SIGKILL)
        text, _ = proc.communicate()
        text += f"\nstill running after {getattr(test, 'limit', 120)} s"
    verdict = {0: "passed", 77: "skipped"}.get(proc.returncode, "failed")
    if verdict == "failed":
        text += harness.gather_logs(folder)
    if not keep or verdict != "failed":
        shutil.rmtree(folder, ignore_errors=True)
    return full, verdict, text, time.monotonic() - begun


def inside(spec, number, build, folder):
    """The process that runs a single test."""
    module, name = spec.split(":")
    # Who runs us in the background ignores some of these, and what we start would, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for each in signal.SIGHUP, signal.SIGQUIT:
        signal.signal(each, signal.SIG_DFL)
    env = harness.Env(number, pathlib.Path(build), pathlib.Path(folder))
    try:
        getattr(importlib.import_module(module), name)(env)
        env.close()
    except harness.Skip as why:
        env.close()
        print(why)
        return 77
    except BaseException:
        traceback.print_exc()
        env.close(quiet=True)
        return 1
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-j", type=int, default=max(4, 3 * (os.cpu_count() or 1)), metavar="JOBS")
    parser.add_argument("--build", default=os.environ.get("POSTERN_BUILD", os.getcwd()), help="where postern was built")
    parser.add_argument("--tests", default=HERE, type=lambda folder: pathlib.Path(folder).resolve(),
                        help="where the tests are")
    parser.add_argument("--slow", action="store_true", help="those that ./check --all runs besides, instead")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep the folders of failed tests")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--number", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("patterns", nargs="*")
    args = parser.parse_args()
    sys.path.insert(0, str(args.tests))
    if args.one:
        return inside(args.one, args.number, args.build, args.folder)
    tests = collect(args.tests, args.patterns, args.slow)
    if args.list:
        print("\n".join(t[0] for t in tests))
        return 0
    build = pathlib.Path(args.build).resolve()
    first, _lock = reserve_numbers(len(tests))
    count = {"passed": 0, "failed": 0, "skipped": 0}
    with concurrent.futures.ThreadPoolExecutor(args.j) as pool:
        jobs = [pool.submit(run_one, first + i, t, build, args.keep) for i, t in enumerate(tests)]
        for job in concurrent.futures.as_completed(jobs):
            full, verdict, text, seconds = job.result()
            count[verdict] += 1
            print(f"{verdict:7} {full} ({seconds:.1f} s)" + (f": {text.strip()}" if verdict == "skipped" else ""))
            if verdict == "failed":
                print("    " + text.strip().replace("\n", "\n    "))
            sys.stdout.flush()
    skipped = f", {count['skipped']} skipped" if count["skipped"] else ""
    print(f"{count['passed']} passed, {count['failed']} failed{skipped}")
    return 0 if count["failed"] == 0 and count["passed"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
