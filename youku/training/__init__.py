"""Everything a training run needs: config, data, losses, precision, the loop, checkpoints; recipes are TOML files here."""
