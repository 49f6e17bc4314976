"""Network weights loaded and networks run: what stands between the models and the frames."""
