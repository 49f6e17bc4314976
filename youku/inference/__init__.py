"""How a clip or picture goes through a network: weights, colours at the border, tiles, ensemble, the frame pipeline."""
