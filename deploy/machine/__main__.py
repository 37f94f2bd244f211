"""`python -m deploy.machine`: looks at this machine and says what keeps Boxoffice from running on it, and what to do.

Exit code 0 if nothing does, 1 if something does.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from deploy.machine.checks import look
from deploy.machine.findings import GOOD, PROBLEM

PROJECT = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> int:
    """Look, print, and return the exit code."""
    options = _parser().parse_args(arguments)
    state = Path(os.environ.get("BOXOFFICE_STATE_DIR") or PROJECT / ".boxoffice").expanduser().resolve()
    findings = look(os.environ, PROJECT, state, with_ports=not options.without_ports)
    ready = all(finding.level != PROBLEM for finding in findings)
    if options.json:
        print(json.dumps({"ready": ready, "findings": [asdict(finding) for finding in findings]}))
        return 0 if ready else 1
    for finding in findings:
        if finding.level != GOOD or not options.problems:
            print(finding.line, flush=True)
    if not options.problems:
        print(
            "\nNothing keeps Boxoffice from running here." if ready else "\nFix the problems above, then start again."
        )
    return 0 if ready else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make doctor-machine", description=(__doc__ or "").partition(":")[2].strip())
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--problems", action="store_true", help="print only what is not as it should be")
    parser.add_argument("--without-ports", action="store_true", help="for what chooses its own ports")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
