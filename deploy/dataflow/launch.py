"""What the launcher of Dataflow's flex template starts: the template's parameters as flags of `pairmill run`.

In: `--name=value` for each parameter, and the launcher's own, --template_location among them. Out: the job of the next
stage that is not done, written there; an exit status that is not 0 where there is none, or nothing left to do.
"""

import sys

from beam_jobs.cli import main


def launch(arguments: list[str]) -> int:
    """The exit status of one launch. The launcher gives empty parameters too; they are left out."""
    return main(["run", *(given for given in arguments if not given.endswith("="))])


if __name__ == "__main__":
    raise SystemExit(launch(sys.argv[1:]))
