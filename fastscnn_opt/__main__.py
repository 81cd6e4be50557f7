"""The start of the command `fastscnn-opt`, and of ``python -m fastscnn_opt``."""

import sys


def main() -> None:
    """Run the command; an interrupt while its modules are imported ends it quietly, too."""
    try:
        from fastscnn_opt.cli.main import main as command

        command()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
