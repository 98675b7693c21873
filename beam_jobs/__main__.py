"""`python -m beam_jobs`: the same command as `pairmill`, from a checkout too."""

from beam_jobs.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
