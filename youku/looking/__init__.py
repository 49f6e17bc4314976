"""What only `inspect` needs: the facts of a clip, the layers of a network."""
