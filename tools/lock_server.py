"""Pins what the images of `tfchain deploy` install, with the hashes of the wheels: `make lock` runs it.

The versions are those of requirements.lock. `uv` asks the package index for the hashes.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tfchain" / "deployment" / "targets" / "requirements"
HEADER = "# Made by tools/lock_server.py of {name}.in and requirements.lock.\n"


def main() -> int:
    for source in sorted(FOLDER.glob("*.in")):
        target = source.with_suffix(".txt")
        command = [
            *("uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--no-deps"),
            *("--generate-hashes", "--no-header", "--no-annotate", "--constraint", str(ROOT / "requirements.lock")),
            *("--no-emit-index-url", str(source)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            return done.returncode
        target.write_text(HEADER.format(name=source.stem) + done.stdout, encoding="utf-8")
        print(f"wrote {target.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
