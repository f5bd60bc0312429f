"""An answer on standard output has nothing else beside it."""

import subprocess
import sys

PROGRAM = """
import os
from cluster.answering import answering
out = answering()
print("a notice")
os.write(1, b"another one, from below Python")
with out:
    out.write(b"the answer")
"""


def test_what_libraries_print_does_not_mix_with_the_answer() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == "the answer"
    assert "a notice" in done.stderr
    assert "another one" in done.stderr
