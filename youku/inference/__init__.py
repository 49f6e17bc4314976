"""How a clip or picture goes through a network: what it sees and remembers, tiles, the frame pipeline, protocols."""
