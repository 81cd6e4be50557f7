"""The Ascend targets: atc compiles, and ais_bench, msame or the benchmark tool runs."""
