"""``python -m fastscnn_opt`` is the same command as ``fastscnn-opt``."""

from fastscnn_opt.cli.main import main

main()
