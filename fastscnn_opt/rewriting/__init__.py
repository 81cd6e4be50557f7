"""The pass framework: contracts, pipelines, registry, manager, verification."""
