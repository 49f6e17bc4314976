"""What only `inspect` needs: measures of a clip, statistics of weights, feature maps, the checkerboard check."""
