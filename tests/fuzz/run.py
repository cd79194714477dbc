"""`python -m tests.fuzz.run SECONDS`: every target under atheris, guided by coverage.

Each runs in a process of its own; what it has found to be new stays in var/fuzz and is where the
next run begins. Exits 1 if a target raised, took 10 s over an input, or 2 GiB.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

FOUND = Path("var/fuzz")
INPUT_S_MAX = 10
MEMORY_MB_MAX = 2048


def main() -> int:
    """Runs one target where one is named, else all of them."""
    if len(sys.argv) == 2 and sys.argv[1].isdigit():
        return run_all(int(sys.argv[1]))
    import atheris

    with atheris.instrument_imports(include=["gateway"]):
        from tests.fuzz.targets import TARGETS

    target = next(one for one in TARGETS if one.name == sys.argv[1])
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
    atheris.Fuzz()
    return 0


def run_all(seconds: int) -> int:
    """Each target for so long; 1 if any of them failed."""
    from tests.fuzz.targets import TARGETS

    failed = []
    for target in TARGETS:
        corpus = FOUND / target.name
        corpus.mkdir(parents=True, exist_ok=True)
        for seed in target.seeds:
            (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
        options = [
            f"-max_total_time={seconds}",
            f"-max_len={target.length_max}",
            f"-timeout={INPUT_S_MAX}",
            f"-rss_limit_mb={MEMORY_MB_MAX}",
            f"-artifact_prefix={FOUND}/{target.name}-",
            "-print_final_stats=1",
            "-verbosity=1",
        ]
        print(f"{target.name}: {seconds} s", flush=True)
        command = [sys.executable, "-m", "tests.fuzz.run", target.name, *options, str(corpus)]
        done = subprocess.run(command, capture_output=True, text=True)
        lines = done.stderr.splitlines()
        if done.returncode:
            failed.append(target.name)
            print("\n".join(lines[-40:]))
        else:
            print(
                "\n".join(line for line in lines if "number_of_executed" in line or "DONE" in line)
            )
    print(f"Failed: {', '.join(failed)}" if failed else "Every target answered or refused.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
