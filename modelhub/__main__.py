"""`python -m modelhub` is the command `modelhub`."""

from modelhub.cli.console import main

if __name__ == "__main__":
    raise SystemExit(main())
